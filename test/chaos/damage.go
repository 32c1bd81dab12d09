package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// What is damaged, and how.
var (
	targets = []string{"ledger.db", "ledger.db-wal", "ledger.db-shm", "locks", "output"}
	damages = []string{"flip", "page", "truncate", "delete"}
)

const pageSize = 4096

// damaging is the part "damage": a ledger is copied, damaged and used.
type damaging struct {
	*trials[damageCounts]           // by target and how, "live ..." while a command runs
	estates               []*estate // with more and more in their -wal, the last with an empty one
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
	d := &damaging{trials: newTrials(l, (*damageCounts).add)}
	if err := d.settle(keys); err != nil {
		return err
	}
	d.all(func(yield func(func()) bool) {
		for n := range seeds {
			for _, target := range targets {
				for _, how := range damages {
					if name := fmt.Sprintf("%d/%s/%s", n, target, how); l.trial == "" || l.trial == name {
						yield(func() { d.trial(name, n, target, how) })
					}
				}
			}
		}
	})
	d.report()
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

func (d *damaging) report() {
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
	t.Count("keys run again after damage to shared memory in use", all.again)
	t.Count(noDamage, d.broken())
	d.seconds()
	t.Print(os.Stdout)
}

// noDamage is the promise of this part.
const noDamage = "crashes, wrong answers and ledgers started over"

// trialOf is one trial.
type trialOf struct {
	*damaging
	place
	rng    *rand.Rand
	name   string
	estate *estate
	live   *running
	counts damageCounts
	anew   map[string]reply // of the keys that were run again
	log    []string         // what was done, for the evidence
}

func (d *damaging) trial(name string, seed int, target, how string) {
	rng := rand.New(rand.NewPCG(d.seed, uint64(seed*100+slices.Index(targets, target)*10+slices.Index(damages, how))))
	t := &trialOf{damaging: d, name: name, rng: rng, estate: d.estates[rng.IntN(len(d.estates))], anew: map[string]reply{}}
	live, kind := seed%5 == 4, target+" "+how
	if live {
		kind = "live " + kind
	}
	d.try(name, kind, func(dir string) (*damageCounts, []string, error) {
		var err error
		t.place, err = t.estate.copy(dir)
		must(err)
		t.counts.trials = 1
		err = t.run(target, how, live, kind)
		return &t.counts, t.log, err
	})
}
