package runner

import (
	"context"
	"slices"
	"time"

	"idem/ledger"
)

// settledInterval is how often Settled reads a record.
const settledInterval = 100 * time.Millisecond

// Settled waits until the record of a key that w means is settled: succeeded, failed
// or interrupted. A failure does not count while its call may retry it. A record that does
// not exist yet is waited for; once there is one, Settled waits for that one. Each time
// that it reads a record that is not settled, it calls unsettled, whose error ends the
// wait. It returns the record as it read it last, with the errors of Find, of unsettled
// and of ctx.
//
// It polls: Ledger.Wait returns when a key can be claimed, which may be long after its
// attempt has ended, while processes that the command left behind are alive.
func Settled(ctx context.Context, l ledger.Ledger, namespace, key string, w Which, unsettled func(ledger.Record) error) (ledger.Record, error) {
	for {
		// A cancelled query costs its connection, and with the last one SQLite
		// removes the -wal.
		found, err := Find(context.WithoutCancel(ctx), l, namespace, key, w)
		rec := found.Record
		if err != nil {
			return rec, err
		}
		switch phase := rec.Phase(); {
		case rec.Retrying():
			w = Which{Exact: true, Window: rec.ID.Window}
		case phase == ledger.PhaseSucceeded, phase == ledger.PhaseFailed, phase == ledger.PhaseInterrupted:
			return rec, nil
		case phase == ledger.PhaseNone:
		default:
			w = Which{Exact: true, Window: rec.ID.Window}
		}
		if err := unsettled(rec); err != nil {
			return rec, err
		}
		select {
		case <-ctx.Done():
			return rec, ctx.Err()
		case <-time.After(settledInterval):
		}
	}
}

// AttemptNumbered returns the attempt of a record with a number and reports whether
// there is one. Number 0 means the last attempt that ran, or that was settled with an
// output.
func AttemptNumbered(ctx context.Context, l ledger.Ledger, id ledger.ID, number int) (ledger.Attempt, bool, error) {
	attempts, err := l.Attempts(ctx, id)
	if err != nil {
		return ledger.Attempt{}, false, err
	}
	for _, at := range slices.Backward(attempts) {
		if at.Number == number && number > 0 || number == 0 && (at.Number > 0 || at.OutputBytes > 0) {
			return at, true, nil
		}
	}
	return ledger.Attempt{}, false, nil
}

// AttemptNow returns an attempt as it is recorded now and reports whether it is
// running, so its output may grow. The attempt is zero if it is not recorded any more.
func AttemptNow(ctx context.Context, l ledger.Ledger, id ledger.ID, runID string) (at ledger.Attempt, running bool, err error) {
	rec, err := l.Get(ctx, id)
	if err != nil {
		return ledger.Attempt{}, false, err
	}
	if rec.Current.RunID == runID {
		return rec.Current, rec.Phase() == ledger.PhaseRunning, nil
	}
	attempts, err := l.Attempts(ctx, id)
	if i := slices.IndexFunc(attempts, func(at ledger.Attempt) bool { return at.RunID == runID }); i >= 0 {
		at = attempts[i]
	}
	return at, false, err
}
