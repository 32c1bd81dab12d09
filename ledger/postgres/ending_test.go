package postgres

import (
	"testing"
	"time"

	"idem/ledger/postgres/dsn"
)

// TestWarningOfSilence checks that only a claim that an answer of the server would keep causes
// the warning that the ledger does not answer.
func TestWarningOfSilence(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*held)
		want   bool
	}{
		"silent":      {func(*held) {}, true},
		"kept":        {func(h *held) { h.keep = true }, true},
		"answered":    {func(h *held) { h.since += time.Minute }, false},
		"has ended":   {func(h *held) { h.exited = true }, false},
		"over":        {func(h *held) { h.since -= time.Hour }, false},
		"taken over":  {func(h *held) { h.fenced = true }, false},
		"kept, taken": {func(h *held) { h.keep, h.fenced = true, true }, false},
	} {
		now := time.Hour
		l := &Ledger{cfg: &dsn.Config{}, opt: Options{LocalBase: t.TempDir(), Lease: 3 * time.Minute, KillAfter: 10 * time.Second, Warn: func(string) {}}}
		s := newLeases(l, nil)
		h := &held{run: "r", ended: true, length: l.opt.Lease, since: now - warnAfter(l.opt.Lease), lost: make(chan struct{})}
		test.change(h)
		s.all[h] = struct{}{}
		s.endOverdue(now)
		if s.warned != test.want {
			t.Errorf("%s: got a warning %t, want %t", name, s.warned, test.want)
		}
	}
}
