package ledgertest

import (
	"io"
	"os/exec"
	"testing"

	"idem/ledger"
)

// Leave starts a process with the environment env, as a command may leave one behind. The
// process ends when the test ends or when end is called.
func Leave(t testing.TB, env ...string) (p ledger.Process, end func()) {
	t.Helper()
	c := exec.Command("sh", "-c", "echo; read x")
	c.Env = env
	stdin, err := c.StdinPipe()
	var stdout io.Reader
	if err == nil {
		stdout, err = c.StdoutPipe()
	}
	if err == nil {
		err = c.Start()
	}
	if err == nil { // until exec is done, the process has another environment
		_, err = io.ReadFull(stdout, make([]byte, 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	end = func() {
		_ = stdin.Close()
		_ = c.Wait()
	}
	t.Cleanup(end)
	return ledger.Process{PID: c.Process.Pid, Name: "sh"}, end
}
