package main

import (
	"errors"
	"fmt"
	"strings"
)

// died holds a call that Go has ended against what it may come to.
func (t *injection) died() error {
	starts := t.startsOf(t.key)
	next, err := t.again(t.args...)
	if err == nil && starts > 0 && t.startsOf(t.key) > starts && next.code == 0 {
		err = errors.New("run again after the end of idem")
	}
	return err
}

// ran holds a call of idem run against what it may come to.
func (t *injection) ran(r reply) error {
	starts := t.startsOf(t.key)
	recorded := strings.HasPrefix(t.key, "estate") // and need not start
	next, err := t.again(t.args...)
	if err != nil {
		return err
	}
	more := t.startsOf(t.key) - starts
	whole := strings.Count(next.out, "said by run") == t.lines
	// A replay that lacks a part of stdout has 74 in place of 0.
	replayed := next.code == t.want || t.want == 0 && next.code == exitOutput && !whole
	switch {
	case recorded && starts+more > 0:
		return errors.New("a key that is recorded was run again")
	case recorded && (next.code != t.want || !whole):
		return errors.New("a key that is recorded is not replayed")
	case r.code == t.want:
		t.counts.done++
		switch {
		case !recorded && starts != 1:
			return fmt.Errorf("status %d after %d starts", r.code, starts)
		case more > 0 || !replayed:
			return fmt.Errorf("status %d is not in the record", r.code)
		case !whole && !strings.Contains(r.err+next.err, "idem: "):
			return errors.New("the output is not in the record, and nobody says so")
		}
	case r.code == exitOutput && t.want == 0: // done, and our own stdout or stderr failed
		t.counts.done++
		switch {
		case !recorded && starts != 1:
			return fmt.Errorf("status %d after %d starts", r.code, starts)
		case more > 0 || !replayed:
			return fmt.Errorf("status %d, and the success is not in the record", r.code)
		}
	case r.refusal(), r.code == 126:
		if r.code == 126 {
			t.counts.other++
		} else {
			t.counts.refused++
		}
		if starts > 0 {
			return fmt.Errorf("status %d although it was started", r.code)
		}
		if !recorded && next.code != t.want && next.code != exitInterrupted {
			return fmt.Errorf("and then %d", next.code)
		}
	case r.code == 125:
		t.counts.undecided++
		switch {
		case starts != 1:
			return fmt.Errorf("status 125 after %d starts", starts)
		case more > 0:
			return errors.New("run again after 125")
		}
	default:
		return fmt.Errorf("status %d", r.code)
	}
	return nil
}

// settled holds idem mark and idem forget against what they may come to.
func (t *injection) settled(r reply) error {
	next, err := t.again("show", t.key)
	if err != nil {
		return err
	}
	done := next.code == 1
	if t.args[0] == "mark" {
		done = strings.Contains(next.out, "succeeded")
	}
	switch {
	case next.code > 1:
		return errors.New("the ledger cannot be read any more")
	case r.code == 0 && !done:
		return fmt.Errorf("idem %s says that it is done", t.args[0])
	case r.code == 0:
		t.counts.done++
	case !r.refusal() && r.code != 1:
		return fmt.Errorf("status %d", r.code)
	default:
		t.counts.refused++
	}
	if t.starts() != nil {
		return errors.New("something was started")
	}
	return nil
}
