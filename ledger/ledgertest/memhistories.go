package ledgertest

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"

	"idem/ledger"
)

// Histories implements ledger.Histories.
func (h *memHandle) Histories(ctx context.Context, namespace string) iter.Seq2[ledger.Entry, error] {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []ledger.Entry
	for _, id := range h.ids() {
		r := h.records[id]
		rec := r.record(id)
		if rec.Current.RunID == "" || namespace != "" && namespace != id.Namespace {
			continue
		}
		rec.Alive = rec.Alive && rec.Current.State == ledger.Running
		rec.Current.Inputs = nil
		top, inner := h.top(id)
		for i, a := range r.attempts {
			a.Inputs = nil
			e := ledger.Entry{ID: id, Attempt: a, Top: top, Inner: inner}
			if i == len(r.attempts)-1 {
				e.Record = &rec
			}
			all = append(all, e)
		}
	}
	return seq(all, ctx.Err())
}

func (m *Mem) ids() []ledger.ID {
	var ids []ledger.ID
	for id := range m.records {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b ledger.ID) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Window, b.Window))
	})
	return ids
}

// top returns what Entry.Top and Entry.Inner are for a record.
func (m *Mem) top(id ledger.ID) (top ledger.ID, inner bool) {
	for {
		parent := m.at(id).parent
		if parent == (ledger.ID{}) {
			return id, inner
		}
		id = parent
		inner = inner || m.at(id).record(id).Attempts > 0
	}
}

// Keys implements ledger.Histories.
func (h *memHandle) Keys(ctx context.Context, namespace string) iter.Seq2[ledger.ID, error] {
	h.mu.Lock()
	defer h.mu.Unlock()
	tops := map[ledger.ID]bool{}
	for _, id := range h.ids() {
		if top, _ := h.top(id); len(h.records[id].attempts) > 0 && (namespace == "" || namespace == id.Namespace) {
			tops[top] = true
		}
	}
	return seq(slices.Collect(maps.Keys(tops)), ctx.Err())
}
