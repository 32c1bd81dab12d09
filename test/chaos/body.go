package main

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// children are this program in the roles of the commands that idem runs.
var children = map[string]func(args []string) int{
	"body":   body,
	"worker": worker,
	"daemon": daemon,
	"act":    act,
	"leader": leader,
	// Of the part signals.
	"shell":   jobShell,
	"counter": counter,
}

// Exit statuses of body.
const (
	bodyFails    = 3
	bodyOverlaps = 99
)

// What the harness and its children tell each other in the environment. It is
// how processes are told apart as well, see scan.
const (
	envLab  = "CHAOS_LAB"  // the directory of the part
	envCall = "CHAOS_CALL" // the call of idem that all this is below
)

// Body holds its lock above the descriptors that idem hands over: Linux lets go
// of the files of a dying process from the highest down. Were it the other way
// round, idem's lock could be free an instant before this one, and that would
// look like an overlap.
const lockFrom = 300

// plan is what one attempt does. It follows from seed, key and attempt, so that
// a seed means the same work, if not the same times.
type plan struct {
	work   time.Duration
	hold   bool // goes on with it as long as its key is hunted
	worker bool // is done by a worker, which goes on when its parent is killed
	daemon bool // leaves a process behind that has no part in the work
	fails  bool
	output int // bytes
}

func planFor(seed, key, attempt string) plan {
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
		p.output = 40_000 + r.IntN(100_000) // too much for the ledger itself: a spool
	}
	n, _ := strconv.Atoi(attempt)
	p.fails = n < 10 && r.IntN(8) == 0
	return p
}

// body is the command: body JOURNAL LOCK HOLD SEED KEY. It proves with a lock of its
// own that nobody else is at it.
func body(args []string) int {
	if len(args) != 5 {
		return fail(errors.New("want JOURNAL LOCK HOLD SEED KEY"))
	}
	j, err := openJournal(args[0])
	if err != nil {
		return fail(err)
	}
	me := event{call: os.Getenv(envCall), run: os.Getenv("IDEM_RUN_ID")}
	say := func(k kind, code int) {
		e := me
		e.kind, e.code = k, code
		j.add(e)
		j.sync()
	}
	lockFD, err := lock(args[1])
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		say(overlap, 0)
		return bodyOverlaps
	case err != nil:
		return fail(err)
	}
	say(started, 0)
	if n := surplus(); n > 0 {
		say(leaked, n)
	}
	p := planFor(args[3], args[4], os.Getenv("IDEM_ATTEMPT"))
	hold := args[2]
	if !p.hold {
		hold = ""
	}
	if p.daemon {
		// Without the lock: what a command leaves behind on purpose is not it.
		if err := child("daemon").Start(); err != nil {
			return fail(err)
		}
	}
	if p.worker {
		if _, err := unix.FcntlInt(uintptr(lockFD), unix.F_SETFD, 0); err != nil { // it takes part in the lock
			return fail(err)
		}
		if err := child("worker", args[0], me.run, p.work.String(), hold).Run(); err != nil {
			say(ended, bodyFails)
			return bodyFails
		}
	} else {
		work(p.work, hold)
	}
	line := []byte(args[4] + " " + me.run + "\n")
	if _, err := os.Stdout.Write(bytes.Repeat(line, 1+p.output/len(line))); err != nil {
		return fail(err)
	}
	code := 0
	if p.fails {
		code = bodyFails
	}
	say(ended, code)
	return code
}

// work takes its time, and more while the file is there: else a busy machine
// would be through with a key before it was hunted as often as it should be.
func work(d time.Duration, hold string) {
	time.Sleep(d)
	if hold != "" {
		awaitGone(hold, 3*time.Second)
	}
}

// awaitGone waits until a file is not there any more, or for so long.
func awaitGone(path string, most time.Duration) {
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(path); err != nil {
			return
		}
	}
}

// worker does a body's work, whether that still lives or not.
func worker(args []string) int {
	if len(args) != 4 {
		return fail(errors.New("want JOURNAL RUN DURATION HOLD"))
	}
	j, err := openJournal(args[0])
	if err != nil {
		return fail(err)
	}
	d, err := time.ParseDuration(args[2])
	if err != nil {
		return fail(err)
	}
	work(d, args[3])
	j.add(event{kind: worked, call: os.Getenv(envCall), run: args[1]})
	j.sync()
	return 0
}

func daemon([]string) int {
	time.Sleep(300 * time.Millisecond)
	return 0
}

// lock takes the lock without waiting and returns its descriptor.
func lock(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, lockFrom)
	if err != nil {
		return 0, err
	}
	return high, unix.Flock(high, unix.LOCK_EX|unix.LOCK_NB)
}

// child is this program in another role.
func child(args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err) // /proc is there, or we would not have been started
	}
	return exec.Command(self, args...)
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "chaos child:", err)
	return 98
}
