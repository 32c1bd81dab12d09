package signals

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"idem/test/chaos/lab"
)

// Shell is a shell with job control, as far as it matters here: the leader
// of a terminal's session, with one job in the foreground. It writes to
// descriptor 3 what becomes of that.
func Shell(argv []string) int {
	if len(argv) == 0 {
		return lab.Fail(errors.New("want COMMAND and its arguments"))
	}
	tell := os.NewFile(3, "to the harness")
	unix.CloseOnExec(3)
	// Whoever started the harness may ignore these (nohup, cmd &), which the job
	// would inherit.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, unix.SIGHUP)
	signal.Notify(make(chan os.Signal, 1), unix.SIGINT)
	go func() {
		<-hangup
		os.Exit(1)
	}()
	c := exec.Command(argv[0], argv[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Foreground: true}
	if err := c.Start(); err != nil {
		return lab.Fail(err)
	}
	fmt.Fprintln(tell, "job", c.Process.Pid)
	for {
		var ws unix.WaitStatus
		if _, err := unix.Wait4(c.Process.Pid, &ws, unix.WUNTRACED, nil); err == unix.EINTR {
			continue
		} else if err != nil {
			return lab.Fail(err)
		}
		fmt.Fprintln(tell, "status", uint32(ws))
		if !ws.Stopped() {
			return 0
		}
	}
}

// Counter is a command that adds a line to the file seen for each signal of the
// matrix: counter DIR HERE|setsid.
func Counter(args []string) int {
	if len(args) != 2 {
		return lab.Fail(errors.New("want DIR and where"))
	}
	if args[1] == session {
		if _, err := unix.Setsid(); err != nil {
			return lab.Fail(err)
		}
	}
	came := make(chan os.Signal, 100)
	for _, s := range matrixSignals {
		signal.Notify(came, s)
	}
	seen, err := os.OpenFile(args[0]+"/seen", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return lab.Fail(err)
	}
	fmt.Println(atWork)
	for end := time.Now().Add(lab.Patience); time.Now().Before(end); {
		select {
		case s := <-came:
			fmt.Fprintln(seen, unix.SignalName(s.(unix.Signal)))
		case <-time.After(5 * time.Millisecond):
			if _, err := os.Stat(args[0] + "/go"); err == nil {
				return 0
			}
		}
	}
	return lab.Fail(errors.New("nobody let it go"))
}

// atWork is what a command says when a signal may come.
const atWork = "at work"

// commandOf is the command line of a cell's command. A program in Go does not
// have the default dispositions, and a shell of its own would have children that
// outlive it, hence cat: it waits for somebody to open the other end of a pipe.
func (r *signalTest) commandOf(c cell, dir string) []string {
	const waits = "echo " + atWork + `; exec cat "$0/wait"`
	switch c.command {
	case byDefault:
		return []string{"sh", "-c", waits, dir}
	case ignore:
		return []string{"sh", "-c", "trap '' " + name(c.signal) + "; " + waits, dir}
	}
	return []string{r.Self, "counter", dir, c.command}
}
