package cmd

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"idem/ledger"
	"idem/runner"
)

const waitLong = `Wait until keys are settled: succeeded, failed or interrupted. idem also waits
for a key that has never run. It prints on stderr what it waits for, and repeats
that every minute if stderr is not a terminal.`

func (a *app) waitCommand() *cobra.Command {
	var timeout duration
	var asJSON bool
	var record *recordFlags
	c := &cobra.Command{
		Use:     "wait KEY...",
		Short:   "Wait until keys are settled",
		Long:    waitLong + recordLong + refuseLong,
		Example: "  idem wait --timeout 10m deploy:prod:8471 && ./smoke-test.sh",
		Args:    someArgs("key"),
		RunE:    func(c *cobra.Command, keys []string) error { return a.wait(c.Context(), keys, record, timeout, asJSON) },
	}
	record = newRecordFlags(c, nil, false)
	c.Flags().Var(&timeout, "timeout", "give up with status 75 after `DURATION` (default: never)")
	c.Flags().BoolVarP(&a.ui.quiet, "quiet", "q", false, "print errors only, not what idem waits for")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array of the records that are settled, at the end")
	return c
}

// wait waits for keys. With asJSON, it prints those that are settled, also when it gives up.
func (a *app) wait(ctx context.Context, keys []string, record *recordFlags, timeout duration, asJSON bool) error {
	l, ids, want, err := a.openFor(record, keys...)
	if err != nil {
		return err
	}
	if timeout.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout.Duration)
		defer cancel()
	}
	settled := []keyView{}
	end := func(err error) error {
		if asJSON {
			return cmp.Or(a.printJSON(settled), err)
		}
		return err
	}
	var first error
	for _, id := range ids {
		rec, err := a.settledRecord(ctx, l, id, want, record)
		if err == nil {
			settled = append(settled, viewKey(rec))
		}
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return end(fail(exitBusy, "key %s is not settled after %v", quote(id.Key), timeout.Duration))
		case err != nil:
			return err
		case first != nil:
		case rec.Phase() == ledger.PhaseInterrupted:
			first = interruptedFailure(runner.Result{Record: rec}, runner.Call{}).withoutFlagHints()
		case rec.Current.State == ledger.Failed:
			f := fail(rec.Current.ExitCode, "key %s failed: %s %s", keyShown(rec), attemptText(rec.Current), outcomeText(rec.Current))
			if rec.Current.Number > 0 {
				f.hintFor(rec.ID, "to see its output", "logs")
			}
			first = f
		}
	}
	return end(first)
}

// settledRecord waits until a key is settled, and prints what it waits for.
func (a *app) settledRecord(ctx context.Context, l ledger.Store, id ledger.ID, want runner.Which, record *recordFlags) (ledger.Record, error) {
	notes, pace, checked := waiting{ui: &a.ui}, reminder{}, len(outerAttempts()) == 0
	rec, err := runner.Settled(ctx, l, id.Namespace, id.Key, want, func(rec ledger.Record) error {
		if rec.Phase() == ledger.PhaseBatch {
			return noOutcomeFailure(rec.ID)
		}
		if !checked {
			checked = true
			if err := a.refuseInside(ctx, l, rec.ID); err != nil {
				return err
			}
		}
		if pace.due() {
			notes.unsettled(ctx, l, rec)
		}
		return nil
	})
	return rec, record.refused(err)
}

// refuseInside returns a failure if this call runs inside an attempt of the key: that
// attempt cannot end before the call does.
func (a *app) refuseInside(ctx context.Context, l ledger.Store, id ledger.ID) error {
	r := runner.Runner{Ledger: l, Now: a.now}
	call := runner.Call{ID: id, Inside: insideOf(id, l.Place()), Wait: runner.Wait{Set: true}}
	res, err := r.Ask(context.WithoutCancel(ctx), call, false)
	if err == nil && res.Reason == runner.ReasonRecursive {
		return refusal(res, call).withoutFlagHints()
	}
	return err
}
