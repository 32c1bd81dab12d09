package transfer

import (
	"bytes"
	"testing"

	"idem/ledger"
)

// TestAnInterruptedAttemptIsNotReplaced, unless the other ledger has a success or knows the attempt.
// An import without effect says the same.
func TestAnInterruptedAttemptIsNotReplaced(t *testing.T) {
	for name, c := range map[string]struct {
		outcome ledger.Outcome
		same    bool // the other ledger has the interrupted attempt, too
		want    Summary
	}{
		"a failure":                {failure, false, Summary{Records: 1, Conflicts: 1}},
		"another interruption":     {lost, false, Summary{Records: 1, Conflicts: 1}},
		"a success":                {success, false, Summary{Records: 1, Stored: 1}},
		"a failure of the attempt": {failure, true, Summary{Records: 1, Stored: 1}},
	} {
		from, to := newKit(t), newKit(t)
		to.run(key("a"), ledger.Start{}, lost)
		if c.same {
			_, err := from.importAll(to.export(), Refuse)
			from.ok(err)
		}
		from.run(key("a"), ledger.Start{}, c.outcome)
		file := from.export()
		i, err := NewImporter(bytes.NewReader(file))
		to.ok(err)
		refused := 0
		dry, err := i.Import(t.Context(), to.l, ImportOptions{OnConflict: Newer, DryRun: true, Refused: func(ledger.Record, ledger.Record, error) { refused++ }})
		to.ok(err)
		sum, err := to.importAll(file, Newer)
		to.ok(err)
		if sum != c.want || dry != c.want || refused != c.want.Conflicts {
			t.Errorf("%s: got %+v, without effect %+v with %d refused, want %+v", name, sum, dry, refused, c.want)
		}
	}
}

// TestARecordThatStaysGetsTheFence of the other ledger, so that no fence returns.
func TestARecordThatStaysGetsTheFence(t *testing.T) {
	for _, how := range []Conflict{Keep, Newer} {
		from, to := newKit(t), newKit(t)
		for range 3 {
			from.run(key("a"), ledger.Start{}, success)
			from.ok(from.l.Forget(t.Context(), key("a")))
		}
		from.run(key("a"), ledger.Start{}, failure)
		to.run(key("a"), ledger.Start{}, success)
		was, err := to.l.Get(t.Context(), key("a"))
		to.ok(err)
		sum, err := to.importAll(from.export(), how)
		to.ok(err)
		if want := (Summary{Records: 1, Kept: 1, Behind: 1}); sum != want {
			t.Errorf("%s: got %+v, want %+v", how, sum, want)
		}
		there, err := from.l.Get(t.Context(), key("a"))
		from.ok(err)
		here, err := to.l.Get(t.Context(), key("a"))
		to.ok(err)
		if here.Fence != there.Fence || here.Current.RunID != was.Current.RunID || here.Generation != was.Generation {
			t.Errorf("%s: got %+v, want the fence %d and else %+v", how, here, there.Fence, was)
		}
	}
}
