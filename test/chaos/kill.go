package main

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
)

const (
	callers = 10 // of each key
	// patience is how long a key may take. Nothing should take a tenth of it.
	patience = 3 * time.Minute
)

// killing is the part "kill": keys with their callers, an operator and a
// killer each, some at a time.
type killing struct {
	*lab
	ledger string
	kills  killCounts
	lists  atomic.Int64
	begin  time.Time

	mu       sync.Mutex
	subjects []*subject
	faults   []fault

	scanLock sync.Mutex
	scanned  []process
	scanTime time.Time
}

func killPart(l *lab) error {
	r := &killing{lab: l, ledger: filepath.Join(l.dir, "ledger"), begin: time.Now()}
	for _, name := range []string{"keys", "calls", "tmp"} {
		if err := os.Mkdir(filepath.Join(l.dir, name), 0o700); err != nil {
			return err
		}
	}
	keys, kills := 1000, 5000
	if l.quick {
		keys, kills = 100, 500
	}
	if l.keys > 0 {
		keys = l.keys
	}
	if l.kills > 0 {
		kills = l.kills
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var reader sync.WaitGroup
	reader.Go(func() { r.read(ctx) })

	slots := make(chan struct{}, l.parallel)
	var group sync.WaitGroup
	// Luck decides how many kills a key gets before it is through: when there
	// were too few, more keys make up for it.
	for i := 0; i < keys || r.kills.total() < kills && i < 4*keys; i++ {
		s, err := r.subject(i, (kills+keys-1)/keys)
		if err != nil {
			return err
		}
		slots <- struct{}{}
		group.Go(func() {
			s.live()
			<-slots
		})
		if i >= keys-1 { // count what is under way before deciding about more
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

func (r *killing) complain(f fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, f)
}

// read calls idem list now and then: it must work at any time.
func (r *killing) read(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		c := r.call(context.Background(), "list", "list", "list")
		if c.code != 0 {
			r.complain(fault{promise: noFalseReader, what: fmt.Sprintf("status %d: %s", c.code, c.stderr()), at: -1})
		}
		r.lists.Add(1)
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// subject is one key.
type subject struct {
	*killing
	key     string
	policy  policy
	number  uint64
	journal *journal

	budget   atomic.Int64 // kills that are left
	killLock sync.Mutex   // kills of a key take turns, so that the journal has them in order
	settle   chan int     // wakes the operator, with the status that a caller got
	left     atomic.Bool  // interrupted, and left so
	reply    atomic.Pointer[string]
}

func (r *killing) subject(i, kills int) (*subject, error) {
	rng := rand.New(rand.NewPCG(r.seed, uint64(i)))
	s := &subject{
		killing: r, key: fmt.Sprintf("chaos:%04d", i), number: uint64(i), settle: make(chan int, 1),
		policy: policy{rerunInterrupted: i%2 == 0, rerunFailed: rng.IntN(10) < 7},
	}
	// Some get more, some less, all together a few more than needed.
	s.budget.Store(int64(max(1, kills/2+rng.IntN(kills+2))))
	var err error
	if s.journal, err = openJournal(s.journalPath()); err != nil {
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

// tmp is the directory for temporary files that idem and its commands get.
func (r *killing) tmp() string { return filepath.Join(r.dir, "tmp") }

func (s *subject) journalPath() string { return filepath.Join(s.dir, "keys", s.key+".journal") }
func (s *subject) lockPath() string    { return filepath.Join(s.dir, "keys", s.key+".lock") }
func (s *subject) holdPath() string    { return filepath.Join(s.dir, "keys", s.key+".hold") }

// rng is the randomness of one of those who act for the key.
func (s *subject) rng(actor int) *rand.Rand {
	return rand.New(rand.NewPCG(s.seed, s.number<<16|uint64(actor+1)))
}

// live goes through the whole life of the key.
func (s *subject) live() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var others, group sync.WaitGroup
	others.Go(func() { s.hunt(ctx) })
	others.Go(func() { s.operate(ctx) })
	for n := range callers {
		group.Go(func() { s.callUntilDone(ctx, n) })
	}
	group.Wait()
	if ctx.Err() != nil {
		s.complain(fault{promise: noStanding, key: s.key, what: "after " + patience.String(), at: -1})
	}
	cancel()
	others.Wait()
	_ = s.journal.f.Close()
}

// command is what idem is to run for the key: the same in each call.
func (s *subject) command() []string {
	return []string{s.self, "body", s.journalPath(), s.lockPath(), s.holdPath(), strconv.FormatUint(s.seed, 10), s.key}
}
