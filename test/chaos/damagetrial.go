package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

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
	k = t.now(k)
	before := t.startsOf(k.key)
	r, err := t.call(k.args...)
	if err != nil {
		return err
	}
	switch ran := t.startsOf(k.key) > before; {
	case ran:
		t.counts.again++
		if !slices.Contains(shared, kind) { // SQLite forgets, and so does what counts the commits
			return fmt.Errorf("key %s was run again; want %s", k.key, k.want)
		}
		t.anew[k.key] = r
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

// now is what is known of a key after all that the trial has done.
func (t *trialOf) now(k known) known {
	if r, ok := t.anew[k.key]; ok {
		k.earlier = append(slices.Clone(k.earlier), k.want)
		k.want = r
	}
	return k
}

// shared is damage to shared memory that somebody works with: its head alone
// has a checksum.
var shared = []string{"live ledger.db-shm flip", "live ledger.db-shm page", "live ledger.db-shm truncate"}

// After these kinds of damage SQLite forgets its last commits, of which an answer
// from the record knows nothing; what would write finds out. docs/ARCHITECTURE.md
// has the reasons.
var unknowable = append([]string{
	"ledger.db-wal flip", "ledger.db-wal page", "ledger.db-wal truncate", "ledger.db-wal delete",
	"live ledger.db-wal flip", "live ledger.db-wal page", "live ledger.db-wal truncate", "live ledger.db-wal delete",
}, shared...)

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
			if !slices.Contains(shared, kind) {
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
	k := t.now(t.estate.known[t.rng.IntN(len(t.estate.known))])
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
		r, err := t.call(append(strings.Fields(words), "--latest", k.key)...)
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
