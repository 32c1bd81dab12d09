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

// racer is one contender in a race, with its first runs or with its replays.
type racer struct {
	*job
	op      string
	every   int      // takes part in one of every rounds; slow racers skip rounds to save time
	samples []sample // by round
	bytes   int64    // the length of its output
}

// newRacers prepares all contenders that take part in a work. Before anything is
// measured, it checks the output of each.
func (b *bench) newRacers(w work) ([]*racer, error) {
	command := []string{b.noop}
	if w.bytes > 0 {
		command = []string{b.downloads.helper, "gen", fmt.Sprint(w.bytes)}
	}
	var all []*racer
	var want *digest
	for _, c := range b.contenders {
		if b.programs[c] == "" || c.suits != nil && !c.suits(w) || b.quick && c.silent && w.bytes > 0 {
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

// digest is the length and the hash of an output.
type digest struct {
	n   int64
	sum [sha256.Size]byte
}

// checkOutput makes the call with the number 0, which is remembered, and repeats it. It
// compares both outputs with *want. The first contender, the bare command, sets *want.
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
		if j.framed && got.n < (*want).n || !j.framed && j.name != hello && got != **want {
			return nil, fmt.Errorf("%s: output differs: %d bytes instead of %d", t.op, got.n, (*want).n)
		}
		all = append(all, &racer{
			job: j, op: t.op, bytes: got.n, samples: make([]sample, j.work.rounds),
			every: max(1, min(int(s.wall/slowCall), j.work.rounds/5)),
		})
	}
	return all, nil
}

// digest makes a call and returns the digest of its output.
func (b *bench) digest(c call) (digest, sample, error) {
	h := sha256.New()
	s, err := b.meter.run(c, func(p []byte) { h.Write(p) })
	return digest{s.bytes, [sha256.Size]byte(h.Sum(nil))}, s, err
}

// race runs every racer once in each round, in random order. A slow period of the
// machine then affects all of them.
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

// runOnce makes the racer's next call, changed by wrap.
func (b *bench) runOnce(r *racer, wrap func(call) call) (sample, error) {
	c, n := r.repeat()
	if r.work.bytes >= 16<<20 {
		unix.Sync() // so that this call does not write back the data of the call before
	}
	var sink func([]byte)
	if r.work.bytes > 0 {
		sink = func([]byte) {}
	}
	s, err := b.meter.run(wrap(c), sink)
	if err == nil && r.work.bytes > 0 && s.bytes != r.bytes && !r.framed {
		err = fmt.Errorf("%s: output differs: %d bytes instead of %d", r.op, s.bytes, r.bytes)
	}
	if err == nil && r.op == first && r.after != nil {
		err = r.after(r.job, n)
	}
	return s, err
}

// repeat returns the next call and its number.
func (r *racer) repeat() (call, int) {
	if r.op == replay {
		return r.again(r.job), 0
	}
	n := r.next()
	return r.first(r.job, n), n
}

// file returns the name with characters that suit a file name.
func file(name string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune(" ,|/-", c) {
			return '_'
		}
		return c
	}, name)
}

// references returns the names of the rows that are the reference for first runs and
// for replays.
func references(w work) (string, string) {
	if w.bytes > 0 {
		return teed, catted
	}
	return flocked, flocked
}

// slowCall is the longest time of a call that is made in every round or in every
// second one. A slower racer takes part in fewer rounds.
const slowCall = 20 * time.Millisecond
