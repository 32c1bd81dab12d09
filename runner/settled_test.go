package runner

import (
	"context"
	"errors"
	"testing"
	"time"

	"idem/ledger"
	"idem/ledger/ledgertest"
)

// settle settles a key by hand.
func settle(t *testing.T, l ledger.Ledger, id ledger.ID, state ledger.State, runID string) {
	t.Helper()
	if _, err := Mark(t.Context(), l, id, Settlement{State: state, RunID: runID, ExitCode: 1}); err != nil {
		t.Fatal(err)
	}
}

func TestSettled(t *testing.T) {
	id := ledger.ID{Namespace: "n", Key: "k"}
	for state, want := range map[ledger.State]ledger.Phase{ledger.Succeeded: ledger.PhaseSucceeded, ledger.Failed: ledger.PhaseFailed} {
		l := ledgertest.NewMem().Open()
		settle(t, l, id, state, "run")
		rec, err := Settled(t.Context(), l, "n", "k", Which{}, func(rec ledger.Record) error {
			t.Errorf("%s: unsettled is called with %s", state, rec.Phase())
			return nil
		})
		if err != nil || rec.Phase() != want {
			t.Errorf("%s: got %s, %v, want %s", state, rec.Phase(), err, want)
		}
	}
}

// A key without a record is waited for. Once it has one, also one in a window, the
// wait is for that record.
func TestSettledStaysWithItsRecord(t *testing.T) {
	l := ledgertest.NewMem().Open()
	in := func(window string) ledger.ID { return ledger.ID{Namespace: "n", Key: "k", Window: window} }
	var phases []ledger.Phase
	rec, err := Settled(t.Context(), l, "n", "k", Which{Latest: true}, func(rec ledger.Record) error {
		phases = append(phases, rec.Phase())
		switch len(phases) {
		case 1: // the first record, to be run again
			settle(t, l, in("2025"), ledger.Failed, "first")
			settle(t, l, in("2025"), ledger.None, "again")
		case 2: // a later one, and the first is settled
			settle(t, l, in("2026"), ledger.Succeeded, "later")
			settle(t, l, in("2025"), ledger.Failed, "settled")
		}
		return nil
	})
	if err != nil || rec.ID != in("2025") || rec.Phase() != ledger.PhaseFailed {
		t.Errorf("got %v %s, %v, want the record of 2025, failed", rec.ID, rec.Phase(), err)
	}
	if len(phases) != 2 || phases[0] != ledger.PhaseNone || phases[1] != ledger.PhaseRetry {
		t.Errorf("unsettled is called with %v, want none and retry", phases)
	}
}

func TestSettledEnds(t *testing.T) {
	l := ledgertest.NewMem().Open()
	stop := errors.New("stop")
	if _, err := Settled(t.Context(), l, "n", "k", Which{}, func(ledger.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the error of unsettled", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := Settled(ctx, l, "n", "k", Which{}, func(ledger.Record) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	settle(t, l, ledger.ID{Namespace: "n", Key: "k", Window: "2026"}, ledger.Succeeded, "run")
	if _, err := Settled(t.Context(), l, "n", "k", Which{}, func(ledger.Record) error { return nil }); !errors.As(err, new(*AmbiguousError)) {
		t.Errorf("got %v, want an *AmbiguousError", err)
	}
}

func TestAttempts(t *testing.T) {
	k := newKit(t)
	l := k.mem.Open()
	if _, found, err := AttemptNumbered(t.Context(), l, k.id, 0); found || err != nil {
		t.Errorf("a key that never ran: got %v, %v, want no attempt", found, err)
	}
	k.write("exit", "1")
	k.first(k.job())
	k.first(k.job())
	settle(t, l, k.id, ledger.Succeeded, "mark") // without an output
	for number, want := range map[int]int{0: 2, 1: 1, 2: 2, 3: -1} {
		at, found, err := AttemptNumbered(t.Context(), l, k.id, number)
		if err != nil || found != (want > 0) || found && at.Number != want {
			t.Errorf("attempt %d: got %d, %v, %v, want %d", number, at.Number, found, err, want)
		}
	}
	for _, at := range k.attempts() {
		now, running, err := AttemptNow(t.Context(), l, k.id, at.RunID)
		if err != nil || running || now.RunID != at.RunID || now.Number != at.Number {
			t.Errorf("%s: got %s, running: %v, %v", at.RunID, now.RunID, running, err)
		}
	}
	if now, running, err := AttemptNow(t.Context(), l, k.id, "none"); err != nil || running || now.RunID != "" {
		t.Errorf("an attempt that is not recorded: got %+v, running: %v, %v", now, running, err)
	}
}

func TestAttemptNowWhileItRuns(t *testing.T) {
	k := newKit(t)
	result, goOn := k.started(k.mem.Open(), "true")
	id := k.record().Current.RunID
	if _, running, err := AttemptNow(t.Context(), k.mem.Open(), k.id, id); err != nil || !running {
		t.Errorf("running: %v, %v, want true", running, err)
	}
	goOn()
	<-result
	if at, running, err := AttemptNow(t.Context(), k.mem.Open(), k.id, id); err != nil || running || at.State != ledger.Succeeded {
		t.Errorf("after its end: %s, running: %v, %v", at.State, running, err)
	}
}
