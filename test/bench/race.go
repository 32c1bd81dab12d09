package main

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// racer is one contender in one discipline of a race.
type racer struct {
	*job
	op      string
	every   int      // takes part in each so many rounds: the slow ones need not hold up the others
	samples []sample // by round
	bytes   int64    // that it writes
}

// newRacers prepares all contenders that take part in a work and checks once that
// each does what it should, before anything is measured.
func (b *bench) newRacers(w work) ([]*racer, error) {
	command := []string{b.noop}
	if w.bytes > 0 {
		command = []string{b.downloads.helper, "gen", fmt.Sprint(w.bytes)}
	}
	var all []*racer
	var want *digest
	for _, c := range contenders {
		if b.programs[c] == "" || c.in != nil && !c.in(w) || b.quick && c.silent && w.bytes > 0 {
			continue
		}
		j := &job{contender: c, work: w, program: b.programs[c], command: command, env: b.env}
		j.dir = filepath.Join(b.dir, file(w.name), file(c.name))
		if err := os.MkdirAll(j.dir, 0o700); err != nil {
			return nil, err
		}
		if c.setup != nil {
			if err := c.setup(j); err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
		}
		mine, err := b.checkOutput(j, &want)
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %w", c.name, w.name, err)
		}
		all = append(all, mine...)
	}
	return all, nil
}

// digest is what a call wrote.
type digest struct {
	n   int64
	sum [sha256.Size]byte
}

// checkOutput makes the call with the number 0, which is the one that is remembered,
// and its repetition, and compares what they write with what the bare command
// wrote, which comes first.
func (b *bench) checkOutput(j *job, want **digest) (all []*racer, err error) {
	if *want == nil {
		d, _, err := b.digest(j.first(j, 0))
		if err != nil {
			return nil, err
		}
		*want = &d
	}
	for _, t := range []struct {
		op   string
		call func() call
	}{
		{first, func() call { return j.first(j, 0) }},
		{replay, func() call { return j.again(j) }},
	} {
		if t.op == first && j.first == nil || t.op == replay && j.again == nil {
			continue
		}
		got, s, err := b.digest(t.call())
		if err != nil {
			return nil, err
		}
		if t.op == replay && j.silent && j.work.bytes > 0 {
			continue
		}
		if j.frames && got.n < (*want).n || !j.frames && j.name != hello && got != **want {
			return nil, fmt.Errorf("%s: output differs: %d bytes instead of %d", t.op, got.n, (*want).n)
		}
		all = append(all, &racer{
			job: j, op: t.op, bytes: got.n, samples: make([]sample, j.work.rounds),
			every: max(1, min(int(s.wall/slowCall), j.work.rounds/5)),
		})
	}
	return all, nil
}

func (b *bench) digest(c call) (digest, sample, error) {
	h := sha256.New()
	s, err := b.meter.run(c, func(p []byte) { h.Write(p) })
	return digest{s.bytes, [sha256.Size]byte(h.Sum(nil))}, s, err
}

// race runs every racer once in each round, in random order, so that a slow period of
// the machine affects all of them.
func (b *bench) race(racers []*racer) error {
	for round := range racers[0].work.rounds {
		for _, i := range rand.Perm(len(racers)) {
			r := racers[i]
			if round%r.every != 0 {
				continue
			}
			s, err := b.runOnce(r, func(c call) call { return c })
			if err != nil {
				return fmt.Errorf("%s of %s: %w", r.name, r.work.name, err)
			}
			r.samples[round] = s
		}
	}
	return nil
}

// runOnce makes the racer's call as how changes it.
func (b *bench) runOnce(r *racer, how func(call) call) (sample, error) {
	c, n := r.repeat()
	if r.work.bytes >= 16<<20 {
		unix.Sync() // what the one before has left to be written is not this one's
	}
	var sink func([]byte)
	if r.work.bytes > 0 {
		sink = func([]byte) {}
	}
	s, err := b.meter.run(how(c), sink)
	if err == nil && r.work.bytes > 0 && s.bytes != r.bytes && !r.frames {
		err = fmt.Errorf("%s: output differs: %d bytes instead of %d", r.op, s.bytes, r.bytes)
	}
	if err == nil && r.op == first && r.after != nil {
		err = r.after(r.job, n)
	}
	return s, err
}

// repeat returns the call to be measured next, and its number.
func (r *racer) repeat() (call, int) {
	if r.op == replay {
		return r.again(r.job), 0
	}
	n := r.next()
	return r.first(r.job, n), n
}

// file makes a name of a file out of any.
func file(name string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune(" ,|/-", c) {
			return '_'
		}
		return c
	}, name)
}

// references are the rows beside which those of a work are seen, at the first
// run and again.
func references(w work) (string, string) {
	if w.bytes > 0 {
		return teed, catted
	}
	return flocked, flocked
}

// slowCall is how long a call may take and still be made in every round.
const slowCall = 20 * time.Millisecond
