package postgres

import (
	"context"
	"errors"
	"testing"

	"idem/ledger"
	"idem/ledger/postgres/pgtest"
)

// settle marks a key as done on behalf of a person.
func (k *unsentKit) settle(l *Ledger, key string) {
	k.Helper()
	c, err := l.ClaimSettling(k.Context(), idOf(key))
	must(k.T, err)
	rec, err := c.Record(k.Context())
	must(k.T, err)
	_, err = c.Mark(k.Context(), testMark(rec))
	must(k.T, err)
	must(k.T, c.Release())
}

// wantRefused checks that no call may start a key before Confirm.
func (k *unsentKit) wantRefused(key string) {
	k.Helper()
	if _, err := k.host().Claim(k.Context(), idOf(key)); !errors.Is(err, ledger.ErrFailedOver) {
		k.Errorf("key %s: got error %v, want %v", key, err, ledger.ErrFailedOver)
	}
}

// TestMarkBeforeConfirm: a person settles forgotten keys one after the other, also one whose outcome
// the host has kept. The host goes on to refuse keys until Confirm.
func TestMarkBeforeConfirm(t *testing.T) {
	k := doubtKit(t, InitOptions{})
	k.run(k.host(), "kept0", ledger.Succeeded)
	restore := k.server.Snapshot(t)
	k.run(k.host(), "lost0", ledger.Succeeded)
	k.run(k.host(), "lost1", ledger.Succeeded)
	c, x := k.begin(k.host(), "unsent")
	k.unsent(c, x, finalSuccess)
	k.mend()
	restore()
	for _, key := range []string{"other0", "other1", "other2"} { // the numbers exceed that of the witness
		k.run(k.open("b"), key, ledger.Succeeded)
	}
	k.wantRefused("lost1")
	k.settle(k.host(), "unsent")
	k.settle(k.host(), "lost0")
	k.wantRefused("lost1")
	k.wantRefused("unsent")
	k.confirm(pgtest.URL(k.server.Addr(), pgtest.Owner, pgtest.Database, k.schema, "sslmode=disable"))
	if n := k.server.Query(t, "select confirmations from "+k.schema+".meta"); n != "2" {
		t.Errorf("got %s confirmations, want 2", n)
	}
	k.state(k.host(), "unsent", ledger.Succeeded)
	late, err := k.host().Late(t.Context(), c.id)
	if err != nil || len(late) != 1 || k.kept("a") != 0 {
		t.Errorf("got late outcomes %+v, %v, and %d kept ones", late, err, k.kept("a"))
	}
}

// TestKeptAfterAMarkThatFails: a command that may go on without the ledger stays protected.
func TestKeptAfterAMarkThatFails(t *testing.T) {
	k := newUnsentKit(t)
	o := k.o
	o.Keep = true
	l := k.openAt("a", k.place, o)
	c, _ := k.begin(l, "k")
	l.leases.remove(c.held)
	k.expire("k")
	row := func() string { return k.server.Query(t, "select r::text from "+k.schema+".record r") }
	before := row()
	b := k.open("b")
	for name, mark := range map[string]func(c ledger.Claim) error{
		"none": func(ledger.Claim) error { return nil },
		"changed": func(c ledger.Claim) error {
			_, err := c.Mark(t.Context(), testMark(ledger.Record{ID: idOf("k")}))
			return err
		},
		"ended": func(c ledger.Claim) error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := c.Mark(ctx, testMark(ledger.Record{ID: idOf("k")}))
			return err
		},
	} {
		s, err := b.ClaimSettling(t.Context(), c.id)
		must(t, err)
		if err := mark(s); err == nil && name != "none" {
			t.Errorf("%s: no error", name)
		}
		must(t, s.Release())
		if _, err := k.open("c").Claim(t.Context(), c.id); !errors.As(err, new(*ledger.KeptError)) {
			t.Errorf("%s: got error %v, want a KeptError", name, err)
		}
		if after := row(); after != before {
			t.Errorf("%s: got row %s, want %s", name, after, before)
		}
	}
	k.settle(b, "k")
	k.state(b, "k", ledger.Succeeded)
	must(t, k.claim(k.open("c"), "k").Release())
}
