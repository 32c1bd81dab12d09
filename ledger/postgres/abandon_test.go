package postgres

import (
	"testing"

	"idem/ledger"
)

// abandonElsewhere lets host b take a key over, begin an attempt and abandon it.
func (k *mutexKit) abandonElsewhere(key string) {
	k.Helper()
	k.expire(key)
	c := k.claim(k.open("b"), key)
	x, err := c.Begin(k.Context(), ledger.Start{RunID: "abandoned"})
	must(k.T, err)
	must(k.T, x.Abandon(k.Context()))
	must(k.T, c.Release())
}

// TestFinishAfterAbandonElsewhere: an attempt that is current again takes its outcome.
func TestFinishAfterAbandonElsewhere(t *testing.T) {
	t.Parallel()
	for name, kept := range map[string]bool{"sent": false, "kept": true} {
		t.Run(name, func(t *testing.T) {
			k := newUnsentKit(t)
			c, x := k.begin(k.host(), "k")
			if kept {
				k.unsent(c, x, finalSuccess)
				k.mend()
			}
			k.abandonElsewhere("k")
			if kept {
				k.sync(k.host(), 1, 0)
			} else {
				_, err := x.Finish(t.Context(), finalSuccess)
				must(t, err)
				must(t, c.Release())
			}
			if a := k.state(k.host(), "k", ledger.Succeeded); a.RunID != x.Attempt().RunID {
				t.Errorf("got run %s, want %s", a.RunID, x.Attempt().RunID)
			}
			must(t, k.claim(k.host(), "k").Release()) // the witness is there
		})
	}
}

// TestDoneAfterAbandonElsewhere is that of a command that records its success itself.
func TestDoneAfterAbandonElsewhere(t *testing.T) {
	k := newDoneKit(t)
	c, x := k.begin(k.open("a"), "k")
	k.abandonElsewhere("k")
	k.connect().do(k.work(c.id, x))
	k.wantState(k.open("b"), c.id, ledger.Succeeded, ledger.ReasonTransaction)
}
