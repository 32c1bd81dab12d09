package cmd

import (
	"math"
	"os"

	"golang.org/x/sys/unix"

	"idem/proc"
	"idem/runner"
)

// streams are the stdout and stderr of a command that idem runs. If stdout was closed, what the
// command writes is recorded, and goes to /dev/null.
func (u *ui) streams() runner.Streams {
	s := runner.Streams{Stdout: u.stdout, Stderr: u.stderr}
	if closed, _ := proc.WasClosed(1); closed {
		s.Stdout = os.Stdout
	}
	return s
}

// resultStdout returns the file for what a command such as idem list prints. If idem was started
// without a stdout, each write fails, as in a program without Go's runtime. No descriptor has
// the number of that file.
func resultStdout() *os.File {
	if closed, _ := proc.WasClosed(1); closed {
		return os.NewFile(math.MaxInt32, os.Stdout.Name())
	}
	return os.Stdout
}

// write writes a part of a result. A failed write is a failure of the command, as for cat(1).
func (u *ui) write(p []byte) (n int, err error) {
	if n, err = u.stdout.Write(p); err != nil {
		err = fail(exitError, "stdout: %w", err)
	}
	return n, err
}

// print writes a result to stdout.
func (a *app) print(s string) error {
	_, err := a.ui.write([]byte(s))
	return err
}

// stickyWriter keeps the first error of writing to stdout and returns none: cobra,
// which writes the help, would print the error and go on.
type stickyWriter struct {
	ui  *ui
	err error
}

func (w *stickyWriter) Write(p []byte) (int, error) {
	if w.err == nil {
		_, w.err = w.ui.write(p)
	}
	return len(p), nil
}

// requireStdout refuses a call whose product goes to stdout, if its caller has closed that: a
// backup would be made in vain.
func (a *app) requireStdout() error {
	closed, known := proc.WasClosed(1)
	if closed || !known && looksClosed(os.Stdout) {
		return usage("stdout is closed, so the output would be lost")
	}
	return nil
}

// requireStdin refuses a call that reads its input from stdin, if its caller has closed that: it
// would be empty.
func requireStdin() error {
	if closed, _ := proc.WasClosed(0); closed {
		return usage("stdin is closed, so there is nothing to read").hint("for an empty input: </dev/null")
	}
	return nil
}

// looksClosed reports whether a stream is /dev/null, open for reading and writing: what Go's
// runtime opens in place of a closed one, where idem does not. A shell opens it for one of them.
// Other programs that discard an output may open it for both.
func looksClosed(f *os.File) bool {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_ACCMODE != unix.O_RDWR {
		return false
	}
	null, err := os.Stat(os.DevNull)
	if err != nil {
		return false
	}
	is, err := f.Stat()
	return err == nil && os.SameFile(is, null)
}
