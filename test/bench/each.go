package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"idem/test/internal/rig"
)

// eachWork is the name of the races of batches and steps for --work.
const eachWork = "each"

// The rows of the races of batches, next to idem and parallel.
const xargsRow, spawnsRow, parallelRow = "xargs -P", "Go that starts them, with pipes and locks", "parallel --joblog --resume"

// The rows of the race of steps.
const stepsRow, replaysRow, showRow = "idem step, finished", "idem run, replays", "idem show"

// batchWork returns the work of a race of batches.
func (b *bench) batchWork(jobs int) work {
	w := work{name: fmt.Sprintf("each -j %d, %d items", jobs, b.items()), rounds: 21}
	if b.quick {
		w.rounds = 2
	}
	return w
}

// items returns the number of items of a batch.
func (b *bench) items() int {
	if b.quick {
		return 100
	}
	return 500
}

// measureBatches runs batches whose command does nothing, and compares them with programs
// that do the same without a memory or with a log.
func (b *bench) measureBatches() error {
	for _, jobs := range []int{2, 8} {
		if err := b.raceBatches(jobs); err != nil {
			return fmt.Errorf("batches, -j %d: %w", jobs, err)
		}
	}
	for _, jobs := range []int{8, 32} {
		if err := b.countBatch(jobs); err != nil {
			return fmt.Errorf("fsyncs, -j %d: %w", jobs, err)
		}
	}
	if err := b.raceSteps(); err != nil {
		return fmt.Errorf("steps: %w", err)
	}
	return nil
}

// batchers returns the programs that run a batch. A file has one item on each line.
func (b *bench) batchers(list string, jobs int) []*contender {
	j, n := strconv.Itoa(jobs), strconv.Itoa(b.items())
	return []*contender{
		{
			name: spawnsRow, what: "the least that a Go program can cost that runs a batch",
			find:  func(s *downloads) (string, error) { return s.helper, nil },
			first: func(t *job, _ int) call { return t.call("spawns", j, n, t.file("locks")) },
		},
		{
			name: xargsRow, what: "no memory",
			find:  func(s *downloads) (string, error) { return s.debian("xargs", "findutils") },
			first: func(t *job, _ int) call { return t.call("-a", list, "-d", "\n", "-n", "1", "-P", j) },
		},
		{
			name: parallelRow, what: "a log of what is done",
			find: func(s *downloads) (string, error) { return s.debian("parallel", "parallel") },
			first: func(t *job, i int) call {
				return t.call("--will-cite", "-a", list, "-j", j, "--resume", "--joblog", t.file(strconv.Itoa(i)))
			},
		},
		{
			name: idem, what: "once per item, durable",
			find: func(s *downloads) (string, error) { return s.idem, nil },
			first: func(t *job, i int) call {
				return t.call("each", "--key", idemKey(i), "-j", j, "--arg-file", list, "--")
			},
		},
	}
}

// raceBatches measures all batchers with a number of jobs at once.
func (b *bench) raceBatches(jobs int) error {
	w := b.batchWork(jobs)
	b.progress("%s, %d rounds", w.name, w.rounds)
	racers, err := b.batchRacers(w, jobs)
	if err != nil {
		return err
	}
	h, err := b.raceOf(w, racers, race{Work: w.name, First: spawnsRow, Again: spawnsRow}, spawnsRow, xargsRow)
	if err != nil {
		return err
	}
	b.results[w.name] = h
	for _, r := range racers {
		f := figureOf(r.samples, h.keep)
		f.Work, f.Op, f.Ratio = w.name, first, ratio(r.samples, h.samples(spawnsRow, first), h.keep)
		b.addBatch(r.contender, f)
	}
	return nil
}

// batchRacers prepares the batchers that are installed.
func (b *bench) batchRacers(w work, jobs int) (all []*racer, err error) {
	dir := filepath.Join(b.dir, file(w.name))
	list := filepath.Join(dir, "items")
	if err := errors.Join(os.Mkdir(dir, 0o700), rig.Write(list, itemLines(b.items()))); err != nil {
		return nil, err
	}
	for _, c := range b.batchers(list, jobs) {
		program, err := c.find(b.downloads)
		if err != nil {
			b.progress("%s: %v", c.name, err) // its demands are not known
			continue
		}
		j := &job{contender: c, work: w, program: program, dir: filepath.Join(dir, file(c.name)), command: []string{b.noop}}
		j.env = append(b.env[:len(b.env):len(b.env)], "IDEM_LEDGER="+j.file("ledger"))
		if err := os.Mkdir(j.dir, 0o700); err != nil {
			return nil, err
		}
		if err := b.checkEffects(*j); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		all = append(all, &racer{job: j, op: first, every: 1, samples: make([]sample, w.rounds)})
	}
	return all, nil
}

// checkEffects returns an error unless a batcher runs its command once for each item. It
// does not ask parallel, which gives the command to a shell.
func (b *bench) checkEffects(j job) error {
	if j.name == parallelRow {
		return runUnmeasured(j.first(&j, 0)) // its first call makes a profile
	}
	effects := j.file("effects")
	j.command = []string{"/bin/sh", "-c", `echo >>"$0"`, effects}
	if _, err := b.meter.run(j.first(&j, 0), nil); err != nil {
		return err
	}
	got, _ := os.ReadFile(effects) // without an effect, there is no file
	if n := bytes.Count(got, []byte("\n")); n != b.items() {
		return fmt.Errorf("%d executions of %d items", n, b.items())
	}
	return nil
}

func itemLines(n int) (text []byte) {
	for i := range n {
		text = fmt.Appendf(text, "item-%07d\n", i)
	}
	return text
}

// countBatch counts the fsyncs of a batch of idem for each item.
func (b *bench) countBatch(jobs int) error {
	if b.strace == "" {
		return nil
	}
	w := work{name: fmt.Sprintf("fsyncs of each -j %d", jobs)}
	racers, err := b.batchRacers(w, jobs)
	if err != nil {
		return err
	}
	r := racers[len(racers)-1]
	if b.syncs == nil {
		b.syncs = map[int]float64{}
	}
	trace := filepath.Join(b.dir, "trace")
	if _, err := b.runOnce(r, func(c call) call {
		return c.under(b.strace, "-f", "-qq", "-o", trace, "-e", "trace=fsync,fdatasync", "-e", "signal=none", "--")
	}); err != nil {
		return err
	}
	log, err := os.ReadFile(trace)
	b.syncs[jobs] = float64(syncsIn(log)) / float64(b.items())
	return err
}

// raceSteps measures a run whose steps are all finished, next to a run that replays as
// many keys, of each idem. It also measures the tree of the first run. All runs fail at their end, because a run
// that succeeded would be replayed as a whole.
func (b *bench) raceSteps() error {
	n := 2 * b.items()
	w := work{name: fmt.Sprintf("%d steps", n), rounds: b.batchWork(1).rounds / 2}
	b.progress("%s, %d rounds", w.name, w.rounds)
	type steps struct {
		age
		*contender
	}
	loop := func(a age, name, step string) steps {
		name = a.row(name)
		script := fmt.Sprintf(`i=0; while [ $i -lt %d ]; do "$0" %s -- "$1" || exit 9; i=$((i+1)); done; exit 1`, n, step)
		return steps{a, &contender{name: name, what: fmt.Sprintf("a script that calls it %d times", n), first: func(t *job, _ int) call {
			run := []string{t.program, "run", "--key", file(name), "--", "/bin/sh", "-c", script, t.program, b.noop}
			return call{argv: append([]string{"/bin/sh", "-c", `"$@"; [ $? = 1 ]`, "sh"}, run...), dir: t.dir, env: t.env}
		}}}
	}
	var all []steps
	for _, a := range b.ages() {
		all = append(all, loop(a, stepsRow, "step s$i"), loop(a, replaysRow, "run --key bench:s$i"))
	}
	all = append(all, steps{now, &contender{
		name: showRow, what: fmt.Sprintf("the tree of %d steps", n),
		first: func(t *job, _ int) call { return t.alone("show", file(stepsRow)) },
	}})
	var racers []*racer
	for _, s := range all {
		j := &job{contender: s.contender, work: w, program: b.program(s.age), dir: b.dir, command: []string{b.noop}}
		j.env = append(b.env[:len(b.env):len(b.env)], "IDEM_LEDGER="+filepath.Join(b.dir, file("steps"+string(s.age))))
		if _, err := b.meter.run(j.first(j, 0), nil); err != nil { // executes the steps
			return err
		}
		racers = append(racers, &racer{job: j, op: first, every: 1, samples: make([]sample, max(w.rounds, 1))})
	}
	racers[0].work.rounds = max(w.rounds, 1)
	h, err := b.raceOf(racers[0].work, racers, race{Work: w.name, First: replaysRow, Again: replaysRow}, replaysRow)
	if err != nil {
		return err
	}
	b.results[stepsRow] = h
	for _, r := range racers {
		f := figureOf(r.samples, h.keep)
		f.Work, f.Op = w.name, first
		for _, a := range b.ages() {
			if r.name == a.row(stepsRow) {
				f.Ratio = ratio(r.samples, h.samples(a.row(replaysRow), first), h.keep)
			}
		}
		b.addBatch(r.contender, f)
	}
	return nil
}

// addBatch adds the figure of a program to its row.
func (b *bench) addBatch(c *contender, f figure) {
	all := &b.result.Batches
	i := slices.IndexFunc(*all, func(r row) bool { return r.Name == c.name })
	if i < 0 {
		i = len(*all)
		*all = append(*all, row{Name: c.name, What: c.what})
	}
	(*all)[i].Figures = append((*all)[i].Figures, f)
}

// batchDemands are the demands on batches and steps. A rate is a number of items in a
// second, so the ratio of two rates is the inverse of that of the times.
func (b *bench) batchDemands(a age) (all []demand) {
	rate := func(jobs int, other string) float64 {
		return 1 / b.ratio(b.batchWork(jobs).name, a.row(idem), first, other, first)
	}
	for _, d := range []struct {
		jobs  int
		other string
		least float64
	}{{2, parallelRow, 3}, {8, parallelRow, 4}, {2, xargsRow, 0.55}, {8, xargsRow, 0.75}, {2, spawnsRow, 0.65}, {8, spawnsRow, 0.65}} {
		all = append(all, atLeast(fmt.Sprintf("items of each -j %d: rate / rate of %s", d.jobs, d.other), d.least, rate(d.jobs, d.other)))
	}
	for _, d := range []struct {
		jobs int
		most float64
	}{{8, 1}, {32, 0.3}} {
		syncs, ok := b.syncs[d.jobs]
		if !ok || a == before {
			syncs = math.NaN()
		}
		all = append(all, atMost(fmt.Sprintf("fsyncs for each item at -j %d", d.jobs), d.most, syncs))
	}
	show := math.NaN()
	if h := b.results[stepsRow]; h != nil && a == now {
		show = figureOf(h.samples(showRow, first), h.keep).Median / 1000
	}
	tree := atMost("idem show of a run with very many steps", 50, show)
	tree.Unit = "ms"
	repeated := b.ratio(stepsRow, a.row(stepsRow), first, a.row(replaysRow), first)
	return append(all, atMost("finished steps / as many replays", 1.1, repeated).aim(1), tree)
}
