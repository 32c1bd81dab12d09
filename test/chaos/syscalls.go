package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"idem/test/internal/rig"
)

// fallible is a kind of system call and what it may return. strace counts the
// calls of each thread by itself, so that one trial may have several failures.
type fallible struct {
	name   string // as strace has it
	errors []string
	from   int    // the first call to fail
	path   string // only calls with this file of the ledger
}

// What Go's runtime cannot do without is left out: it gives up when it cannot look at its first descriptors, get
// memory, or get a thread for another reason than EAGAIN; nothing runs then.
var fallibles = []fallible{
	{name: "openat", errors: []string{"EIO", "ENOSPC", "EMFILE", "EINTR"}, from: 1},
	{name: "pwrite64", errors: []string{"EIO", "ENOSPC", "EAGAIN", "EINTR"}, from: 1},
	{name: "write", errors: []string{"EIO", "ENOSPC", "EAGAIN", "EINTR"}, from: 1},
	{name: "ftruncate", errors: []string{"EIO", "ENOSPC", "EINTR"}, from: 1},
	{name: "fsync,fdatasync", errors: []string{"EIO", "ENOSPC"}, from: 1},
	{name: "rename,renameat,renameat2,link,linkat,unlink,unlinkat", errors: []string{"EIO", "ENOSPC"}, from: 1},
	{name: "mkdirat,fchmod,fchmodat", errors: []string{"EIO", "ENOSPC"}, from: 1},
	{name: "fcntl", errors: []string{"ENOLCK", "EAGAIN", "EMFILE", "EINTR"}, from: 4},
	{name: "flock", errors: []string{"ENOLCK", "EAGAIN", "EINTR"}, from: 1},
	{name: "clone,clone3,fork,vfork", errors: []string{"EAGAIN"}, from: 1},
	{name: "pread64", errors: []string{"EIO", "EINTR"}, from: 1},
	{name: "mmap", errors: []string{"ENOMEM"}, from: 1, path: "ledger.db-shm"},
}

// operation is a call whose system calls fail.
type operation struct {
	name  string
	fresh bool // there is no ledger yet
	key   string
	args  []string
	want  int // its status when nothing fails
	lines int // of output that it has then
}

func operations(e *estate) []operation {
	run := func(key string, lines, code int) []string {
		return []string{"run", "--key", key, "--on-failure", "replay", "--", "sh", "-c", says, "says", fmt.Sprint(lines), fmt.Sprint(code)}
	}
	recorded, large, interrupted := e.known[0], e.known[5], e.known[11]
	return []operation{
		{name: "first run", key: "k", args: run("k", 3, 0), lines: 3},
		{name: "failure", key: "k", args: run("k", 2, 3), want: 3, lines: 2},
		{name: "large output", key: "k", args: run("k", 900, 0), lines: 900},
		{name: "fresh ledger", fresh: true, key: "k", args: run("k", 3, 0), lines: 3},
		{name: "replay", key: recorded.key, args: recorded.args, lines: 3},
		{name: "replay of a file", key: large.key, args: large.args, lines: 900},
		{name: "mark", key: interrupted.key, args: []string{"mark", "done", interrupted.key}},
		{name: "forget", key: recorded.key, args: []string{"forget", recorded.key}},
	}
}

// injecting is the part "syscalls".
type injecting struct {
	*trials[injectCounts] // by system call
	estate                *estate
	strace                string
}

type injectCounts struct {
	trials, failures                int
	done, refused, other, undecided int
}

func syscallsPart(l *lab) error {
	d := &injecting{trials: newTrials(l, (*injectCounts).add)}
	var err error
	if d.strace, err = exec.LookPath("strace"); err != nil {
		return rig.Skipped("needs strace (Debian package strace)")
	}
	d.estate = &estate{place: place{filepath.Join(l.dir, "ledger"), filepath.Join(l.dir, "side")}}
	for range 12 {
		if err := d.estate.grow(l.idem); err != nil {
			return err
		}
	}
	rng := rand.New(rand.NewPCG(l.seed, 0))
	d.all(func(yield func(func()) bool) {
		for _, op := range operations(d.estate) {
			for _, f := range fallibles {
				errnos := f.errors
				if l.quick { // one of them
					errnos = errnos[rng.IntN(len(errnos)):][:1]
				}
				for _, e := range errnos {
					yield(func() { d.series(op, f, e) })
				}
			}
		}
	})
	d.report()
	return d.err
}

func (d *injecting) report() {
	t := &d.figures
	var all injectCounts
	for _, f := range fallibles {
		c := d.counts[f.name]
		if c == nil {
			continue
		}
		t.Add(f.name, "%5d trials, %5d failed calls: %d done all the same, %d refused, %d not started or ended by Go, %d undecided (125)",
			c.trials, c.failures, c.done, c.refused, c.other, c.undecided)
		all.add(c)
	}
	t.Count("trials", all.trials)
	t.Count("failed system calls", all.failures)
	t.Count("done all the same", all.done)
	t.Count("refused", all.refused)
	t.Count("not started or ended by Go", all.other)
	t.Count("undecided (125)", all.undecided)
	t.Count(noSyscall, d.broken())
	d.seconds()
	t.Print(os.Stdout)
}

// noSyscall is the promise of this part.
const noSyscall = "second runs, and successes without a record"

// series lets the first, second, third ... call fail, until there is none.
func (d *injecting) series(op operation, f fallible, errno string) {
	rng := rand.New(rand.NewPCG(d.seed, uint64(len(op.name)*1000+len(f.name)*10+len(errno))))
	for n, missed := f.from, 0; missed < 2; n++ {
		if d.quick { // a few of them
			n += rng.IntN(2 + n)
		}
		name := fmt.Sprintf("%s/%s/%s/%d", strings.ReplaceAll(op.name, " ", "-"), f.name, errno, n)
		if d.trial != "" && d.trial != name && n < 200 {
			continue
		}
		var failures int
		if !d.try(name, f.name, func(dir string) (*injectCounts, []string, error) {
			t := &injection{injecting: d, operation: op, dir: dir}
			err := t.run(f, errno, n)
			failures = t.counts.failures
			return &t.counts, t.log, err
		}) {
			return
		}
		if missed++; failures > 0 {
			missed = 0
		}
	}
}

func (c *injectCounts) add(d *injectCounts) {
	c.trials += d.trials
	c.failures += d.failures
	c.done += d.done
	c.refused += d.refused
	c.other += d.other
	c.undecided += d.undecided
}

// injection is one trial.
type injection struct {
	*injecting
	operation
	place
	dir     string
	patient bool // waits for tooLong
	counts  injectCounts
	log     []string
}

func (t *injection) run(f fallible, errno string, n int) error {
	t.counts.trials = 1
	t.place = place{filepath.Join(t.dir, "ledger"), filepath.Join(t.dir, "side")}
	if !t.fresh {
		var err error
		if t.place, err = t.estate.copy(t.dir); err != nil {
			return err
		}
	}
	trace := filepath.Join(t.dir, "trace")
	args := []string{
		"-f", "-b", "execve", "-qq", "-o", trace, "-e", "signal=none", // -b: what idem starts is left alone
		"-e", "trace=" + f.name, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", f.name, errno, n),
	}
	if f.path != "" {
		args = append(args, "-P", filepath.Join(t.ledger, f.path))
	}
	limit := tooLong
	if f.name == "fcntl" && !t.patient { // see below
		limit = tooLong / 20
	}
	r := t.askFor(limit, t.strace, append(append(args, t.idem), t.args...)...)
	t.log = append(t.log, r.String())
	b, err := os.ReadFile(trace)
	if err != nil {
		return err
	}
	t.counts.failures = strings.Count(string(b), "(INJECTED)")
	if t.counts.failures == 0 { // as if nothing was
		return nil
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if strings.Contains(line, "(INJECTED)") {
			t.log = append(t.log, line)
		}
	}
	switch what := r.crashed(); {
	case strings.Contains(r.err, "netpollBreak write failed"):
		// Go's runtime cannot wake itself, and gives up: as good as a kill -9.
		t.counts.other++
		return t.died()
	case r.hung && limit < tooLong && !strings.Contains(strings.Join(t.log, "\n"), "F_UNLCK"):
		t.patient, t.counts, t.log = true, injectCounts{}, nil
		must(errors.Join(os.RemoveAll(t.ledger), os.RemoveAll(t.side)))
		return t.run(f, errno, n)
	case r.hung && strings.Contains(strings.Join(t.log, "\n"), "F_UNLCK"):
		// SQLite waits for a lock of which it believes that it still has it, and
		// idem waits for SQLite. The kernel never refuses to take a lock back.
		t.counts.other++
		return t.died()
	case what != "":
		return errors.New(what)
	}
	switch t.args[0] {
	case "run":
		return t.ran(r)
	default:
		return t.settled(r)
	}
}

// again calls idem when nothing fails any more.
func (t *injection) again(args ...string) (reply, error) {
	r := t.ask(t.idem, args...)
	t.log = append(t.log, r.String())
	if what := r.crashed(); what != "" {
		return r, fmt.Errorf("the next call %s", what)
	}
	return r, nil
}
