package proc

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A signal ends the context of f. It is the result unless f succeeds, and has the error of f.
func TestTidily(t *testing.T) {
	for name, want := range map[string]error{"f fails": io.ErrUnexpectedEOF, "f succeeds": nil} {
		t.Run(name, func(t *testing.T) {
			err := Tidily(t.Context(), func(ctx context.Context) error {
				_ = unix.Kill(os.Getpid(), unix.SIGTERM)
				<-ctx.Done()
				return want
			})
			var stopped *SignalError
			if got := errors.As(err, &stopped); got != (want != nil) || got && stopped.Signal != syscall.SIGTERM {
				t.Errorf("got %v", err)
			}
			if !errors.Is(err, want) {
				t.Errorf("got %v, want the error of f inside", err)
			}
		})
	}
	if err := Tidily(t.Context(), func(context.Context) error { return io.EOF }); !errors.Is(err, io.EOF) {
		t.Errorf("got %v without a signal, want the error of f", err)
	}
}

// Reader and Writer end with their context, while the other side does nothing.
func TestStreamsEnd(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	in, out := Reader(ctx, r), Writer(ctx, w)
	if _, err := out.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 3)
	if _, err := io.ReadFull(in, b); err != nil || string(b) != "abc" {
		t.Fatalf("got %q, %v", b, err)
	}
	ends := make(chan error, 2)
	go func() { _, err := in.Read(b); ends <- err }()
	cancel()
	if err := <-ends; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v from a reader", err)
	}
	if _, err := out.Write(make([]byte, 1<<20)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v from a writer", err)
	}
}

// Open ends with its context while a pipe has no writer.
func TestOpenEnds(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ends := make(chan error, 1)
	go func() { _, err := Open(ctx, name); ends <- err }()
	cancel()
	if err := <-ends; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v without a writer", err)
	}
	if f, err := os.OpenFile(name, os.O_RDWR, 0); err == nil { // ends the call that waits
		_ = f.Close()
	}
	if _, err := Open(t.Context(), filepath.Join(name, "x")); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("got %v, want the error of the file", err)
	}
	f, err := Open(t.Context(), os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
}
