package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"idem/test/internal/rig"
)

// schema is the version of the JSON.
const schema = 1

// bench holds the programs, directories and results of one measurement.
type bench struct {
	options
	dir              string // for all files that bench writes, except downloads
	self             string
	downloads        *downloads
	contenders       []*contender
	programs         map[*contender]string // paths; "" if the program is missing
	env              []string
	noop             string // the command that does nothing
	strace, valgrind string // "" if missing
	meter            *meter
	callers          int
	crowdRounds      int
	result           result
	results          map[string]*raceResult // by work
	crowds           []*crowdRace
	syncs            map[int]float64 // fsyncs of a batch for each item, by jobs at once
	sharedDemands    []demand
}

// raceResult has the samples of one race.
type raceResult struct {
	racers []*racer
	keep   []bool // the rounds that count
}

// samples returns the samples of a contender by round, or nil if it did not take part.
func (h *raceResult) samples(name, op string) []sample {
	if h == nil {
		return nil
	}
	for _, r := range h.racers {
		if r.name == name && r.op == op {
			return r.samples
		}
	}
	return nil
}

// works returns the kinds of command and how many rounds each is measured.
func (o *options) works() []work {
	if o.quick {
		return []work{{"true", 0, 12}, {"1 MiB", 1 << 20, 5}, {"100 MiB", 100 << 20, 2}}
	}
	return []work{{"true", 0, 200}, {"1 MiB", 1 << 20, 60}, {"100 MiB", 100 << 20, 15}, {"1 GiB", 1 << 30, 5}}
}

// measure runs all races and returns the result. After an error, its directory is
// kept and the error names it.
func measure(o *options) (*result, error) {
	dir, self, idem, err := rig.Setup("bench", o.idem)
	if err != nil {
		return nil, err
	}
	b := &bench{options: *o, dir: dir, self: self, results: map[string]*raceResult{}, callers: 500, crowdRounds: 5}
	if o.quick {
		b.callers, b.crowdRounds = 50, 1
	}
	if err := b.prepare(idem); err != nil {
		return nil, fmt.Errorf("left in %s: %w", dir, err)
	}
	var steps []func() error
	for _, w := range o.works() {
		if o.work == "" || o.work == w.name {
			steps = append(steps, func() error { return b.run(w) })
		}
	}
	if o.work == "" || o.work == b.largeWork().name {
		steps = append(steps, b.measureLarge)
	}
	if o.work == "" {
		steps = append(steps, b.measureCrowds)
	}
	if o.work == "" || o.work == eachWork {
		steps = append(steps, b.measureBatches)
	}
	if o.work == sharedWork { // a full run does not require PostgreSQL
		steps = append(steps, b.measureShared)
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("--work %q: there is no such column", o.work)
	}
	steps = append(steps, b.measureManyKeys)
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, fmt.Errorf("left in %s: %w", dir, err)
		}
	}
	b.result.Machine.LoadAfter = rig.LoadAverage()
	b.result.Demands = b.demands()
	return &b.result, os.RemoveAll(dir)
}

// prepare finds or installs the contenders and the tools, and makes the environment.
func (b *bench) prepare(idem string) (err error) {
	b.result = result{Schema: schema, Date: time.Now().UTC().Truncate(time.Second), Machine: rig.Describe(b.dir, b.options.idem), Quick: b.quick, Realtime: b.realtime}
	if b.downloads, err = newDownloads(b.dir, idem, !b.quick && b.work != sharedWork); err != nil {
		return err
	}
	if err := b.prepareOld(); err != nil {
		return err
	}
	if b.meter, err = newMeter(b.dir); err != nil {
		return err
	}
	if b.noop, err = exec.LookPath("true"); err != nil {
		return err
	}
	b.strace, _ = b.downloads.debian("strace", "strace")
	if !b.quick {
		b.valgrind, _ = b.downloads.debian("valgrind", "valgrind")
	}
	home := filepath.Join(b.dir, "home")
	b.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "LANG=C"}
	b.programs = map[*contender]string{}
	for _, c := range b.contenders {
		r := row{Name: c.name, What: c.what}
		if b.programs[c], err = c.find(b.downloads); err != nil {
			b.programs[c], r.Missing = "", err.Error()
		}
		b.result.Rows = append(b.result.Rows, r)
	}
	return os.Mkdir(home, 0o700)
}

// run measures all contenders at one work and then removes their files. The files of
// the work without output stay, because the crowds use them.
func (b *bench) run(w work) error {
	b.progress("%s, %d rounds", w.name, w.rounds)
	racers, err := b.newRacers(w)
	if err != nil {
		return err
	}
	first, again := references(w)
	h, err := b.raceOf(w, racers, race{Work: w.name, Bytes: w.bytes, First: first, Again: again}, first, again)
	if err != nil {
		return err
	}
	b.results[w.name] = h
	for _, r := range racers {
		f := h.figure(r, first, again)
		if f.counts, err = b.count(r); err != nil {
			return err
		}
		if w.bytes == 0 && (r.name == hello || isIdem(r.name)) {
			f.Instructions = b.instructions(r)
		}
		b.add(r.name, f)
	}
	if w.bytes == 0 {
		return nil
	}
	return os.RemoveAll(filepath.Join(b.dir, file(w.name)))
}

// raceOf makes the rounds of racers and judges them by the references. It adds r, with its noise, to
// the races of the result.
func (b *bench) raceOf(w work, racers []*racer, r race, references ...string) (*raceResult, error) {
	if err := b.race(racers); err != nil {
		return nil, err
	}
	h := &raceResult{racers: racers}
	h.keep, r.Noise = h.judge(w, references...)
	b.result.Races = append(b.result.Races, r)
	return h, nil
}

// judge reports for each round whether it counts. The references are the named rows
// and the bare command.
func (h *raceResult) judge(w work, names ...string) ([]bool, noise) {
	var references [][]sample
	for _, name := range append(names, bare) {
		for _, op := range []string{first, replay} {
			if s := h.samples(name, op); s != nil {
				references = append(references, s)
			}
		}
	}
	return quietRounds(w.rounds, references...)
}

// figure sums up the samples of a racer. Its ratio is to the first runs of the row
// firsts, or to the replays of the row catted if that is the reference.
func (h *raceResult) figure(r *racer, firsts, replays string) figure {
	f := figureOf(r.samples, h.keep)
	f.Work, f.Op = r.work.name, r.op
	reference := h.samples(firsts, first)
	if r.op == replay && replays == catted {
		reference = h.samples(catted, replay)
	}
	if q := ratio(r.samples, reference, h.keep); q == q { // not NaN
		f.Ratio = q
	}
	return f
}

func (b *bench) add(name string, f figure) {
	for i := range b.result.Rows {
		if b.result.Rows[i].Name == name {
			b.result.Rows[i].Figures = append(b.result.Rows[i].Figures, f)
		}
	}
}

// measureCrowds starts many calls at once.
func (b *bench) measureCrowds() (err error) {
	b.progress("%d at once, %d rounds", b.callers, b.crowdRounds)
	if b.crowds, err = b.raceCrowds(b.results["true"].racers); err != nil {
		return err
	}
	for _, t := range b.crowds {
		b.result.Crowds = append(b.result.Crowds, t.sum(b.callers))
	}
	return nil
}

func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
