package proc

import (
	"os"
	"os/signal"
	"syscall"
)

// Pager is a program that shows on the terminal what it reads, such as less.
type Pager struct {
	In      *os.File // the text to show; EPIPE says that the pager has ended
	process *os.Process
}

// StartPager starts a pager with the terminal as its stdout. From here on, this process ignores
// the signals of the keyboard, which are for the pager. If this process ended first, the pager
// and the shell would read from the terminal at the same time.
func StartPager(c Command, env []string, tty *os.File) (*Pager, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	process, err := os.StartProcess(c.Path, c.Args, &os.ProcAttr{Env: env, Files: []*os.File{r, tty, os.Stderr}})
	if err != nil {
		_ = w.Close()
		return nil, err
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGQUIT) // not before: the pager would inherit that
	return &Pager{In: w, process: process}, nil
}

// End waits until the user has left the pager.
func (p *Pager) End() {
	_ = p.In.Close()
	_, _ = p.process.Wait()
}
