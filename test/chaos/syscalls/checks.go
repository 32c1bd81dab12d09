package syscalls

import (
	"errors"
	"fmt"
	"strings"

	"idem/test/chaos/lab"
)

// checkKilled checks the record after a call that ended as if killed.
func (t *trial) checkKilled() error {
	starts := t.StartsOf(t.key)
	next, err := t.callAgain(t.args...)
	if err == nil && starts > 0 && t.StartsOf(t.key) > starts && next.Code == 0 {
		err = errors.New("run again after the end of idem")
	}
	for item, n := range t.startsOfItems() { // none unless the call is a batch
		if err == nil && n > 1 {
			err = fmt.Errorf("item %s was started %d times", item, n)
		}
	}
	return err
}

// checkRun checks the end of idem run and the next call.
func (t *trial) checkRun(r lab.Reply) error {
	starts := t.StartsOf(t.key)
	recorded := strings.HasPrefix(t.key, "record:") // the command must not start
	next, err := t.callAgain(t.args...)
	if err != nil {
		return err
	}
	more := t.StartsOf(t.key) - starts
	whole := strings.Count(next.Out, "said by run") == t.lines
	// A replay that lacks a part of stdout has 74 instead of 0.
	replayed := next.Code == t.want || t.want == 0 && next.Code == lab.ExitOutput && !whole
	switch {
	case recorded && starts+more > 0:
		return errors.New("a key that is recorded was run again")
	case recorded && (next.Code != t.want || !whole):
		return errors.New("a key that is recorded is not replayed")
	case r.Code == t.want:
		t.counts.done++
		switch {
		case !recorded && starts != 1:
			return fmt.Errorf("status %d after %d starts", r.Code, starts)
		case more > 0 || !replayed:
			return fmt.Errorf("status %d is not in the record", r.Code)
		case !whole && !strings.Contains(r.Err+next.Err, "idem: "):
			return errors.New("the output is not in the record, and no message says so")
		}
	case r.Code == lab.ExitOutput && t.want == 0: // done, but stdout or stderr of idem failed
		t.counts.done++
		switch {
		case !recorded && starts != 1:
			return fmt.Errorf("status %d after %d starts", r.Code, starts)
		case more > 0 || !replayed:
			return fmt.Errorf("status %d, and the success is not in the record", r.Code)
		}
	case r.Refused(), r.Code == 126:
		if r.Code == 126 {
			t.counts.other++
		} else {
			t.counts.refused++
		}
		if starts > 0 {
			return fmt.Errorf("status %d although it was started", r.Code)
		}
		if !recorded && next.Code != t.want && next.Code != lab.ExitInterrupted {
			return fmt.Errorf("and then %d", next.Code)
		}
	case r.Code == 125:
		t.counts.undecided++
		switch {
		case starts != 1:
			return fmt.Errorf("status 125 after %d starts", starts)
		case more > 0:
			return errors.New("run again after 125")
		}
	default:
		return fmt.Errorf("status %d", r.Code)
	}
	return nil
}

// checkEach checks the end of idem each and the next call. No command fails, so no item
// starts a second time.
func (t *trial) checkEach(r lab.Reply) error {
	before := t.startsOfItems()
	next, err := t.callAgain(t.args...)
	if err != nil {
		return err
	}
	after := t.startsOfItems()
	missing := 0
	for _, item := range lab.Items {
		switch {
		case after[item] > 1:
			return fmt.Errorf("item %s was started %d times", item, after[item])
		case after[item] == 0:
			missing++
		}
	}
	switch {
	case r.Code == 0:
		t.counts.done++
		if len(before) != len(lab.Items) || next.Code != 0 {
			return fmt.Errorf("status 0 after %d starts, and then %d", len(before), next.Code)
		}
	case r.Code == 125:
		t.counts.undecided++
	case r.Refused():
		t.counts.refused++
	default:
		t.counts.other++ // such as 126, if no process can be made
	}
	if next.Code == 0 && missing > 0 {
		return fmt.Errorf("the next call ends with 0, and %d items were never started", missing)
	}
	if next.Code != 0 && next.Code != lab.ExitInterrupted {
		return fmt.Errorf("and then %d", next.Code)
	}
	return nil
}

func (t *trial) startsOfItems() map[string]int {
	starts := map[string]int{}
	for _, item := range lab.Items {
		if n := t.StartsOf(t.key + "/" + item); n > 0 {
			starts[item] = n
		}
	}
	return starts
}

// checkChange checks the end of idem mark and idem forget.
func (t *trial) checkChange(r lab.Reply) error {
	next, err := t.callAgain("show", t.key)
	if err != nil {
		return err
	}
	done := next.Code == 1
	if t.args[0] == "mark" {
		done = strings.Contains(next.Out, "succeeded")
	}
	switch {
	case next.Code > 1:
		return errors.New("the ledger cannot be read any more")
	case r.Code == 0 && !done:
		return fmt.Errorf("idem %s says that it is done", t.args[0])
	case r.Code == 0:
		t.counts.done++
	case !r.Refused() && r.Code != 1:
		return fmt.Errorf("status %d", r.Code)
	default:
		t.counts.refused++
	}
	if t.Starts() != nil {
		return errors.New("something was started")
	}
	return nil
}
