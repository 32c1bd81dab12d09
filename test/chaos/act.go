package main

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// act is the command of those parts that hurt idem from outside: act JOURNAL
// BYTES TIME HOLD STATUS. It writes down its start, then so much output, takes
// its time, goes on as long as HOLD is there, if it names a file, and writes
// down its end.
func act(args []string) int {
	if len(args) != 5 {
		return fail(errors.New("want JOURNAL BYTES TIME HOLD STATUS"))
	}
	size, err1 := strconv.Atoi(args[1])
	d, err2 := time.ParseDuration(args[2])
	code, err3 := strconv.Atoi(args[4])
	j, err4 := openJournal(args[0])
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return fail(err)
	}
	signal.Ignore(syscall.SIGPIPE) // whoever kills idem takes our reader away
	me := event{kind: started, call: os.Getenv(envCall), run: os.Getenv("IDEM_RUN_ID")}
	j.add(me)
	_, _ = os.Stdout.Write(outputOf(os.Getenv("IDEM_KEY"), size))
	time.Sleep(d)
	if args[3] != "" {
		awaitGone(args[3], patience)
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
