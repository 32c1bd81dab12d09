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

// Shell is a minimal shell with job control: the leader of a session on a terminal,
// with one job in the foreground. It writes the status changes of the job to
// descriptor 3.
func Shell(argv []string) int {
	if len(argv) == 0 {
		return lab.Fail(errors.New("want COMMAND and its arguments"))
	}
	tell := os.NewFile(3, "status")
	unix.CloseOnExec(3)
	// The parent may ignore these signals (nohup, cmd &), and the job would inherit that.
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

// Counter is a command that adds a line to the file DIR/seen for each signal of the
// matrix: counter DIR handler|setsid. It ends when the file DIR/go exists.
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
	return lab.Fail(errors.New("the file go did not appear"))
}

// atWork is the output of a command that is ready for the signal.
const atWork = "at work"

// commandOf returns the command of a cell. A Go program does not have the default
// dispositions, and the children of a shell could outlive the shell. So the shell becomes
// cat, which waits for a writer of a pipe.
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
