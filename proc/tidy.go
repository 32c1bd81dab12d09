package proc

import (
	"context"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"idem/internal/rawsig"
)

// tidyWithin is how long Tidily waits after a signal for f to remove its files.
const tidyWithin = 5 * time.Second

// Tidily calls f with a context that INT, TERM and HUP end, so that f can remove its temporary
// files. It then returns a *SignalError, whose Err is the error of f. If f nevertheless succeeds,
// the signal came too late and has no effect. A second signal ends this process at once. If f does
// not return within tidyWithin, Tidily returns without the error of f.
//
// For systems other than Linux see notify.
func Tidily(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	came := make(chan syscall.Signal, 1)
	l := &listener{want: rawsig.SetOf(int(unix.SIGINT), int(unix.SIGTERM), int(unix.SIGHUP)), take: func(a arrival) {
		select {
		case came <- a.sig:
		default:
		}
	}}
	listen(l)
	end := sync.OnceFunc(func() { unlisten(l) })
	defer end()
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	select {
	case err := <-done:
		return err
	case sig := <-came:
		cancel()
		end()
		select {
		case err := <-done:
			if err == nil {
				return nil
			}
			return &SignalError{sig, err}
		case <-time.After(tidyWithin):
			return &SignalError{Signal: sig}
		}
	}
}

// Open opens a file for reading. It ends with ctx, even while a pipe with a name waits for its writer.
func Open(ctx context.Context, name string) (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	done := make(chan result)
	go func() {
		f, err := os.Open(name)
		select {
		case done <- result{f, err}:
		case <-ctx.Done():
			_ = f.Close() // of a nil file, too
		}
	}()
	select {
	case r := <-done:
		return r.f, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Reader returns a reader of r whose calls end with ctx, even while r waits for its writer. Then
// r must not be used again.
func Reader(ctx context.Context, r io.Reader) io.Reader { return stream{ctx, r.Read} }

// Writer is Reader for a writer.
func Writer(ctx context.Context, w io.Writer) io.Writer { return stream{ctx, w.Write} }

type stream struct {
	ctx  context.Context
	call func([]byte) (int, error)
}

func (s stream) Read(p []byte) (int, error)  { return s.do(p) }
func (s stream) Write(p []byte) (int, error) { return s.do(p) }

func (s stream) do(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := s.call(p)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
}
