// Package collect is the part "collect" of chaos. It kills idem gc at random times while callers
// run, repeat and fail keys, and checks what each call finds.
//
//	go run ./test/chaos collect
//
// The callers know what each of their keys has done, and what idem gc was told to forget. Some keys are
// running or interrupted the whole time. A kill in the middle is one after which some of what had to go was
// gone and some was left.
package collect

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"idem/test/chaos/lab"
)

// callers is the number of callers that use the ledger.
const callers = 20

// The promises, as the figures name them.
const (
	noSecond    = "second effects that no removal explains"
	noOldToken  = "tokens and fences that came back"
	noHurt      = "running or interrupted keys that were hurt"
	noLostReply = "replies that are neither whole nor recorded as removed"
	noBrokenNow = "ledgers that are not whole after a kill"
	noStop      = "removals that do not go on"
	noOddity    = "unexpected ends of a call"
)

// forgets says on whose request a key may be forgotten.
type forgets int

const (
	never     forgets = iota
	byKeys            // idem gc --keys-older-than
	byWindows         // idem gc --windows-older-than
)

// removal is a call of idem gc that was told to forget records.
type removal struct {
	began, ended time.Time // ended is zero while it runs
	of           map[forgets]bool
}

// collectTest is one run of the part.
type collectTest struct {
	*lab.Harness
	rng      *rand.Rand
	callers  []*caller
	mu       sync.Mutex
	removals []*removal
}

// Run runs the part.
func Run(l *lab.Lab) error {
	d, err := l.NewHarness("collect")
	if err != nil {
		return err
	}
	kills := 500
	if l.Quick {
		kills = 12
	}
	r := &collectTest{Harness: d, rng: rand.New(rand.NewPCG(l.Seed, 0))}
	for n := range callers {
		r.callers = append(r.callers, newCaller(r, n))
	}
	held := newHeld(r)
	if err := held.start(); err != nil {
		return err
	}
	end := make(chan struct{})
	var group sync.WaitGroup
	for _, c := range r.callers {
		group.Go(func() { c.use(end) })
	}
	count := r.kill(kills)
	close(end)
	group.Wait()
	held.finish()
	r.finish()
	r.Close()
	effects, interrupted := 0, 0
	for _, c := range r.callers {
		effects += c.effects
		interrupted += c.interrupted
	}
	l.Figures.Count("callers", callers)
	l.Figures.Count("effects", effects)
	l.Figures.Count("interrupted keys", interrupted)
	l.Figures.Count("kills", count.killed)
	l.Figures.Count("kills before anything was removed", count.before)
	l.Figures.Count("kills in the middle", count.middle)
	l.Figures.Count("kills after everything was removed", count.after)
	l.Figures.Count("removals that ended", count.ended)
	if err := d.Report(os.Stdout, noSecond, noOldToken, noHurt, noLostReply, noBrokenNow, noStop, noOddity, lab.NoBroken); err != nil {
		return err
	}
	if count.middle == 0 || count.ended == 0 {
		return errors.New("no idem gc was killed in the middle, or none has ended, so the test proves nothing")
	}
	return nil
}

// counts counts the calls of idem gc: those that were killed, by what they had removed, and those that ended.
type counts struct{ killed, before, middle, after, ended int }

// kill calls idem gc until it was killed that many times, each time at a random moment. If none of the kills was in the
// middle, it goes on, up to ten times as many.
func (r *collectTest) kill(kills int) (n counts) {
	longest := lab.Patience // the first one is not killed
	for n.killed < kills || n.middle == 0 && n.killed < 10*kills {
		args, of := r.flags()
		goes := r.find(of)
		began, after := time.Now(), longest
		if n.ended > 0 {
			after = time.Duration(r.rng.Int64N(int64(longest)))
		}
		if r.collect(args, of.records, after) {
			n.killed++
			lab.Progress(n.killed, kills)
		} else {
			n.ended++
			longest = time.Since(began) * 5 / 4
			continue
		}
		r.succeeds(noBrokenNow, "ledger", "check")
		switch gone, left := goes.compare(r.list()); {
		case gone == 0:
			n.before++
			longest += longest / 8 // callers made it slower, or more is left
		case left == 0:
			n.after++
		default:
			n.middle++
		}
	}
	return n
}

// finish removes all that may go, with no other calls, and checks what is left.
func (r *collectTest) finish() {
	r.callAll(func(j *job) bool { return j.forgets == never }) // a failed run would keep the outputs of its steps
	all := append([]string{"gc", "--json", "--superseded-older-than", "0", "--outputs-older-than", "0", "--windows-older-than", "0"}, dropKeys...)
	r.succeeds(noStop, all...)
	if c := r.succeeds(noStop, append(all, "-n")...); removedAny(c) {
		r.Fail(noStop, "gc", "after a whole removal, there is still something to remove: %s", c.Stdout())
	}
	r.removeOrphans(all)
	r.succeeds(noBrokenNow, "ledger", "check")
	whole := &removal{began: time.Now(), of: map[forgets]bool{byKeys: true, byWindows: true}}
	r.removals = append(r.removals, whole) // each key that may be forgotten is forgotten by now
	r.callAll(func(*job) bool { return true })
}

// callAll makes a call for each of the jobs that want selects.
func (r *collectTest) callAll(want func(*job) bool) {
	var group sync.WaitGroup
	for _, c := range r.callers {
		group.Go(func() {
			for _, j := range c.jobs {
				if want(j) {
					c.call(j)
				}
			}
		})
	}
	group.Wait()
}

// removeOrphans makes the outputs that kills have left look old. The next idem gc has to remove them.
func (r *collectTest) removeOrphans(gc []string) {
	output := filepath.Join(r.Ledger, "output")
	named := map[string]bool{}
	for _, k := range r.list() {
		if k.State == "interrupted" {
			for _, run := range r.runsOf(k.Key) {
				named[run] = true
			}
		}
	}
	entries, err := os.ReadDir(output)
	lab.Must(err)
	orphans, old := 0, time.Now().Add(-48*time.Hour)
	for _, e := range entries {
		if named[e.Name()] {
			continue
		}
		orphans++
		to := filepath.Join(output, fmt.Sprintf("01900000-0000-7000-8000-%012d", orphans))
		lab.Must(errors.Join(os.Rename(filepath.Join(output, e.Name()), to), os.Chtimes(to, old, old)))
	}
	r.succeeds(noStop, gc...)
	left, err := os.ReadDir(output)
	lab.Must(err)
	for _, e := range left {
		if !named[e.Name()] {
			r.Fail(noStop, e.Name(), "the output of no record is still there")
		}
	}
	r.Figures.Count("outputs of no record, left by kills", orphans)
}

// collect calls idem gc and kills it after a time. It reports whether the kill came before its end.
func (r *collectTest) collect(args []string, of map[forgets]bool, after time.Duration) (killed bool) {
	call := &removal{began: time.Now(), of: of}
	r.mu.Lock()
	r.removals = append(r.removals, call)
	r.mu.Unlock()
	var timer *time.Timer
	c := r.callWith(args, func(cmd *exec.Cmd) error {
		err := cmd.Start()
		timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		return err
	})
	timer.Stop()
	r.mu.Lock()
	call.ended = time.Now()
	r.mu.Unlock()
	if c.Code != 0 && c.Code != -lab.SigKill {
		r.Fail(noStop, "gc", "%q: status %d: %s", args, c.Code, c.Stderr())
	}
	return c.Code == -lab.SigKill
}

// callWith makes a call of the driver that is started by a function.
func (r *collectTest) callWith(args []string, start func(*exec.Cmd) error) lab.Call {
	cmd := exec.Command(r.Idem, args...)
	cmd.Env = r.Environ(r.Ledger, "driver")
	return lab.Finish(cmd, start, "driver", filepath.Join(r.Dir, "calls", "driver"))
}

// succeeds makes a call of the driver that has to end with status 0.
func (r *collectTest) succeeds(promise string, args ...string) lab.Call {
	c := r.callWith(args, (*exec.Cmd).Start)
	if c.Code != 0 {
		r.Fail(promise, "driver", "%q: status %d: %s%s", args, c.Code, c.Stdout(), c.Stderr())
	}
	return c
}

// mayForget reports whether an idem gc that was told to forget such a key ran between two moments.
func (r *collectTest) mayForget(of forgets, since, until time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.removals {
		if c.of[of] && c.began.Before(until) && (c.ended.IsZero() || c.ended.After(since)) {
			return true
		}
	}
	return false
}
