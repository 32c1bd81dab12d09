package runner

import (
	"context"
	"errors"

	"idem/ledger"
)

// The reasons why a template cannot be recorded for a batch.
var (
	ErrTemplate = errors.New("the batch is recorded with another template")
	ErrNotBatch = errors.New("the key is recorded for a run, not for a batch")
)

// Template is what the items of a batch have in common. Only a change of it is recorded, so
// a call over a list whose items are done writes nothing.
type Template struct {
	ID          ledger.ID     // of the batch
	Origin      ledger.Origin // of a batch inside of a run
	RunID       string
	Owner       ledger.Owner
	Fingerprint string
	Inputs      []byte
	// Replace records the template in place of another one. With Renew, all items are new
	// then.
	Replace, Renew bool
}

// Check returns why the template cannot be recorded, or nil. same reports whether it is
// recorded already.
func (t *Template) Check(rec ledger.Record) (same bool, err error) {
	switch {
	case rec.Phase() == ledger.PhaseNone:
		return false, nil
	case rec.Current.State != ledger.Batch:
		return false, ErrNotBatch
	case rec.Current.Fingerprint == t.Fingerprint:
		return true, nil
	case !t.Replace:
		return false, ErrTemplate
	}
	return false, nil
}

// Record records the template unless it is recorded already. Another call may have recorded
// one since Check, so the error may be that of Check again, with the record. With Renew, the
// error may be the *ledger.BusyError of an item.
func (t *Template) Record(ctx context.Context, l ledger.Ledger) (ledger.Record, error) {
	for {
		rec, err := l.Get(ctx, t.ID)
		if err != nil {
			return rec, err
		}
		if same, err := t.Check(rec); same || err != nil {
			return rec, err
		}
		claim, err := l.Claim(ctx, t.ID)
		if busy := (*ledger.BusyError)(nil); errors.As(err, &busy) { // another call records its template
			if err := l.Wait(ctx, t.ID); err != nil {
				return rec, err
			}
			continue
		}
		if err != nil {
			return rec, err
		}
		rec, err = t.mark(ctx, claim)
		return rec, errors.Join(err, claim.Release())
	}
}

func (t *Template) mark(ctx context.Context, claim ledger.Claim) (ledger.Record, error) {
	rec, err := claim.Record(ctx)
	if err != nil {
		return rec, err
	}
	if same, err := t.Check(rec); same || err != nil {
		return rec, err
	}
	rec.Current, err = claim.Mark(ctx, ledger.Mark{
		Expect: rec, State: ledger.Batch, Reason: ledger.ReasonMarked, RunID: t.RunID, Owner: t.Owner,
		Fingerprint: t.Fingerprint, Inputs: t.Inputs, Origin: t.Origin,
		Renew: t.Renew && rec.Current.State == ledger.Batch,
	})
	return rec, err
}
