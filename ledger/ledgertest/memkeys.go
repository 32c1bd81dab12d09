package ledgertest

import (
	"context"
	"maps"
	"slices"

	"idem/ledger"
)

func (h *memHandle) NextKey(ctx context.Context, namespace, from, before string) (string, error) {
	next := ""
	for _, id := range h.recorded() {
		if id.Namespace == namespace && id.Key >= from && id.Key < before && (next == "" || id.Key < next) {
			next = id.Key
		}
	}
	return next, ctx.Err()
}

func (h *memHandle) Namespaces(ctx context.Context) ([]string, error) {
	names := map[string]bool{}
	for _, id := range h.recorded() {
		names[id.Namespace] = true
	}
	return slices.Sorted(maps.Keys(names)), ctx.Err()
}

// recorded returns the IDs of the records with a history.
func (h *memHandle) recorded() []ledger.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []ledger.ID
	for id, r := range h.records {
		if len(r.attempts) > 0 {
			all = append(all, id)
		}
	}
	return all
}
