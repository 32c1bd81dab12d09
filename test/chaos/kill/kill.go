// Package kill is the part "kill" of chaos. Many callers call each key while a
// killer sends SIGKILL to idem, the command, both, and processes that outlive
// them, at random times. An operator settles interrupted keys with idem mark.
//
//	go run ./test/chaos kill [--keys N] [--kills N]
//
// All processes of a key log their actions in one journal, outside of the ledger.
// In the end check tests each promise on the journal, and linearizable compares the
// whole history with a model. The figures count calls, kills and starts. They also
// count the broken promises, of which there must be 0.
package kill

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"idem/test/chaos/lab"
)

// callers is the number of callers of each key.
const callers = 10

// killTest is one run of the part. Each key has callers, an operator and a killer.
// Several keys are tested at a time.
type killTest struct {
	*lab.Lab
	ledger string
	kills  killCounts
	lists  atomic.Int64
	begin  time.Time

	mu       sync.Mutex
	subjects []*keyTest
	faults   []lab.Fault

	scanLock sync.Mutex
	scanned  []lab.Process
	scanTime time.Time
}

func Run(l *lab.Lab) error {
	r := &killTest{Lab: l, ledger: filepath.Join(l.Dir, "ledger"), begin: time.Now()}
	for _, name := range []string{"keys", "calls", "tmp"} {
		if err := os.Mkdir(filepath.Join(l.Dir, name), 0o700); err != nil {
			return err
		}
	}
	keys, kills := 1000, 5000
	if l.Quick {
		keys, kills = 100, 500
	}
	if l.Keys > 0 {
		keys = l.Keys
	}
	if l.Kills > 0 {
		kills = l.Kills
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var reader sync.WaitGroup
	reader.Go(func() { r.read(ctx) })

	slots := make(chan struct{}, l.Parallel)
	var group sync.WaitGroup
	// The number of kills of a key is random. If the sum is too small, more keys
	// follow.
	for i := 0; i < keys || r.kills.total() < kills && i < 4*keys; i++ {
		s, err := r.newKeyTest(i, (kills+keys-1)/keys)
		if err != nil {
			return err
		}
		slots <- struct{}{}
		group.Go(func() {
			s.run()
			<-slots
		})
		if i >= keys-1 { // wait for running keys before the decision about more
			for len(slots) == cap(slots) || i == keys-1 && len(slots) > 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	group.Wait()
	stop()
	reader.Wait()
	if err := r.report(os.Stdout); err != nil {
		return err
	}
	if n := r.kills.total(); n < kills {
		return fmt.Errorf("only %d kills of %d", n, kills)
	}
	return nil
}

func (r *killTest) fail(f lab.Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, f)
}

// read calls idem list in a loop. It must always work.
func (r *killTest) read(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		c := r.callIdem(context.Background(), "list", "list", "list")
		if c.Code != 0 {
			r.fail(lab.Fault{Promise: noFalseReader, What: fmt.Sprintf("status %d: %s", c.Code, c.Stderr()), At: -1})
		}
		r.lists.Add(1)
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// keyTest is the test of one key.
type keyTest struct {
	*killTest
	key     string
	policy  policy
	number  uint64
	journal *lab.Journal

	budget    atomic.Int64 // remaining kills
	killLock  sync.Mutex   // one kill of a key at a time, so that the journal has them in order
	undecided chan int     // wakes the operator with the status of a refused call
	left      atomic.Bool  // the operator leaves the key interrupted
	reply     atomic.Pointer[string]
}

func (r *killTest) newKeyTest(i, kills int) (*keyTest, error) {
	rng := rand.New(rand.NewPCG(r.Seed, uint64(i)))
	s := &keyTest{
		killTest: r, key: fmt.Sprintf("chaos:%04d", i), number: uint64(i), undecided: make(chan int, 1),
		policy: policy{rerunInterrupted: i%2 == 0, rerunFailed: rng.IntN(10) < 7},
	}
	// On average this is a little more than needed.
	s.budget.Store(int64(max(1, kills/2+rng.IntN(kills+2))))
	var err error
	if s.journal, err = lab.OpenJournal(s.journalPath()); err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.holdPath(), nil, 0o600); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subjects = append(r.subjects, s)
	return s, nil
}

// tmp returns the directory for temporary files of idem and its commands.
func (r *killTest) tmp() string { return filepath.Join(r.Dir, "tmp") }

func (s *keyTest) journalPath() string { return filepath.Join(s.Dir, "keys", s.key+".journal") }
func (s *keyTest) lockPath() string    { return filepath.Join(s.Dir, "keys", s.key+".lock") }
func (s *keyTest) holdPath() string    { return filepath.Join(s.Dir, "keys", s.key+".hold") }

// rng returns the random numbers of one actor of the key: a caller, the operator or
// the killer.
func (s *keyTest) rng(actor int) *rand.Rand {
	return rand.New(rand.NewPCG(s.Seed, s.number<<16|uint64(actor+1)))
}

// run runs the callers, the operator and the killer of the key until all callers
// are done.
func (s *keyTest) run() {
	ctx, cancel := context.WithTimeout(context.Background(), lab.Patience)
	defer cancel()
	var actors, group sync.WaitGroup
	actors.Go(func() { s.killRandomly(ctx) })
	actors.Go(func() { s.operate(ctx) })
	for n := range callers {
		group.Go(func() { s.callUntilDone(ctx, n) })
	}
	group.Wait()
	if ctx.Err() != nil {
		s.fail(lab.Fault{Promise: noStanding, Key: s.key, What: "after " + lab.Patience.String(), At: -1})
	}
	cancel()
	actors.Wait()
	_ = s.journal.F.Close()
}

// command returns the command of the key, which is the same in each call.
func (s *keyTest) command() []string {
	return []string{s.Self, "locked-command", s.journalPath(), s.lockPath(), s.holdPath(), strconv.FormatUint(s.Seed, 10), s.key}
}
