package ledgertest

import (
	"context"

	"idem/ledger"
)

// A Mem forgets the records below a record at the moment when a new series begins. It never
// deletes a record, so generations and fences cannot return.

// below returns the records directly below a record.
func (m *Mem) below(id ledger.ID) map[ledger.ID]*memRecord {
	all := map[ledger.ID]*memRecord{}
	for child, r := range m.records {
		if r.parent == id {
			all[child] = r
		}
	}
	return all
}

// renew begins a new series of id. The error is a *ledger.BusyError while one of the records
// below is alive.
func (m *Mem) renew(id ledger.ID) error {
	if err := m.requireIdle(id); err != nil {
		return err
	}
	if len(m.below(id)) > 0 {
		m.at(id).series++
		m.forgetBelow(id)
	}
	return nil
}

func (m *Mem) requireIdle(id ledger.ID) error {
	for child, r := range m.below(id) {
		state := r.current().State
		if state == ledger.Running && r.holder != nil {
			return m.busy(child)
		}
		if state == ledger.Succeeded {
			continue
		}
		if err := m.requireIdle(child); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mem) forgetBelow(id ledger.ID) {
	for child, r := range m.below(id) {
		r.forget()
		r.parent = ledger.ID{}
		m.forgetBelow(child)
	}
}

// forget drops the history of r.
func (r *memRecord) forget() {
	r.attempts = nil
	clear(r.outputs)
	clear(r.files)
	r.generation++
}

func (r *memRecord) adopt(o ledger.Origin) {
	if o.Parent != (ledger.ID{}) {
		r.parent = o.Parent
	}
}

// Adopt implements ledger.Claim.
func (c *memClaim) Adopt(ctx context.Context, o ledger.Origin) error {
	if err := o.Check(c.id); err != nil {
		return err
	}
	c.handle.mu.Lock()
	defer c.handle.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case c.r.holder != c:
		return ledger.ErrLost
	case c.r.parent == (ledger.ID{}) && c.r.current().RunID != "":
		c.r.adopt(o)
	}
	return nil
}

// Successes implements ledger.Surveying.
func (h *memHandle) Successes(ctx context.Context, parent ledger.ID) (ledger.Successes, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := memSuccesses{}
	for id, r := range h.below(parent) {
		if a := r.current(); a.State == ledger.Succeeded {
			s[id] = a.Fingerprint
		}
	}
	return s, ctx.Err()
}

type memSuccesses map[ledger.ID]string

func (s memSuccesses) Has(id ledger.ID, fingerprint string) bool {
	f, ok := s[id]
	return ok && f == fingerprint
}

func (s memSuccesses) Bytes() int { return 100 * len(s) }

// Tallies implements ledger.Surveying.
func (h *memHandle) Tallies(ctx context.Context, parents ...ledger.ID) (map[ledger.ID]ledger.Tally, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wanted := map[ledger.ID]bool{}
	for _, id := range parents {
		wanted[id] = true
	}
	all := map[ledger.ID]ledger.Tally{}
	for id, r := range h.records {
		phase := r.record(id).Phase()
		if r.parent == (ledger.ID{}) || phase == ledger.PhaseNone || len(parents) > 0 && !wanted[r.parent] {
			continue
		}
		if all[r.parent] == nil {
			all[r.parent] = ledger.Tally{}
		}
		all[r.parent][phase]++
	}
	return all, ctx.Err()
}
