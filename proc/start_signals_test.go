package proc

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func raise(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		t.Fatal(err)
	}
}

func TestSignalBeforeTheStart(t *testing.T) {
	s := Catch()
	defer s.Stop()
	raise(t, unix.SIGWINCH)
	raise(t, unix.SIGPIPE) // as when a write of idem fails
	raise(t, unix.SIGHUP)
	<-s.Done()
	if sig, ok := s.Fatal(); !ok || sig != unix.SIGHUP {
		t.Errorf("Fatal: %v, %v", sig, ok)
	}
	c, _ := command(t, "/bin/sh", "-c", "echo x")
	c.Record = func(Stream, []byte) { t.Error("the command ran") }
	e, err := c.Run(t.Context(), s)
	var early *SignalError
	if e != nil || !errors.As(err, &early) || early.Signal != unix.SIGHUP {
		t.Errorf("got %v, error %v; want a SignalError for SIGHUP", e, err)
	}
}

func TestSignalDuringARunIsTheCommands(t *testing.T) {
	s := Catch()
	defer s.Stop()
	c, rec := command(t, "/bin/sh", "-c", "trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
	go func() {
		waitFor(t, "the command", func() bool { return len(rec.bytes(Stdout)) > 0 })
		raise(t, unix.SIGTERM)
	}()
	e, err := c.Run(t.Context(), s)
	if err != nil || e.ExitCode != 3 {
		t.Errorf("got %+v, error %v; want exit status 3", e, err)
	}
	if sig, ok := s.Fatal(); ok {
		t.Errorf("Fatal: %v", sig)
	}
	if sig, ok := s.Meant(); !ok || sig != unix.SIGTERM {
		t.Errorf("Meant: %v, %v", sig, ok)
	}
	// After the run, a signal is for idem, and ends the wait for a reader.
	raise(t, unix.SIGTERM)
	<-s.Done()
}

func TestSignalEndsFlush(t *testing.T) {
	s := Catch()
	defer s.Stop()
	c, _ := command(t, "head", "-c", "1000000", "/dev/zero")
	_, c.Stdout = newPipe(t) // never read
	e, err := c.Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { raise(t, unix.SIGTERM) })
	e.Flush()
	if _, ok := s.Fatal(); !ok {
		t.Error("Flush did not wait")
	}
}

// A signal between the decision to start and the start is for the command. If the
// command could not be started, the signal is for idem.
func TestSignalDuringTheStart(t *testing.T) {
	s := Catch()
	defer s.Stop()
	k := &child{}
	if err := s.enter(k); err != nil {
		t.Fatal(err)
	}
	s.handle(arrival{sig: unix.SIGINT})
	if _, ok := s.Fatal(); ok {
		t.Error("Fatal has a signal that is for the command")
	}
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	k.proc = newProcess(c.Process.Pid, -1)
	s.started(k)
	c.Wait()
	if ws := c.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != unix.SIGINT {
		t.Errorf("the command has wait status %#x, want INT", uint32(ws))
	}
	s.leave(k)

	k = &child{}
	if err := s.enter(k); err != nil {
		t.Fatal(err)
	}
	s.handle(arrival{sig: unix.SIGQUIT})
	s.leave(k) // as if the command could not be started
	if sig, ok := s.Fatal(); !ok || sig != unix.SIGQUIT {
		t.Errorf("Fatal: %v, %v", sig, ok)
	}
}

// After Stop, a signal has its earlier effect: here it ends the process.
func TestStopGivesDispositionsBack(t *testing.T) {
	t.Parallel()
	argv := append(self(t, "stopped"), "x")
	err := exec.Command(argv[0], argv[1:]...).Run()
	var e *exec.ExitError
	if !errors.As(err, &e) || e.Sys().(syscall.WaitStatus).Signal() != unix.SIGTERM {
		t.Errorf("got error %v, want death by SIGTERM", err)
	}
}

func helperStopped([]string) int {
	s := Catch()
	s.Stop()
	s.Stop()
	syscall.Kill(os.Getpid(), syscall.SIGTERM)
	time.Sleep(10 * time.Second)
	return 99
}
