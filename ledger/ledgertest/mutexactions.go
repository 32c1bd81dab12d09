package ledgertest

import (
	"context"
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"idem/ledger"
)

// anyMutexes draws mutexes with few names, so that claims often share one.
func anyMutexes(t *rapid.T) []ledger.Mutex {
	var ms []ledger.Mutex
	for _, name := range []string{"m", "n"} {
		if limit := rapid.SampledFrom([]int{0, 0, 1, 1, 2, 3}).Draw(t, "limit of mutex "+name); limit > 0 {
			ms = append(ms, ledger.Mutex{Name: name, Limit: limit})
		}
	}
	return ms
}

// queue joins the lines of a claim's mutexes, and leaves them again unless it is first and the
// mutexes are free. So a claim never waits.
func (m *model) queue(t *rapid.T) {
	id := m.heldID(t, rapid.Bool().Draw(t, "in progress"))
	h := m.held[id]
	ctx, cancel := context.WithCancel(m.ctx)
	cancel()
	agree(t, fmt.Sprintf("Queue of %+v", id), h.claim.real.Queue(ctx, h.mutexes, someone), h.claim.mem.Queue(ctx, h.mutexes, someone))
}

func (m *model) compareMutexes(t *rapid.T) {
	i := anyHandle(t)
	namespace := rapid.SampledFrom([]string{"", "default", "prod"}).Draw(t, "namespace")
	names := rapid.SampledFrom([][]string{nil, {"m"}, {"n", "m", "x"}}).Draw(t, "names")
	r, err := m.handles[i].real.Mutexes(m.ctx, namespace, names...)
	w, errMem := m.handles[i].mem.Mutexes(m.ctx, namespace, names...)
	if agree(t, "Mutexes", err, errMem) {
		equal(t, fmt.Sprintf("mutexes %q of namespace %q", names, namespace), all(r, mutexText), all(w, mutexText))
	}
}

// mutexText describes a state without its times. The order of the holders has no meaning.
func mutexText(s ledger.MutexState) string {
	text := func(u ledger.MutexUse) string {
		return fmt.Sprintf("%+v %s %+v %t", u.ID, u.RunID, u.Owner, u.Leftover)
	}
	holders := all(s.Holders, text)
	slices.Sort(holders)
	return fmt.Sprintf("%s %q %d %q %q", s.Namespace, s.Name, s.Limit, holders, all(s.Waiters, text))
}
