package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// What is damaged, and how.
var (
	targets = []string{"ledger.db", "ledger.db-wal", "ledger.db-shm", "locks", "output"}
	damages = []string{"flip", "page", "truncate", "delete"}
)

const pageSize = 4096

// damaging is the part "damage": a ledger is copied, damaged and used.
type damaging struct {
	*lab
	estates []*estate // with more and more in their -wal, the last with an empty one

	mu     sync.Mutex
	counts map[string]*damageCounts // by target and how, "live ..." while a command runs
	err    error                    // the first broken promise
}

// damageCounts are the figures of one kind of damage.
type damageCounts struct {
	trials     int
	exact      int // answers as recorded
	refused    int // 69
	older      int // answers from an earlier attempt: the latest is forgotten
	unknown    int // 79: the outcome is forgotten
	again      int // runs of what is forgotten
	unrecorded int // 125 by the call that was running
	other      int // calls of other commands
}

func (c *damageCounts) add(d *damageCounts) {
	c.trials += d.trials
	c.exact += d.exact
	c.refused += d.refused
	c.older += d.older
	c.unknown += d.unknown
	c.again += d.again
	c.unrecorded += d.unrecorded
	c.other += d.other
}

func (c *damageCounts) String() string {
	return fmt.Sprintf("%4d trials: %d exact, %d refused (69), %d from an earlier attempt, %d unknown (79), %d unrecorded (125), %d run again",
		c.trials, c.exact, c.refused, c.older, c.unknown, c.unrecorded, c.again)
}

func damagePart(l *lab) error {
	seeds, keys := 500, 40
	if l.quick {
		seeds = 5
	}
	d := &damaging{lab: l, counts: map[string]*damageCounts{}}
	if err := d.settle(keys); err != nil {
		return err
	}
	begin := time.Now()
	type job struct {
		seed        int
		target, how string
	}
	jobs := make(chan job)
	var group sync.WaitGroup
	for range runtime.NumCPU() {
		group.Go(func() {
			for j := range jobs {
				d.trial(j.seed, j.target, j.how)
			}
		})
	}
	for n := range seeds {
		for _, target := range targets {
			for _, how := range damages {
				if name := fmt.Sprintf("%d/%s/%s", n, target, how); l.trial == "" || l.trial == name {
					jobs <- job{n, target, how}
				}
			}
		}
	}
	close(jobs)
	group.Wait()
	d.report(time.Since(begin))
	return d.err
}

// settle makes the estates. One run makes about 9 of the 40 pages after which
// SQLite moves them to ledger.db: their -wal are of all lengths.
func (d *damaging) settle(keys int) error {
	const estates = 6
	e := &estate{}
	for i := range estates {
		dir := filepath.Join(d.dir, fmt.Sprintf("estate-%d", i))
		next := &estate{place: place{filepath.Join(dir, "ledger"), filepath.Join(dir, "side")}, known: slices.Clone(e.known)}
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if i > 0 {
			if _, err := e.copy(dir); err != nil {
				return err
			}
		}
		for len(next.known) < keys+i {
			if err := next.grow(d.idem); err != nil {
				return err
			}
		}
		d.estates, e = append(d.estates, next), next
	}
	// A forgotten key leaves nothing in the -wal.
	return e.second(d.idem, "gone", 0, "forget", "gone")
}

func (d *damaging) report(took time.Duration) {
	t := &d.figures
	var all damageCounts
	for _, when := range []string{"", "live "} {
		for _, target := range targets {
			for _, how := range damages {
				c := d.counts[when+target+" "+how]
				if c == nil {
					continue
				}
				t.Add(when+target+" "+how, "%s", c)
				all.add(c)
			}
		}
	}
	t.Count("trials", all.trials)
	t.Count("answers as recorded", all.exact)
	t.Count("refused (69)", all.refused)
	t.Count("answers from an earlier attempt", all.older)
	t.Count("unknown (79)", all.unknown)
	t.Count("unrecorded (125)", all.unrecorded)
	t.Count("calls of list, show, logs, check, mark and forget", all.other)
	t.Count("runs of a recorded key", all.again)
	t.Count(noDamage, broken(d.err))
	t.Add("seconds", "%.1f", took.Seconds())
	t.Print(os.Stdout)
}

// noDamage is the promise of this part.
const noDamage = "crashes, wrong answers and ledgers started over"

// broken is how many of a part's promises are, which stops at the first.
func broken(err error) int {
	if err != nil {
		return 1
	}
	return 0
}

// trialOf is one trial.
type trialOf struct {
	*damaging
	place
	rng    *rand.Rand
	name   string
	estate *estate
	live   *running
	counts damageCounts
	log    []string // what was done, for the evidence
}

func (d *damaging) trial(seed int, target, how string) {
	d.mu.Lock()
	failed := d.err != nil
	d.mu.Unlock()
	if failed {
		return
	}
	t := &trialOf{damaging: d, name: fmt.Sprintf("%d/%s/%s", seed, target, how)}
	t.rng = rand.New(rand.NewPCG(d.seed, uint64(seed*100+slices.Index(targets, target)*10+slices.Index(damages, how))))
	t.estate = d.estates[t.rng.IntN(len(d.estates))]
	kind := target + " " + how
	if seed%5 == 4 {
		kind = "live " + kind
	}
	dir, err := os.MkdirTemp(d.dir, "trial-")
	must(err)
	t.place, err = t.estate.copy(dir)
	must(err)
	err = t.run(target, how, seed%5 == 4, kind)
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.counts[kind]
	if c == nil {
		c = &damageCounts{}
		d.counts[kind] = c
	}
	t.counts.trials = 1
	c.add(&t.counts)
	switch {
	case err == nil:
		must(os.RemoveAll(dir))
	case d.err == nil:
		d.err = fmt.Errorf("trial %s (--seed %d --trial %s), left in %s: %w\n%s", t.name, d.seed, t.name, dir, err, strings.Join(t.log, "\n"))
	}
}
