package runner

import (
	"context"
	"testing"

	"idem/ledger"
)

// committing is a ledger in which each command records its success in its own transaction.
type committing struct{ ledger.Ledger }

type committingClaim struct{ ledger.Claim }

type committingExecution struct{ ledger.Execution }

func (l committing) Claim(ctx context.Context, id ledger.ID) (ledger.Claim, error) {
	c, err := l.Ledger.Claim(ctx, id)
	return committingClaim{c}, err
}

func (c committingClaim) Begin(ctx context.Context, s ledger.Start) (ledger.Execution, error) {
	x, err := c.Claim.Begin(ctx, s)
	return committingExecution{x}, err
}

func (x committingExecution) Finish(ctx context.Context, o ledger.Outcome) (ledger.Attempt, error) {
	if o.State == ledger.Failed {
		o.State, o.Reason, o.ExitCode, o.Signal = ledger.Succeeded, ledger.ReasonTransaction, 0, 0
	}
	return x.Execution.Finish(ctx, o)
}

// A command that fails after its own transaction has recorded its success is not run again, and
// its caller learns the status.
func TestFailureAfterARecordedSuccess(t *testing.T) {
	for exit, overruled := range map[string]bool{"0": false, "3": true} {
		k := newKit(t)
		c := k.call("sh", "-c", "echo x >>"+k.dir+"/side; exit "+exit)
		c.Retries.N = 2
		res, err := c.run(t.Context(), committing{k.mem.Open()})
		if err != nil || res.Record.Current.State != ledger.Succeeded || res.Record.Attempts != 1 {
			t.Errorf("exit %s: got %+v, %v, want one attempt, which has succeeded", exit, res.Record, err)
		}
		if (res.Overruled != nil) != overruled || overruled && res.Overruled.ExitCode != 3 {
			t.Errorf("exit %s: got %+v", exit, res.Overruled)
		}
		again, err := c.run(t.Context(), committing{k.mem.Open()})
		if err != nil || again.Action != ActionReplay || again.Overruled != nil {
			t.Errorf("exit %s: then got %v, %v, want a replay", exit, again.Decision, err)
		}
	}
}
