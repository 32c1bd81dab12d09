package lab

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// Command is the command of the parts steps, power and full: command JOURNAL BYTES
// TIME HOLD STATUS. It logs its start, writes BYTES of output and sleeps for TIME. If
// HOLD is not "", it then waits until that file is removed. At last it logs its end.
func Command(args []string) int {
	if len(args) != 5 {
		return Fail(errors.New("want JOURNAL BYTES TIME HOLD STATUS"))
	}
	size, err1 := strconv.Atoi(args[1])
	d, err2 := time.ParseDuration(args[2])
	code, err3 := strconv.Atoi(args[4])
	j, err4 := OpenJournal(args[0])
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return Fail(err)
	}
	signal.Ignore(syscall.SIGPIPE) // the reader is gone if idem was killed
	me := Event{Kind: Started, Call: os.Getenv(EnvCall), Run: os.Getenv("IDEM_RUN_ID")}
	j.Add(me)
	_, _ = os.Stdout.Write(CommandOutput(os.Getenv("IDEM_KEY"), size))
	time.Sleep(d)
	if args[3] != "" {
		AwaitGone(args[3], Patience)
	}
	me.Kind, me.Code = Ended, code
	j.Add(me)
	return code
}

// CommandOutput returns the output of Command: size bytes that no other key writes.
func CommandOutput(key string, size int) []byte {
	line := []byte(key + " did it\n")
	return bytes.Repeat(line, size/len(line)+1)[:size]
}
