package lab

import (
	"fmt"
	"os"
	"os/exec"
	"time"
)

// The program and its child processes pass each other these variables. The part
// kill also finds the processes of a call by them.
const (
	EnvLab  = "CHAOS_LAB"  // the directory of the part
	EnvCall = "CHAOS_CALL" // the call of idem that started the process
)

// Child returns a command that runs this program in another role: args[0] is a
// name in the table of children in main.
func Child(args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err) // does not happen on Linux
	}
	return exec.Command(self, args...)
}

// Fail reports an error of a child process and returns its exit status. Neither idem nor
// a tested command uses this status.
func Fail(err error) int {
	fmt.Fprintln(os.Stderr, "chaos child:", err)
	return 98
}

// AwaitGone waits until a file is removed, or at most for the given time.
func AwaitGone(path string, most time.Duration) {
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(path); err != nil {
			return
		}
	}
}
