package sqlite

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"

	"idem/ledger"
)

// marks settles theKey with a mark that has an output.
func marks(l *Ledger, expect ledger.Record, runID string, out []byte) (ledger.Attempt, error) {
	c, err := l.Claim(context.Background(), theKey)
	if err != nil {
		return ledger.Attempt{}, err
	}
	defer c.Release()
	return c.Mark(context.Background(), ledger.Mark{
		Expect: expect, State: ledger.Succeeded, Reason: ledger.ReasonMarked, RunID: runID, Stdout: bytes.NewReader(out), MaxOutput: -1,
	})
}

// TestRefusedMarkLeavesNoFile checks that the file of a large output is removed when the
// mark is refused.
func TestRefusedMarkLeavesNoFile(t *testing.T) {
	l := opened(t, fresh(t))
	none, err := l.Get(t.Context(), theKey)
	must(t, err)
	_, err = marks(l, none, "m1", large)
	must(t, err)
	if got, err := outputOf(l, theKey, "m1"); err != nil || got != string(large) {
		t.Errorf("got %d bytes, error %v", len(got), err)
	}
	if _, err := marks(l, none, "m2", large); !errors.Is(err, ledger.ErrChanged) {
		t.Errorf("got error %v", err)
	}
	files, err := os.ReadDir(l.dir.File("output"))
	if err != nil || len(files) != 1 || files[0].Name() != "m1" {
		t.Errorf("output has %v, error %v", files, err)
	}
}

// TestUnknownCommitIsReadBack checks that after a failed commit, the stored row decides
// whether the transaction was committed.
func TestUnknownCommitIsReadBack(t *testing.T) {
	l := opened(t, fresh(t))
	none, err := l.Get(t.Context(), theKey)
	must(t, err)
	_, err = marks(l, none, "m", nil)
	must(t, err)
	_, there, err := readBoth(t.Context(), l.db, theKey)
	must(t, err)
	other, missing := there, there
	other.a.ExitCode = 3
	missing.a.RunID = "never"
	lost := errors.New("the answer is lost")
	for what, test := range map[string]struct {
		row  attemptRow
		want error
	}{"there": {there, nil}, "there otherwise": {other, lost}, "missing": {missing, lost}} {
		if err := l.confirmed(t.Context(), l.write, theKey, &test.row, func(querier) error { return lost }); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", what, err, test.want)
		}
	}
}
