package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"idem/test/internal/rig"
)

// The rows of the race of replays: of the only key in its ledger, and of one of many.
const onlyKey, manyKeys = "idem, an only key", "idem, many keys"

// keysRace returns the work of that race.
func (b *bench) keysRace() work {
	return work{name: fmt.Sprintf("true, %d keys", b.keys), rounds: b.works()[0].rounds}
}

// measureManyKeys measures a replay from a ledger of many keys.
func (b *bench) measureManyKeys() error {
	if b.keys == 0 {
		return nil
	}
	ledgers, err := rig.Build("./test/load/ledgers", filepath.Join(b.dir, "ledgers"))
	if err != nil {
		b.progress("no ledger of %d keys: %v", b.keys, err) // everything else has been measured
		return nil
	}
	large, err := b.manyKeys(ledgers)
	if err != nil {
		return fmt.Errorf("a ledger of %d keys: %w", b.keys, err)
	}
	w := b.keysRace()
	b.progress("%s, %d rounds", w.name, w.rounds)
	var racers []*racer
	for _, a := range b.ages() {
		for _, c := range []struct{ name, ledger string }{{onlyKey, filepath.Join(b.dir, file("only"+string(a)))}, {manyKeys, large}} {
			j := b.job(a.row(c.name), w, c.ledger)
			j.program = b.program(a)
			if a == before {
				j.again = func(j *job) call { return j.first(j, -1) } // its own key
			}
			if err := j.renew(); err != nil {
				return err
			}
			racers = append(racers, &racer{job: j, op: replay, every: 1, samples: make([]sample, w.rounds)})
		}
	}
	h, err := b.raceOf(w, racers, race{Work: w.name, First: onlyKey, Again: onlyKey}, onlyKey)
	if err != nil {
		return err
	}
	b.results[w.name] = h
	for _, a := range b.ages() {
		many := h.samples(a.row(manyKeys), replay)
		f := figureOf(many, h.keep)
		f.Work, f.Op, f.Ratio = w.name, replay, ratio(many, h.samples(a.row(onlyKey), replay), h.keep)
		b.add(a.row(idem), f)
	}
	return nil
}

// renew makes the record that the job replays. The ledger of many keys may have it of an
// earlier measurement, by another program, which may have kept it in another way.
func (j *job) renew() error {
	c := j.again(j)
	key := c.argv[slices.Index(c.argv, "--key")+1]
	_ = runUnmeasured(j.alone("forget", key)) // fails without such a record
	return runUnmeasured(c)
}

// job returns the job of idem under another name and with the given ledger.
func (b *bench) job(name string, w work, ledger string) *job {
	c := *contenders[len(contenders)-1]
	c.name = name
	return &job{
		contender: &c, work: w, program: b.downloads.idem, dir: b.dir, command: []string{b.noop},
		env: append(b.env[:len(b.env):len(b.env)], "IDEM_LEDGER="+ledger),
	}
}

// manyKeys returns the path of a ledger of many keys. The program ledgers takes minutes
// to make it, so it is kept in the cache for the next run.
func (b *bench) manyKeys(ledgers string) (string, error) {
	dir := filepath.Join(b.downloads.cache, "keys-"+strconv.Itoa(b.keys))
	ledger, complete := filepath.Join(dir, "ledger"), filepath.Join(dir, "complete")
	j := b.job(manyKeys, b.keysRace(), ledger)
	if _, err := os.Stat(complete); err == nil && runUnmeasured(j.alone("show", idemKey(0))) == nil {
		return ledger, nil
	}
	b.progress("making a ledger of %d keys, once", b.keys)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return "", err
	}
	memory := "/dev/shm" // an fsync costs nothing there
	if _, err := os.Stat(memory); err != nil {
		memory = dir
	}
	draft, err := os.MkdirTemp(memory, "idem-bench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(draft)
	grown := filepath.Join(draft, "ledger")
	if err := runUnmeasured(call{argv: []string{ledgers, "fill", grown, "0", strconv.Itoa(b.keys)}}); err != nil {
		return "", err
	}
	if err := runUnmeasured(call{argv: []string{"/bin/cp", "-Rp", grown, ledger}}); err != nil {
		return "", err
	}
	return ledger, errors.Join(runUnmeasured(j.first(j, 0)), os.WriteFile(complete, nil, 0o600))
}
