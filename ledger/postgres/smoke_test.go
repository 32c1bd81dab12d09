package postgres

import (
	"testing"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/ledgertest"
)

func TestSmoke(t *testing.T) {
	h := forms["host"].harness(t)
	_ = ledgertest.Harness(h)
	place := h.New(t)
	l, err := h.Open(place)
	must(t, err)
	ctx := t.Context()
	id := ledger.ID{Namespace: "n", Key: "k"}
	r, err := l.Get(ctx, id)
	must(t, err)
	t.Logf("%+v", r)
	for range 3 {
		c, err := l.Claim(ctx, id)
		must(t, err)
		x, err := c.Begin(ctx, ledger.Start{RunID: uuid.NewString()})
		must(t, err)
		r, err = l.Get(ctx, id)
		must(t, err)
		t.Logf("%+v", r)
		_, err = x.Finish(ctx, ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: 3})
		must(t, err)
		r, err = l.Get(ctx, id)
		must(t, err)
		t.Logf("%+v", r)
		must(t, c.Release())
	}
}
