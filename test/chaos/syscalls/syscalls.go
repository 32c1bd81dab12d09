// Package syscalls is the part "syscalls" of chaos. strace lets one system call of
// idem fail, each in turn, with each error that it may return.
//
//	go run ./test/chaos syscalls [--trial NAME]
//
// The figures count the failed calls and how idem ended: done, refused, undecided
// (125), or not started. A second run, or a success without a record, ends the part.
package syscalls

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"idem/test/chaos/lab"
	"idem/test/internal/rig"
)

// faultKind is a kind of system call with the errors that it may return. strace counts
// the calls of each thread separately, so one trial may have several failures.
type faultKind struct {
	name   string // names for strace
	errors []string
	from   int    // number of the first call to fail
	path   string // only calls with this file of the ledger
}

// faultKinds lists all kinds of faults except those that the Go runtime cannot survive.
// The runtime gives up if it cannot check its first descriptors or get memory. It also
// gives up if it cannot get a thread for another reason than EAGAIN.
var faultKinds = []faultKind{
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
	{name: "pread64", errors: []string{"EIO", "EINTR"}, from: 1, path: lab.ReceiptsName},
	{name: "pwrite64", errors: []string{"EIO", "ENOSPC", "EINTR"}, from: 1, path: lab.ReceiptsName},
	{name: "fsync,ftruncate", errors: []string{"EIO", "ENOSPC"}, from: 1, path: lab.ReceiptsName},
	{name: "fstat,newfstatat,fcntl", errors: []string{"EIO", "ENOMEM"}, from: 1, path: lab.ReceiptsName},
}

// kind is the name of the figures.
func (f faultKind) kind() string { return strings.TrimSpace(f.name + " " + f.path) }

// operation is a call of idem whose system calls fail.
type operation struct {
	name  string
	fresh bool // the ledger does not exist yet
	key   string
	args  []string
	want  int // its status without failures
	lines int // lines of output without failures
}

func operations(e *lab.Fixture) []operation {
	run := func(key string, lines, code int) []string {
		return []string{"run", "--key", key, "--on-failure", "replay", "--", "sh", "-c", lab.SayScript, "says", fmt.Sprint(lines), fmt.Sprint(code)}
	}
	recorded, large, interrupted := e.Records[0], e.Records[5], e.Records[11]
	return []operation{
		{name: "first run", key: "k", args: run("k", 3, 0), lines: 3},
		{name: "failure", key: "k", args: run("k", 2, 3), want: 3, lines: 2},
		{name: "large output", key: "k", args: run("k", 900, 0), lines: 900},
		{name: "fresh ledger", fresh: true, key: "k", args: run("k", 3, 0), lines: 3},
		{name: "replay", key: recorded.Key, args: recorded.Args, lines: 3},
		{name: "replay of a file", key: large.Key, args: large.Args, lines: 900},
		{name: "mark", key: interrupted.Key, args: []string{"mark", "done", interrupted.Key}},
		{name: "forget", key: recorded.Key, args: []string{"forget", recorded.Key}},
		{name: "batch", key: "b", args: []string{
			"each", "--key", "b", "-j", "3", "--arg-file", e.List, "--", "sh", "-c", lab.SayScript, "says", "2", "0",
		}},
	}
}

// syscallTest runs the trials.
type syscallTest struct {
	*lab.Trials[injectCounts] // by system call
	fixture                   *lab.Fixture
	strace                    string
}

type injectCounts struct {
	trials, failures                int
	done, refused, other, undecided int
}

func Run(l *lab.Lab) error {
	d := &syscallTest{Trials: lab.NewTrials(l, (*injectCounts).add)}
	var err error
	if d.strace, err = exec.LookPath("strace"); err != nil {
		return rig.Skipped("needs strace (Debian package strace)")
	}
	d.fixture = &lab.Fixture{Sandbox: lab.NewSandbox(l.Dir)}
	if err := d.fixture.MakeList(l.Dir); err != nil {
		return err
	}
	for range 12 {
		if err := d.fixture.Add(l.Idem); err != nil {
			return err
		}
	}
	rng := rand.New(rand.NewPCG(l.Seed, 0))
	d.RunAll(func(yield func(func()) bool) {
		for _, op := range operations(d.fixture) {
			for _, f := range faultKinds {
				errnos := f.errors
				if l.Quick { // one of them
					errnos = errnos[rng.IntN(len(errnos)):][:1]
				}
				for _, e := range errnos {
					yield(func() { d.series(op, f, e) })
				}
			}
		}
	})
	var kinds []string
	for _, f := range faultKinds {
		kinds = append(kinds, f.kind())
	}
	return d.Report(kinds, (*injectCounts).totals, noSecondRun)
}

// totals returns the figures of all trials. Their names are those of docs/figures.
func (c *injectCounts) totals() []lab.Total {
	return []lab.Total{
		{Name: "trials", N: c.trials},
		{Name: "failed system calls", N: c.failures},
		{Name: "done nevertheless", N: c.done},
		{Name: "refused", N: c.refused},
		{Name: "not started or ended by Go", N: c.other},
		{Name: "undecided (125)", N: c.undecided},
	}
}

func (c *injectCounts) String() string {
	return fmt.Sprintf("%5d trials, %5d failed calls: %d done nevertheless, %d refused, %d not started or ended by Go, %d undecided (125)",
		c.trials, c.failures, c.done, c.refused, c.other, c.undecided)
}

// noSecondRun is the promise of this part.
const noSecondRun = "second runs, and successes without a record"

// series makes one trial for each call that can fail: the first, the second, and so on. It
// ends after two trials without a failure.
func (d *syscallTest) series(op operation, f faultKind, errno string) {
	rng := rand.New(rand.NewPCG(d.Seed, uint64(len(op.name)*1000+len(f.name)*10+len(errno))))
	for n, missed := f.from, 0; missed < 2; n++ {
		if d.Quick { // a few of them
			n += rng.IntN(2 + n)
		}
		name := fmt.Sprintf("%s/%s/%s/%d", strings.ReplaceAll(op.name, " ", "-"), strings.ReplaceAll(f.kind(), " ", "-"), errno, n)
		if d.Trial != "" && d.Trial != name && n < 200 {
			continue
		}
		var failures int
		if !d.RunOne(name, f.kind(), func(dir string) (*injectCounts, []string, error) {
			t := &trial{syscallTest: d, operation: op, dir: dir}
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

// trial is one trial.
type trial struct {
	*syscallTest
	operation
	lab.Sandbox
	dir     string
	patient bool // uses the full limit HangAfter
	counts  injectCounts
	log     []string
}

func (t *trial) run(f faultKind, errno string, n int) error {
	t.counts.trials = 1
	t.Sandbox = lab.NewSandbox(t.dir)
	if !t.fresh {
		var err error
		if t.Sandbox, err = t.fixture.CopyTo(t.dir); err != nil {
			return err
		}
	}
	trace := filepath.Join(t.dir, "trace")
	args := []string{
		"-f", "-b", "execve", "-qq", "-o", trace, "-e", "signal=none", // -b: without the children of idem
		"-e", "trace=" + f.name, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", f.name, errno, n),
	}
	if f.path != "" {
		args = append(args, "-P", filepath.Join(t.Ledger, f.path))
	}
	limit := lab.HangAfter
	if f.name == "fcntl" && !t.patient { // see below
		limit = lab.HangAfter / 20
	}
	r := t.CallWithin(limit, t.strace, append(append(args, t.Idem), t.args...)...)
	t.log = append(t.log, r.String())
	b, err := os.ReadFile(trace)
	if err != nil {
		return err
	}
	t.counts.failures = strings.Count(string(b), "(INJECTED)")
	if t.counts.failures == 0 { // idem makes fewer calls than n
		return nil
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if strings.Contains(line, "(INJECTED)") {
			t.log = append(t.log, line)
		}
	}
	switch what := r.Crash(); {
	case strings.Contains(r.Err, "netpollBreak write failed"):
		// The Go runtime cannot wake itself and gives up, which has the effect of kill -9.
		t.counts.other++
		return t.checkKilled()
	case r.Hung && limit < lab.HangAfter && !strings.Contains(strings.Join(t.log, "\n"), "F_UNLCK"):
		t.patient, t.counts, t.log = true, injectCounts{}, nil
		lab.Must(errors.Join(os.RemoveAll(t.Ledger), os.RemoveAll(t.StartLog)))
		return t.run(f, errno, n)
	case r.Hung && strings.Contains(strings.Join(t.log, "\n"), "F_UNLCK"):
		// SQLite waits for a lock that it believes it holds, and idem waits for SQLite.
		// A real kernel never refuses to release a lock.
		t.counts.other++
		return t.checkKilled()
	case what != "":
		return errors.New(what)
	}
	h := &lab.Harness{Lab: t.Lab, Idem: t.Idem, Ledger: t.Ledger}
	if _, wrong := h.CheckReceipts(); wrong != "" {
		return errors.New(wrong)
	}
	switch t.args[0] {
	case "run":
		return t.checkRun(r)
	case "each":
		return t.checkEach(r)
	default:
		return t.checkChange(r)
	}
}

// callAgain calls idem without failures.
func (t *trial) callAgain(args ...string) (lab.Reply, error) {
	r := t.Call(t.Idem, args...)
	t.log = append(t.log, r.String())
	if what := r.Crash(); what != "" {
		return r, fmt.Errorf("the next call %s", what)
	}
	return r, nil
}
