package main

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// act is the command of those parts that hurt idem from outside: act JOURNAL
// BYTES HOLD STATUS. It writes down its start, then so much output, goes on as
// long as HOLD is there, if it names a file, and writes down its end.
func act(args []string) int {
	if len(args) != 4 {
		return fail(errors.New("want JOURNAL BYTES HOLD STATUS"))
	}
	size, err1 := strconv.Atoi(args[1])
	code, err2 := strconv.Atoi(args[3])
	j, err3 := openJournal(args[0])
	if err := errors.Join(err1, err2, err3); err != nil {
		return fail(err)
	}
	signal.Ignore(syscall.SIGPIPE) // whoever kills idem takes our reader away
	me := event{kind: started, call: os.Getenv(envCall), run: os.Getenv("IDEM_RUN_ID")}
	j.add(me)
	_, _ = os.Stdout.Write(outputOf(os.Getenv("IDEM_KEY"), size))
	if args[2] != "" {
		awaitGone(args[2], patience)
	}
	me.kind, me.code = ended, code
	j.add(me)
	return code
}

// outputOf is what act writes: size bytes that nobody else writes.
func outputOf(key string, size int) []byte {
	line := []byte(key + " did it\n")
	return bytes.Repeat(line, size/len(line)+1)[:size]
}
