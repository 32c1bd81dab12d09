package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"idem/scripts/internal/rig"
)

// What is damaged, and how.
var (
	targets = []string{"ledger.db", "ledger.db-wal", "ledger.db-shm", "locks", "output"}
	damages = []string{"flip", "page", "truncate", "delete"}
)

const (
	pageSize   = 4096
	exitLedger = 69
)

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
		seeds = 10
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
	var t rig.Table
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
	t.Add("all", "%s", &all)
	t.Add("calls of list, show, logs, check, mark and forget", "%d", all.other)
	t.Add("seconds", "%.1f", took.Seconds())
	t.Print(os.Stdout)
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

// run damages the ledger and then uses it in all ways.
func (t *trialOf) run(target, how string, live bool, kind string) error {
	if live {
		var err error
		if t.live, err = t.start(t.idem, "run", "--key", "live", "--", "sh", "-c", waits); err != nil {
			return err
		}
		defer t.live.kill()
	}
	victims, err := t.damage(target, how)
	if err != nil {
		return err
	}
	for range 6 {
		victims = append(victims, t.estate.known[t.rng.IntN(len(t.estate.known))])
	}
	for i, k := range victims {
		if err := t.rerun(k, kind); err != nil {
			return err
		}
		if i == 3 && live {
			if err := t.endLive(kind); err != nil {
				return err
			}
		}
	}
	if err := t.look(kind); err != nil {
		return err
	}
	// Nothing is started over: a new key runs beside the old ones or not at all.
	if r, err := t.call("run", "--key", "new", "--", "sh", "-c", says, "says", "1", "0"); err != nil || r.code != 0 && r.code != exitLedger && r.code != 125 {
		return fmt.Errorf("a new key: %s: %w", r, err)
	}
	k := t.estate.known[t.rng.IntN(len(t.estate.known))]
	if err := t.rerun(k, kind); err != nil {
		return err
	}
	return t.change()
}

// call calls idem, which must not crash.
func (t *trialOf) call(args ...string) (reply, error) {
	r := t.ask(t.idem, args...)
	t.log = append(t.log, r.String())
	if what := r.crashed(); what != "" {
		return r, errors.New(what)
	}
	return r, nil
}

// rerun runs a key that is recorded.
func (t *trialOf) rerun(k known, kind string) error {
	before := t.startsOf(k.key)
	r, err := t.call(k.args...)
	if err != nil {
		return err
	}
	switch ran := t.startsOf(k.key) > before; {
	case ran:
		t.counts.again++
		if !slices.Contains(doubles, kind) {
			return fmt.Errorf("key %s was run again; want %s", k.key, k.want)
		}
	case r.same(k.want):
		t.counts.exact++
	case r.code == exitLedger:
		t.counts.refused++
	case r.code == exitInterrupted && slices.Contains(unknowable, kind):
		t.counts.unknown++
	case r.matches(k.earlier) && slices.Contains(unknowable, kind):
		t.counts.older++
	default:
		return fmt.Errorf("a wrong answer for key %s, want %s", k.key, k.want)
	}
	return nil
}

// After these kinds of damage SQLite forgets its last commits, of which an answer
// from the record knows nothing; what would write finds out. docs/ARCHITECTURE.md
// has the reasons.
var unknowable = []string{
	"ledger.db-wal flip", "ledger.db-wal page", "ledger.db-wal truncate", "ledger.db-wal delete",
	"live ledger.db-wal flip", "live ledger.db-wal page", "live ledger.db-wal truncate", "live ledger.db-wal delete",
}

// doubles are those after which a key may run again.
var doubles = []string{}

// endLive lets the command end that was there while the ledger was damaged.
func (t *trialOf) endLive(kind string) error {
	r := t.live.finish()
	t.log = append(t.log, "live: "+r.String())
	switch what := r.crashed(); {
	case what != "":
		return fmt.Errorf("the call that was running %s", what)
	case r.code == 0:
		return t.rerun(known{key: "live", args: t.live.args, want: r}, kind)
	case r.code == 125:
		t.counts.unrecorded++
		again, err := t.call(t.live.args...)
		if err == nil && t.startsOf("live") != 1 {
			t.counts.again++
			if !slices.Contains(doubles, kind) {
				err = fmt.Errorf("a key was run again after 125: %s", again)
			}
		}
		return err
	default:
		return fmt.Errorf("the call that was running ended with %d", r.code)
	}
}

// look reads in all ways.
func (t *trialOf) look(kind string) error {
	k := t.estate.known[t.rng.IntN(len(t.estate.known))]
	for _, args := range [][]string{{"list"}, {"list", "--json"}, {"show", k.key}, {"logs", k.key}, {"check", "--key", k.key}} {
		r, err := t.call(args...)
		if err != nil {
			return err
		}
		if args[0] == "logs" && r.code == 0 && k.want.code == 0 && !slices.Contains(k.args, "--per") &&
			r.out != k.want.out && !(r.out == "" && slices.Contains(unknowable, kind)) && !slices.ContainsFunc(k.earlier, func(e reply) bool { return e.out == r.out }) {
			return fmt.Errorf("idem logs %s shows what was not said", k.key)
		}
		if r.code > 1 && !r.refusal() {
			return fmt.Errorf("status %d", r.code)
		}
		t.counts.other++
	}
	return nil
}

// change settles keys by hand.
func (t *trialOf) change() error {
	for _, words := range []string{"mark retry", "mark done", "mark failed", "forget"} {
		k := t.estate.known[t.rng.IntN(len(t.estate.known))]
		r, err := t.call(append(strings.Fields(words), k.key)...)
		if err != nil {
			return err
		}
		if r.code > 1 && !r.refusal() {
			return fmt.Errorf("status %d", r.code)
		}
		t.counts.other++
	}
	return nil
}

// damage does one kind of damage, and returns the keys that are known to be hit.
func (t *trialOf) damage(target, how string) ([]known, error) {
	path := filepath.Join(t.ledger, target)
	var hit []known
	if target == "output" {
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		path = filepath.Join(path, entries[t.rng.IntN(len(entries))].Name())
		for _, k := range t.estate.known {
			if k.spool && strings.Contains(k.want.out, filepath.Base(path)) {
				hit = append(hit, k)
			}
		}
	}
	if how == "delete" {
		return hit, os.Remove(path)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	t.log = append(t.log, fmt.Sprintf("%s of %d bytes", path, size))
	if size == 0 {
		return hit, nil
	}
	switch how {
	case "flip":
		at := t.rng.Int64N(size)
		var b [1]byte
		if _, err := f.ReadAt(b[:], at); err != nil {
			return nil, err
		}
		was := b[0]
		b[0] ^= byte(1 + t.rng.IntN(255))
		t.log = append(t.log, fmt.Sprintf("flipped at %d: %#x to %#x", at, was, b[0]))
		_, err = f.WriteAt(b[:], at)
	case "page":
		at := t.rng.Int64N((size + pageSize - 1) / pageSize)
		page := make([]byte, min(pageSize, size-at*pageSize))
		switch with := t.rng.IntN(3); with {
		case 0: // zeros
		case 1:
			for i := range page {
				page[i] = byte(t.rng.Uint32())
			}
		case 2: // a write that went to the wrong place
			from := t.rng.Int64N((size + pageSize - 1) / pageSize)
			t.log = append(t.log, fmt.Sprintf("from page %d", from))
			_, _ = f.ReadAt(page, from*pageSize)
		}
		t.log = append(t.log, fmt.Sprintf("overwrote page %d", at))
		_, err = f.WriteAt(page, at*pageSize)
	case "truncate":
		to := t.rng.Int64N(size)
		t.log = append(t.log, fmt.Sprintf("truncated to %d", to))
		err = f.Truncate(to)
	}
	return hit, err
}
