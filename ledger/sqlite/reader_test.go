package sqlite

import (
	"os"
	"testing"

	"idem/ledger"
)

// TestReadsOfABatchWaitForNoCommit checks that a batch can read and claim items while a
// commit is in progress, and that it reads what was committed before.
func TestReadsOfABatchWaitForNoCommit(t *testing.T) {
	l := opened(t, fresh(t))
	defer l.Sustain()()
	runs(t, l, theKey, "r0", []byte("x"), success)
	func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		tx, err := l.db.Begin() // takes the only connection that writes, and the lock of the database
		must(t, err)
		defer tx.Rollback()
		rec, err := l.Get(t.Context(), theKey)
		must(t, err)
		if rec.Current.RunID != "r0" {
			t.Errorf("got run %q, want r0", rec.Current.RunID)
		}
		c, err := l.Claim(t.Context(), ledger.ID{Key: "next"})
		must(t, err)
		must(t, c.Release())
		if err := l.reader.Load().QueryRow("delete from records returning id").Scan(new(int64)); err == nil {
			t.Error("the connection for reading can write")
		}
	}()
	runs(t, l, theKey, "r1", nil, success)
	rec, err := l.Get(t.Context(), theKey)
	must(t, err)
	if rec.Current.RunID != "r1" {
		t.Errorf("got run %q, want r1", rec.Current.RunID)
	}
}

// TestReaderOfAnotherLedgerIsNotUsed checks that a batch whose ledger was replaced reads no
// record of the other one.
func TestReaderOfAnotherLedgerIsNotUsed(t *testing.T) {
	place, other := fresh(t), fresh(t)
	l := opened(t, place)
	runs(t, l, theKey, "mine", nil, success)
	runs(t, opened(t, other), theKey, "other", nil, success)
	must(t, os.Rename(place, place+".old"))
	must(t, os.Rename(other, place))
	defer l.Sustain()()
	if l.reader.Load() != nil {
		t.Error("the ledger that was put in the place of this one is read")
	}
}
