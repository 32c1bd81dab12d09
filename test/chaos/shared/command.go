//go:build linux

package shared

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"idem/test/chaos/lab"
)

// commandFails is an exit status of Command.
const commandFails = 3

// work is what a command does in one attempt.
type work struct {
	takes   time.Duration
	code    int
	output  int  // bytes
	stays   bool // ignores SIGTERM
	workers int  // 1: a child process does the work
}

// workOf returns the work of an attempt. It is random, but the same for the same attempt.
func workOf(run string, scale time.Duration) work {
	b, _ := hex.DecodeString(strings.ReplaceAll(run, "-", ""))
	var seed [32]byte
	copy(seed[:], b)
	rng := rand.New(rand.NewChaCha8(seed))
	var w work
	switch d := rng.IntN(10); {
	case d < 5:
		w.takes = time.Duration(20+rng.IntN(300)) * time.Millisecond
	case d < 8:
		w.takes = time.Duration(rng.Int64N(int64(scale)))
	default:
		w.takes = scale + time.Duration(rng.Int64N(int64(scale)))
	}
	if rng.IntN(8) == 0 {
		w.code = commandFails
	}
	switch rng.IntN(8) {
	case 0:
		w.output = rng.IntN(400_000)
	case 1, 2:
		w.output = rng.IntN(20_000)
	}
	w.stays = rng.IntN(4) == 0
	if rng.IntN(5) == 0 {
		w.workers = 1
	}
	return w
}

// Command is the command: shared-command JOURNAL LOCK SCALE. It logs its start with its
// fence, takes the lock without waiting, and logs an overlap if another process has it. It
// writes its run ID and other output, works, and logs its end. SCALE decides how long it
// works, and more. With a further argument, it works for that time and succeeds.
func Command(args []string) int {
	if len(args) != 3 && len(args) != 4 {
		return lab.Fail(errors.New("want JOURNAL LOCK SCALE [TIME]"))
	}
	j, err := lab.OpenJournal(args[0])
	scale, err2 := time.ParseDuration(args[2])
	if err := errors.Join(err, err2); err != nil {
		return lab.Fail(err)
	}
	run := os.Getenv("IDEM_RUN_ID")
	fence, _ := strconv.Atoi(os.Getenv("IDEM_FENCE"))
	w := workOf(run, scale)
	if len(args) == 4 {
		w.takes, err = time.ParseDuration(args[3])
		if err != nil {
			return lab.Fail(err)
		}
		w.code = 0
	}
	signal.Ignore(syscall.SIGPIPE) // the reader is gone if idem was killed
	if w.stays {
		signal.Ignore(syscall.SIGTERM)
	}
	say := func(kind lab.Kind, code int) {
		j.Add(lab.Event{Kind: kind, Call: os.Getenv(lab.EnvCall), Run: run, Code: code})
	}
	say(lab.Started, fence)
	lock, err := lab.TakeLock(args[1], unix.LOCK_EX)
	if err != nil {
		say(lab.Overlap, fence)
	}
	fmt.Printf("run %s\n", run)
	_, _ = os.Stdout.Write(lab.CommandOutput(run, w.output))
	if w.workers > 0 && lock >= 0 {
		if err := lab.ShareLock(lock); err != nil {
			return lab.Fail(err)
		}
		worker := lab.Child("shared-worker", w.takes.String())
		worker.Stdout, worker.Stderr = os.Stdout, os.Stderr
		if err := worker.Run(); err != nil {
			return commandFails
		}
	} else {
		time.Sleep(w.takes)
	}
	say(lab.Ended, w.code)
	return w.code
}

// Worker is a child process of Command that has its lock: shared-worker DURATION.
func Worker(args []string) int {
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return lab.Fail(err)
	}
	time.Sleep(d)
	return 0
}
