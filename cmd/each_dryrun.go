package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"idem/batch"
	"idem/items"
	"idem/ledger"
	"idem/runner"
)

// dryRun prints what would happen to each item. It writes nothing, and asks neither a probe
// nor a verification. The exit status is that of idem check: 1 if an item would run.
func (a *app) dryRun(ctx context.Context, b *bulk) error {
	out := stickyWriter{ui: &a.ui}
	w := bufio.NewWriter(&out)
	r := a.itemRunner(b)
	seen := batch.NewSeen()
	found := map[string]int{}
	bad := 0
	for {
		e, err := b.next()
		var line *items.BadLine
		switch {
		case errors.Is(err, io.EOF):
			if err := w.Flush(); err != nil {
				return err
			}
			if out.err != nil {
				return out.err
			}
			return a.dryEnd(b, found, bad)
		case errors.As(err, &line) && b.flags.skipBad:
			a.ui.say(errorMark, "%s", badLineText(b.flags, line))
			bad++
			continue
		case err != nil:
			_ = w.Flush()
			return listFailure(b.flags, err)
		}
		what := "duplicate"
		if before, same := seen.Add(e); before && !same {
			what = "mismatch"
		} else if !before {
			if what, err = a.wouldDo(ctx, b, r, e); err != nil {
				_ = w.Flush()
				return err
			}
		}
		found[what]++
		fmt.Fprintf(w, "%s\t%s\t%s\n", what, escape(e.ID.Key), commandLine(b.list.template.Argv(&e.Item)))
	}
}

// wouldDo returns the word for what a call would do with an item.
func (a *app) wouldDo(ctx context.Context, b *bulk, r *runner.Runner, e batch.Entry) (string, error) {
	call := a.itemCall(b, e)
	res, err := r.Ask(ctx, call, false)
	if err != nil {
		return "", err
	}
	phase := res.Record.Phase()
	if only := b.flags.only.value; only != "" && phase != ledger.PhaseRunning && phase != ledger.PhaseSucceeded && !selected(only, phase) {
		return "left-out", nil
	}
	switch res.Action {
	case runner.ActionReplay:
		if res.Record.Current.State == ledger.Succeeded {
			return "skip", nil
		}
		return "failed", nil
	case runner.ActionRefuse:
		switch refusal(res, call).code {
		case exitInterrupted:
			return "interrupted", nil
		case exitMismatch:
			return "mismatch", nil
		case exitBusy:
			return "busy", nil
		}
		return "refused", nil
	case runner.ActionProbe, runner.ActionVerify:
		return "ask", nil
	}
	if res.Record.Attempts > 0 {
		return "retry", nil
	}
	return "run", nil
}

// selected reports whether --only selects an item in a phase.
func selected(only string, p ledger.Phase) bool {
	switch p {
	case ledger.PhaseFailed:
		return only == string(batch.OnlyFailed)
	case ledger.PhaseInterrupted:
		return only == string(batch.OnlyInterrupted)
	}
	return only == string(batch.OnlyNew)
}

// dryEnd returns the ending of a dry run in which items were found, by their word.
func (a *app) dryEnd(b *bulk, found map[string]int, bad int) error {
	code := exitOK
	switch {
	case found["interrupted"] > 0:
		code = exitInterrupted
	case found["mismatch"] > 0, bad > 0:
		code = exitMismatch
	case found["refused"] > 0:
		code = exitFailed
	case found["run"]+found["retry"]+found["ask"] > 0:
		code = exitError
	case found["failed"] > 0:
		code = exitSomeFailed
	case found["busy"] > 0:
		code = exitBusy
	}
	return &ending{code: b.flags.exitCodes.remap(code)}
}
