package damage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"idem/test/chaos/lab"
)

// run damages the ledger and then makes all kinds of calls.
func (t *trial) run(target, how string, live bool, kind string) error {
	if live {
		var err error
		if t.live, err = t.Start(t.Idem, "run", "--key", "live", "--", "sh", "-c", lab.WaitScript); err != nil {
			return err
		}
		defer t.live.Kill()
	}
	t.strict = target == lab.ReceiptsName
	damage := t.damage
	if t.strict {
		damage = t.damageReceipts
	}
	victims, err := damage(target, how)
	if err != nil {
		return err
	}
	for range 6 {
		victims = append(victims, t.fixture.Records[t.rng.IntN(len(t.fixture.Records))])
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
	if err := t.readAll(kind); err != nil {
		return err
	}
	h := &lab.Harness{Lab: t.Lab, Idem: t.Idem, Ledger: t.Ledger}
	if _, wrong := h.CheckReceipts(); wrong != "" && t.strict {
		return errors.New(wrong)
	}
	// The ledger is not replaced: a new key is added to the old ones or refused.
	if r, err := t.call("run", "--key", "new", "--", "sh", "-c", lab.SayScript, "says", "1", "0"); err != nil ||
		r.Code != 0 && (r.Code != lab.ExitLedger && r.Code != 125 || t.strict) {
		return fmt.Errorf("a new key: %s: %w", r, err)
	}
	k := t.fixture.Records[t.rng.IntN(len(t.fixture.Records))]
	if err := t.rerun(k, kind); err != nil {
		return err
	}
	return t.markAndForget()
}

// call calls idem and returns an error if it crashes.
func (t *trial) call(args ...string) (lab.Reply, error) {
	r := t.Call(t.Idem, args...)
	t.log = append(t.log, r.String())
	if what := r.Crash(); what != "" {
		return r, errors.New(what)
	}
	return r, nil
}

// rerun runs a recorded key and checks the answer.
func (t *trial) rerun(k lab.Record, kind string) error {
	k = t.current(k)
	before := t.StartsOf(k.Key)
	r, err := t.call(k.Args...)
	if err != nil {
		return err
	}
	switch ran := t.StartsOf(k.Key) > before; {
	case ran:
		t.counts.again++
		if !slices.Contains(forgetsInUse, kind) {
			return fmt.Errorf("key %s was run again; want %s", k.Key, k.Want)
		}
		t.reruns[k.Key] = r
	case r.SameAnswer(k.Want):
		t.counts.exact++
	case r.Code == lab.ExitLedger && !t.strict:
		t.counts.refused++
	case r.Code == lab.ExitInterrupted && slices.Contains(forgetsLatest, kind):
		t.counts.unknown++
	case r.MatchesAny(k.Earlier) && slices.Contains(forgetsLatest, kind):
		t.counts.older++
	default:
		return fmt.Errorf("a wrong answer for key %s, want %s", k.Key, k.Want)
	}
	return nil
}

// current returns the record of a key after the second runs of this trial.
func (t *trial) current(k lab.Record) lab.Record {
	if r, ok := t.reruns[k.Key]; ok {
		k.Earlier = append(slices.Clone(k.Earlier), k.Want)
		k.Want = r
	}
	return k
}

// forgetsInUse are the kinds of damage to shared memory in use. Only its header has a
// checksum, so SQLite may lose commits. The witness, which counts the commits, then loses
// them too, and idem may run a key again.
var forgetsInUse = []string{"live ledger.db-shm flip", "live ledger.db-shm page", "live ledger.db-shm truncate"}

// forgetsLatest are the kinds of damage after which SQLite loses its latest commits.
// A replay cannot notice that. A call that writes does. docs/ARCHITECTURE.md has the
// reasons.
var forgetsLatest = append([]string{
	"ledger.db-wal flip", "ledger.db-wal page", "ledger.db-wal truncate", "ledger.db-wal delete",
	"live ledger.db-wal flip", "live ledger.db-wal page", "live ledger.db-wal truncate", "live ledger.db-wal delete",
}, forgetsInUse...)

// endLive lets the command end that was running during the damage.
func (t *trial) endLive(kind string) error {
	r := t.live.Finish()
	t.log = append(t.log, "live: "+r.String())
	switch what := r.Crash(); {
	case what != "":
		return fmt.Errorf("the call that was running %s", what)
	case r.Code == 0:
		return t.rerun(lab.Record{Key: "live", Args: t.live.Args, Want: r}, kind)
	case r.Code == 125 && !t.strict:
		t.counts.unrecorded++
		again, err := t.call(t.live.Args...)
		if err == nil && t.StartsOf("live") != 1 {
			t.counts.again++
			if !slices.Contains(forgetsInUse, kind) {
				err = fmt.Errorf("a key was run again after 125: %s", again)
			}
		}
		return err
	default:
		return fmt.Errorf("the call that was running ended with %d", r.Code)
	}
}

// readAll makes all calls that only read.
func (t *trial) readAll(kind string) error {
	k := t.current(t.fixture.Records[t.rng.IntN(len(t.fixture.Records))])
	for _, args := range [][]string{{"list"}, {"list", "--json"}, {"show", k.Key}, {"logs", k.Key}, {"check", "--key", k.Key}} {
		r, err := t.call(args...)
		if err != nil {
			return err
		}
		if args[0] == "logs" && r.Code == 0 && k.Want.Code == 0 && !slices.Contains(k.Args, "--per") &&
			r.Out != k.Want.Out && !(r.Out == "" && slices.Contains(forgetsLatest, kind)) && !slices.ContainsFunc(k.Earlier, func(e lab.Reply) bool { return e.Out == r.Out }) {
			return fmt.Errorf("idem logs %s shows output that the command did not write", k.Key)
		}
		if r.Code > 1 && (!r.Refused() || r.Code == lab.ExitLedger && t.strict) {
			return fmt.Errorf("status %d", r.Code)
		}
		t.counts.other++
	}
	return nil
}

// markAndForget makes calls that change records.
func (t *trial) markAndForget() error {
	for _, words := range []string{"mark retry", "mark done", "mark failed", "forget"} {
		k := t.fixture.Records[t.rng.IntN(len(t.fixture.Records))]
		r, err := t.call(append(strings.Fields(words), "--latest", k.Key)...)
		if err != nil {
			return err
		}
		if r.Code > 1 && !r.Refused() {
			return fmt.Errorf("status %d", r.Code)
		}
		t.counts.other++
	}
	return nil
}

// damage damages a file and returns the keys whose output it had.
func (t *trial) damage(target, how string) ([]lab.Record, error) {
	path := filepath.Join(t.Ledger, target)
	var hit []lab.Record
	if target == "output" {
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		path = filepath.Join(path, entries[t.rng.IntN(len(entries))].Name())
		for _, k := range t.fixture.Records {
			if k.Spool && strings.Contains(k.Want.Out, filepath.Base(path)) {
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
		case 2: // a write to the wrong place
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
