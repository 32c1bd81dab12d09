// Package resume has the parts "each-kill" and "step-kill" of chaos. Each makes rounds of
// work from many small effects: a list for idem each, or scripts of idem step below idem
// run. Two callers share a round and call again until it is done, while a killer sends
// SIGKILL to idem, to commands, and to both. An operator settles what was interrupted as a
// user would: the record of the effects says whether one happened.
//
//	go run ./test/chaos each-kill [--kills N]
//	go run ./test/chaos step-kill [--kills N]
//
// Each command logs its start, its effect and its end in a journal, and takes a lock that
// is independent of idem. So each effect that happens twice is seen, and so is each that
// never happens.
package resume

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"idem/test/chaos/lab"
)

// task is the work of a round.
type task interface {
	// keys are the keys with an effect.
	keys() []string
	// call is the arguments of idem for a caller.
	call() []string
	// parent is the key above them.
	parent() string
	// settled reports whether a call that ended with a status has done all it could do
	// without the operator.
	settled(code int) bool
}

// test is a run of one of the parts.
type test struct {
	*lab.Lab
	name    string
	ledger  string
	goal    int
	budget  atomic.Int64 // remaining kills
	kills   kills
	started time.Time

	calls, operated, rounds atomic.Int64

	mu       sync.Mutex
	faults   []lab.Fault
	finished []*round
}

// round is one piece of work with its callers.
type round struct {
	*test
	task
	name    string
	dir     string
	journal *lab.Journal
	rng     *rand.Rand
	operate sync.Mutex // there is one operator
}

// run makes rounds until the kills are made, several at a time.
func (t *test) run(parallel int, next func(n int, dir string) (task, error)) error {
	t.ledger = filepath.Join(t.Dir, "ledger")
	t.started = time.Now()
	if t.Kills > 0 {
		t.goal = t.Kills
	}
	t.budget.Store(int64(t.goal))
	var group sync.WaitGroup
	var n atomic.Int64
	errs := make(chan error, parallel)
	for range parallel {
		group.Go(func() {
			for t.budget.Load() > 0 && !t.broken() {
				if err := t.round(int(n.Add(1)), next); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(errs)
	if err := <-errs; err != nil {
		return err
	}
	return t.report()
}

func (t *test) round(n int, next func(n int, dir string) (task, error)) error {
	name := fmt.Sprintf("round-%d", n)
	dir := filepath.Join(t.Dir, name)
	for _, sub := range []string{"calls", "locks"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	w, err := next(n, dir)
	if err != nil {
		return err
	}
	r := &round{test: t, task: w, name: name, dir: dir, rng: rand.New(rand.NewPCG(t.Seed, uint64(n)))}
	if r.journal, err = lab.OpenJournal(journalOf(dir)); err != nil {
		return err
	}
	defer r.journal.F.Close()
	r.run()
	t.rounds.Add(1)
	t.mu.Lock()
	t.finished = append(t.finished, r)
	t.mu.Unlock()
	return nil
}

func journalOf(dir string) string { return filepath.Join(dir, "journal") }

// run lets two callers do the work under fire. Then one call must find everything done.
func (r *round) run() {
	ctx, cancel := context.WithTimeout(context.Background(), lab.Patience)
	defer cancel()
	killing, stop := context.WithCancel(ctx)
	var callers, killer sync.WaitGroup
	killer.Go(func() { r.killRandomly(killing, rand.New(rand.NewPCG(r.Seed, r.rng.Uint64()))) })
	for number := range 2 {
		callers.Go(func() { r.callUntilDone(ctx, number) })
	}
	callers.Wait()
	stop()
	killer.Wait()
	if ctx.Err() != nil {
		r.fail(noStanding, r.parent(), "it was not done within %v", lab.Patience)
		return
	}
	if c := r.work("last"); c.Code != 0 {
		r.fail(noStanding, r.parent(), "a last call ended with status %d: %s", c.Code, c.Stderr())
	}
}

// work makes a call and logs it.
func (r *round) work(id string) lab.Call {
	r.calls.Add(1)
	call := r.name + "/" + id
	r.journal.Add(lab.Event{Kind: lab.Called, Call: call})
	c := r.idem(id, r.call()...)
	r.journal.Add(lab.Event{Kind: lab.Returned, Call: call, Code: c.Code})
	return c
}

// callUntilDone is one caller.
func (r *round) callUntilDone(ctx context.Context, number int) {
	for n := 0; ctx.Err() == nil; n++ {
		c := r.work(strconv.Itoa(number) + "." + strconv.Itoa(n))
		switch {
		case c.Code == 0:
			return
		case c.Code == -lab.SigKill:
		case c.Code == lab.ExitBusy:
			time.Sleep(20 * time.Millisecond)
		case c.Code == lab.ExitInterrupted || r.settled(c.Code):
			if err := r.settleInterrupted(number, n); err != nil {
				r.fail(noOddity, r.parent(), "%v", err)
				return
			}
		default:
			r.fail(noOddity, r.parent(), "call %s: status %d: %s", c.ID, c.Code, c.Stderr())
			return
		}
	}
}

// settleInterrupted is the operator. It lists the interrupted keys and settles each as the
// journal says.
func (r *round) settleInterrupted(number, n int) error {
	r.operate.Lock()
	defer r.operate.Unlock()
	id := fmt.Sprintf("op%d.%d", number, n)
	c := r.idem(id, "list", "--under", r.parent(), "--interrupted", "--items", "-0")
	if c.Code != 0 {
		return fmt.Errorf("idem list: status %d: %s", c.Code, c.Stderr())
	}
	for item := range strings.SplitSeq(c.Stdout(), "\x00") {
		if item == "" {
			continue
		}
		key := r.parent() + "/" + item
		events, err := lab.ReadJournal(journalOf(r.dir))
		if err != nil {
			return err
		}
		how := "retry"
		if lastHasEffect(events, key) {
			how = "done"
		}
		r.operated.Add(1)
		r.journal.Add(lab.Event{Kind: map[string]lab.Kind{"done": lab.MarkDone, "retry": lab.MarkRetry}[how], Call: key})
		words := []string{"mark", how, key, "--note", "chaos"}
		if how == "done" {
			words = append(words, "--stdout-file", os.DevNull) // a step without a known value would be refused
		}
		c := r.idem(id+"."+how, words...)
		r.journal.Add(lab.Event{Kind: lab.Marked, Call: key, Code: c.Code})
		switch c.Code {
		case 0, lab.ExitBusy, lab.ExitUsage, -lab.SigKill: // another call may have been faster
		default:
			return fmt.Errorf("idem mark %s %s: status %d: %s", how, key, c.Code, c.Stderr())
		}
	}
	return nil
}

// lastHasEffect reports whether the latest attempt of a key has had its effect.
func lastHasEffect(events []lab.Event, key string) bool {
	has := false
	for _, e := range events {
		if e.Call == key {
			switch e.Kind {
			case lab.Started:
				has = false
			case lab.Worked:
				has = true
			}
		}
	}
	return has
}

// idem calls idem and waits for its end.
func (r *round) idem(id string, args ...string) lab.Call {
	id = r.name + "/" + id
	return lab.Finish(r.command(id, args...), start, id, filepath.Join(r.dir, "calls", strings.ReplaceAll(id, "/", ".")))
}

func (t *test) fail(promise, key, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, lab.Fault{Promise: promise, Key: key, What: fmt.Sprintf(format, args...), At: -1})
}

func (t *test) broken() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.faults) > 0
}
