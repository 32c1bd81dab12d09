// Package damage is the part "damage" of chaos. Each trial copies a ledger, damages one
// of its files, and makes calls of all kinds. In every fifth trial a command is running
// during the damage.
//
//	go run ./test/chaos damage [--trial NAME]
//
// The figures count the answers by kind. A wrong answer, a crash, or a second run
// that is not in the table of exceptions (forgetsInUse) ends the part.
package damage

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"idem/test/chaos/lab"
)

// The damaged files and the kinds of damage.
var (
	targets = []string{"ledger.db", "ledger.db-wal", "ledger.db-shm", "locks", "output", lab.ReceiptsName}
	damages = []string{"flip", "page", "truncate", "delete", "zero", "swap", "old", "newer"}
)

// damagesOf returns the kinds of damage to a target. Only the receipts have all.
func damagesOf(target string) []string {
	if target == lab.ReceiptsName {
		return damages
	}
	return damages[:4]
}

const pageSize = 4096

// damageTest runs the trials.
type damageTest struct {
	*lab.Trials[damageCounts]                // by target and kind of damage, with "live " if a command was running
	fixtures                  []*lab.Fixture // each has a longer -wal than the one before, but the last -wal is empty
}

// damageCounts has the figures of one kind of damage.
type damageCounts struct {
	trials     int
	exact      int // answers as recorded
	refused    int // 69
	older      int // answers from an earlier attempt, because the latest is lost
	unknown    int // 79: the outcome is lost
	again      int // second runs, because the record is lost
	unrecorded int // 125 of the call that was running
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

func Run(l *lab.Lab) error {
	seeds, keys := 500, 40
	if l.Quick {
		seeds = 5
	}
	d := &damageTest{Trials: lab.NewTrials(l, (*damageCounts).add)}
	if err := d.makeFixtures(keys); err != nil {
		return err
	}
	if err := d.checkInUse(); err != nil {
		return err
	}
	d.RunAll(func(yield func(func()) bool) {
		for n := range seeds {
			for _, target := range targets {
				for _, how := range damagesOf(target) {
					if name := fmt.Sprintf("%d/%s/%s", n, target, how); l.Trial == "" || l.Trial == name {
						yield(func() { d.runTrial(name, n, target, how) })
					}
				}
			}
		}
	})
	return d.Report(kinds(), (*damageCounts).totals, noWrongAnswer)
}

// makeFixtures makes the fixtures. SQLite empties a -wal after 40 pages, and a run writes about
// 9, so the -wal files have different lengths.
func (d *damageTest) makeFixtures(keys int) error {
	const fixtures = 6
	e := &lab.Fixture{}
	for i := range fixtures {
		dir := filepath.Join(d.Dir, fmt.Sprintf("fixture-%d", i))
		next := &lab.Fixture{Sandbox: lab.NewSandbox(dir), Records: slices.Clone(e.Records)}
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if i > 0 {
			if _, err := e.CopyTo(dir); err != nil {
				return err
			}
		}
		for len(next.Records) < keys+i {
			if err := next.Add(d.Idem); err != nil {
				return err
			}
		}
		d.fixtures, e = append(d.fixtures, next), next
	}
	// idem forget empties the -wal.
	return e.RunAndChange(d.Idem, "gone", 0, "forget", "gone")
}

// checkInUse checks that a copy of a fixture has receipts that are in use.
func (d *damageTest) checkInUse() error {
	p, err := d.fixtures[0].CopyTo(filepath.Join(d.Dir, "receipts-in-use"))
	if err != nil {
		return err
	}
	h := &lab.Harness{Lab: d.Lab, Idem: d.Idem, Ledger: p.Ledger}
	if n, wrong := h.CheckReceipts(); n == 0 && !d.Given || wrong != "" {
		return fmt.Errorf("%d receipts of a copy are in use, so the test proves nothing\n%s", n, wrong)
	}
	return nil
}

// kinds returns the kinds of trials in the order in which they are printed.
func kinds() (all []string) {
	for _, when := range []string{"", "live "} {
		for _, target := range targets {
			for _, damage := range damagesOf(target) {
				all = append(all, when+target+" "+damage)
			}
		}
	}
	return all
}

// totals returns the figures of all trials.
func (c *damageCounts) totals() []lab.Total {
	return []lab.Total{
		{Name: "trials", N: c.trials},
		{Name: "answers as recorded", N: c.exact},
		{Name: "refused (69)", N: c.refused},
		{Name: "answers from an earlier attempt", N: c.older},
		{Name: "unknown (79)", N: c.unknown},
		{Name: "unrecorded (125)", N: c.unrecorded},
		{Name: "calls of list, show, logs, check, mark and forget", N: c.other},
		{Name: "keys run again after damage to shared memory in use", N: c.again},
	}
}

// noWrongAnswer is the promise of this part.
const noWrongAnswer = "crashes, wrong answers and ledgers started over"

// trial is one trial.
type trial struct {
	*damageTest
	lab.Sandbox
	rng     *rand.Rand
	name    string
	fixture *lab.Fixture
	live    *lab.Running
	counts  damageCounts
	strict  bool                 // ledger.db is whole, so each answer must be as recorded
	reruns  map[string]lab.Reply // answers of the keys that were run again
	log     []string             // all actions, for the evidence
}

func (d *damageTest) runTrial(name string, seed int, target, how string) {
	rng := rand.New(rand.NewPCG(d.Seed, uint64(seed*100+slices.Index(targets, target)*10+slices.Index(damages, how))))
	t := &trial{damageTest: d, name: name, rng: rng, fixture: d.fixtures[rng.IntN(len(d.fixtures))], reruns: map[string]lab.Reply{}}
	live, kind := seed%5 == 4, target+" "+how
	if live {
		kind = "live " + kind
	}
	d.RunOne(name, kind, func(dir string) (*damageCounts, []string, error) {
		var err error
		t.Sandbox, err = t.fixture.CopyTo(dir)
		lab.Must(err)
		t.counts.trials = 1
		err = t.run(target, how, live, kind)
		return &t.counts, t.log, err
	})
}
