package ledgertest

import (
	"context"
	"iter"
	"slices"
	"time"

	"idem/ledger"
)

// StoredOutputs implements ledger.Collecting. A Ref is the position of the attempt in its record.
func (h *memHandle) StoredOutputs(ctx context.Context) iter.Seq2[ledger.StoredOutput, error] {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []ledger.StoredOutput
	for id, r := range h.records {
		for i, a := range r.attempts {
			out := r.outputs[a.RunID]
			if a.State == ledger.Running || len(out.chunks) == 0 {
				continue
			}
			all = append(all, ledger.StoredOutput{
				ID: id, RunID: a.RunID, At: ledger.EndOf(a), Bytes: out.size, Superseded: i < len(r.attempts)-1, State: r.current().State, Child: r.parent != (ledger.ID{}), Pending: h.pending(r), Ref: int64(i),
			})
		}
	}
	return seq(all, ctx.Err())
}

// pending reports whether a record above r has neither succeeded nor is a batch.
func (m *Mem) pending(r *memRecord) bool {
	for r.parent != (ledger.ID{}) {
		r = m.at(r.parent)
		if s := r.current().State; s != ledger.Succeeded && s != ledger.Batch {
			return true
		}
	}
	return false
}

// RemoveOutputs implements ledger.Collecting.
func (h *memHandle) RemoveOutputs(ctx context.Context, outputs []ledger.StoredOutput) (removed []ledger.StoredOutput, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, o := range outputs {
		r := h.at(o.ID)
		if r.current().State == ledger.Running || int(o.Ref) >= len(r.attempts) || r.attempts[o.Ref].RunID != o.RunID || len(r.outputs[o.RunID].chunks) == 0 {
			continue
		}
		if h.pending(r) && int(o.Ref) == len(r.attempts)-1 {
			continue
		}
		r.attempts = slices.Clone(r.attempts)
		a := &r.attempts[o.Ref]
		a.RemoveOutput(now().Truncate(time.Microsecond))
		r.outputs[o.RunID] = &memOutput{size: a.OutputBytes, removed: a.OutputRemoved}
		removed = append(removed, o)
	}
	return removed, nil
}

// OldRecords implements ledger.Collecting.
func (h *memHandle) OldRecords(ctx context.Context, before time.Time) iter.Seq2[ledger.OldRecord, error] {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []ledger.OldRecord
	for id, r := range h.records {
		rec := r.record(id)
		if rec.Current.RunID == "" || rec.Current.State == ledger.Running || rec.Parent != (ledger.ID{}) || !ledger.EndOf(rec.Current).Before(before) {
			continue
		}
		rec.Current.Inputs, rec.Alive = nil, false
		old := ledger.OldRecord{Record: rec}
		h.addBelow(id, &old)
		all = append(all, old)
	}
	return seq(all, ctx.Err())
}

func (m *Mem) addBelow(id ledger.ID, o *ledger.OldRecord) {
	b := &o.Below
	for child, r := range m.below(id) {
		if cur := r.current(); cur.RunID != "" {
			b.Records++
			o.Seen += r.touched
			b.Running = b.Running || cur.State == ledger.Running
			if end := ledger.EndOf(cur); end.After(b.Newest) {
				b.Newest = end
			}
		}
		m.addBelow(child, o)
	}
}

// DropRecords implements ledger.Collecting.
func (h *memHandle) DropRecords(ctx context.Context, records []ledger.OldRecord) (dropped []ledger.OldRecord, err error) {
	for _, o := range records {
		h.mu.Lock()
		now := ledger.OldRecord{Record: o.Record}
		h.addBelow(o.Record.ID, &now)
		h.mu.Unlock()
		if now.Below != o.Below || now.Seen != o.Seen {
			continue
		}
		switch err := h.ForgetIf(ctx, o.Record); {
		case err == nil:
			dropped = append(dropped, o)
		case ledger.Unchanged(err):
		default:
			return dropped, err
		}
	}
	return dropped, nil
}

// Sweep implements ledger.Collecting. A record that is forgotten is gone at once.
func (h *memHandle) Sweep(ctx context.Context) error { return ctx.Err() }

// Orphans implements ledger.Collecting. No process dies in memory.
func (h *memHandle) Orphans(ctx context.Context, _ time.Time) ([]ledger.Orphan, []string, error) {
	return nil, nil, ctx.Err()
}

// RemoveOrphans implements ledger.Collecting.
func (h *memHandle) RemoveOrphans(ctx context.Context, _ []ledger.Orphan) ([]ledger.Orphan, error) {
	return nil, ctx.Err()
}
