package kill

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"idem/test/chaos/lab"
)

// Exit statuses of Command.
const (
	commandFails    = 3
	commandOverlaps = 99
)

// plan is the work of one attempt. It depends only on seed, key and attempt, so a
// seed repeats the same work.
type plan struct {
	work   time.Duration
	hold   bool // the command continues while its key has a killer
	worker bool // a child process does the work and survives its parent
	daemon bool // starts a process that outlives the command and does no work
	fails  bool
	output int // bytes
}

func newPlan(seed, key, attempt string) plan {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %s %s", seed, key, attempt)
	r := rand.New(rand.NewPCG(h.Sum64(), 1))
	p := plan{
		work:   time.Duration(20+r.IntN(400)) * time.Millisecond,
		hold:   r.IntN(4) > 0,
		worker: r.IntN(3) == 0,
		daemon: r.IntN(12) == 0,
		output: r.IntN(200),
	}
	if r.IntN(3) == 0 {
		p.output = 40_000 + r.IntN(100_000) // more than fits into ledger.db: a file
	}
	n, _ := strconv.Atoi(attempt)
	p.fails = n < 10 && r.IntN(8) == 0
	return p
}

// Command is the command: locked-command JOURNAL LOCK HOLD SEED KEY. It takes a lock
// that is independent of idem and logs an overlap if the lock is held.
func Command(args []string) int {
	if len(args) != 5 {
		return lab.Fail(errors.New("want JOURNAL LOCK HOLD SEED KEY"))
	}
	j, err := lab.OpenJournal(args[0])
	if err != nil {
		return lab.Fail(err)
	}
	me := lab.Event{Call: os.Getenv(lab.EnvCall), Run: os.Getenv("IDEM_RUN_ID")}
	say := func(k lab.Kind, code int) {
		e := me
		e.Kind, e.Code = k, code
		j.Add(e)
		j.Sync()
	}
	lockFD, err := lab.TakeLock(args[1], unix.LOCK_EX)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		say(lab.Overlap, 0)
		return commandOverlaps
	case err != nil:
		return lab.Fail(err)
	}
	say(lab.Started, 0)
	if n := extraDescriptors(); n > 0 {
		say(lab.Leaked, n)
	}
	p := newPlan(args[3], args[4], os.Getenv("IDEM_ATTEMPT"))
	hold := args[2]
	if !p.hold {
		hold = ""
	}
	if p.daemon {
		// It does not inherit the lock, because it does no work.
		if err := lab.Child("daemon").Start(); err != nil {
			return lab.Fail(err)
		}
	}
	if p.worker {
		if err := lab.ShareLock(lockFD); err != nil {
			return lab.Fail(err)
		}
		if err := lab.Child("worker", args[0], me.Run, p.work.String(), hold).Run(); err != nil {
			say(lab.Ended, commandFails)
			return commandFails
		}
	} else {
		work(p.work, hold)
	}
	line := []byte(args[4] + " " + me.Run + "\n")
	if _, err := os.Stdout.Write(bytes.Repeat(line, 1+p.output/len(line))); err != nil {
		return lab.Fail(err)
	}
	code := 0
	if p.fails {
		code = commandFails
	}
	say(lab.Ended, code)
	return code
}

// work takes time d, and up to 3 s more while the file hold exists. Otherwise a key could
// be done before the killer has used its budget.
func work(d time.Duration, hold string) {
	time.Sleep(d)
	if hold != "" {
		lab.AwaitGone(hold, 3*time.Second)
	}
}

// Worker does the work of a command, even if the command was killed:
// worker JOURNAL RUN DURATION HOLD.
func Worker(args []string) int {
	if len(args) != 4 {
		return lab.Fail(errors.New("want JOURNAL RUN DURATION HOLD"))
	}
	j, err := lab.OpenJournal(args[0])
	if err != nil {
		return lab.Fail(err)
	}
	d, err := time.ParseDuration(args[2])
	if err != nil {
		return lab.Fail(err)
	}
	work(d, args[3])
	j.Add(lab.Event{Kind: lab.Worked, Call: os.Getenv(lab.EnvCall), Run: args[1]})
	j.Sync()
	return 0
}

// Daemon outlives its command by 0.3 s and does nothing.
func Daemon([]string) int {
	time.Sleep(300 * time.Millisecond)
	return 0
}
