package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"idem/ledger"
)

// Model runs the same random actions on a ledger of h and on a Mem, and requires the same
// results from both. It finds errors that no case covers. Each of them should become a case
// of Run.
func Model(t *testing.T, h Harness) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(t, rt, h)
		defer m.close()
		actions := map[string]func(*rapid.T){
			"":            m.compareAll,
			"get":         m.get,
			"claim":       m.claim,
			"begin":       m.begin,
			"queue":       m.queue,
			"write":       m.write,
			"finish":      m.finish,
			"finish late": m.finishLate,
			"abandon":     m.abandon,
			"release":     m.release,
			"mark":        m.mark,
			"forget":      m.forget,
		}
		if h.Crash != nil {
			actions["crash"] = m.crash
		}
		rt.Repeat(actions)
	})
}

// pair is a value of the ledger under test and the equivalent value of the Mem.
type pair[T any] struct {
	real, mem T
}

// model is a history of both ledgers. There are few keys and handles, so that actions
// interact.
type model struct {
	ctx     context.Context
	h       Harness
	place   string
	mem     *Mem
	handles [2]pair[ledger.Ledger]
	crashed []ledger.Ledger // closed at the end of the history
	held    map[ledger.ID]*holder
	late    []attempt                           // unfinished attempts whose claim was released
	seen    map[ledger.ID][]pair[ledger.Record] // earlier records, for the Expect of a mark
	numbers map[ledger.ID]*numbers
	order   *order // of the attempts of the real ledger
}

// holder is a claim, and the attempt in progress if there is one.
type holder struct {
	handle  int
	claim   pair[ledger.Claim]
	mutexes []ledger.Mutex // of its attempts
	now     *attempt
}

type attempt struct {
	id ledger.ID
	x  pair[ledger.Execution]
}

var modelIDs = []ledger.ID{
	key("a"),
	{Namespace: "default", Key: "a", Window: "w"},
	key("b"),
	{Namespace: "prod", Key: "a"},
	key("a/x"), key("a/x/y"), key("a/z"),
}

// numbers are the fences and generations that a key had.
type numbers struct {
	fence      int64 // the latest one of the real ledger
	generation pair[int64]
	same       map[int64]int64 // the generation of the Mem for that of the real ledger
}

// check checks a record of both sides. A generation grows when the key is forgotten, but the
// contract does not define by how much. So the generations of both sides must be in the same
// order.
func (n *numbers) check(t *rapid.T, r, mem ledger.Record) {
	if r.Fence < n.fence || r.Generation < n.generation.real {
		t.Fatalf("the numbers of %+v fell from %+v to %+v", r.ID, *n, r)
	}
	if r.Current.RunID == "" {
		return
	}
	want, ok := n.same[r.Generation]
	if !ok && mem.Generation <= n.generation.mem || ok && want != mem.Generation {
		t.Fatalf("generation of %+v: got %d, want that of Mem, %d (%+v)", r.ID, r.Generation, mem.Generation, *n)
	}
	n.same[r.Generation], n.generation = mem.Generation, pair[int64]{r.Generation, mem.Generation}
}

func newModel(t *testing.T, rt *rapid.T, h Harness) *model {
	m := &model{
		ctx: t.Context(), h: h, place: h.New(t), mem: NewMem(), held: map[ledger.ID]*holder{},
		numbers: map[ledger.ID]*numbers{}, seen: map[ledger.ID][]pair[ledger.Record]{}, order: newOrder(),
	}
	for _, id := range modelIDs {
		m.numbers[id] = &numbers{same: map[int64]int64{}}
	}
	for i := range m.handles {
		m.reopen(rt, i)
	}
	return m
}

func (m *model) reopen(t *rapid.T, i int) {
	real, err := m.h.Open(m.place)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	m.handles[i] = pair[ledger.Ledger]{real, m.mem.Open()}
}

func (m *model) close() {
	for _, h := range m.held {
		h.claim.real.Release()
	}
	for _, h := range m.handles {
		if h.real != nil {
			h.real.Close()
		}
	}
	for _, l := range m.crashed {
		l.Close()
	}
}

// kinds are the errors that a caller distinguishes.
var kinds = []error{ledger.ErrNotFound, ledger.ErrChanged, ledger.ErrLost}

func kind(err error) string {
	switch {
	case err == nil:
		return "none"
	case isBusy(err):
		return "busy"
	case errors.As(err, new(*ledger.MutexError)):
		return "no free place"
	}
	for _, k := range kinds {
		if errors.Is(err, k) {
			return k.Error()
		}
	}
	return "another error: " + err.Error()
}

// agree checks that both sides succeed or that both fail with the same kind of error. It
// reports whether they succeed.
func agree(t *rapid.T, doing string, real, mem error) bool {
	if r, w := kind(real), kind(mem); r != w {
		t.Fatalf("%s: got error %s, want %s", doing, r, w)
	}
	return mem == nil
}

// plain returns an attempt with only those fields on which both sides must agree. Times and
// fields that the contract does not define are zero.
func plain(a ledger.Attempt) ledger.Attempt {
	if a.State == ledger.Running || a.Reason == ledger.ReasonLost {
		a.ExitCode, a.OutputBytes, a.Truncated, a.Files = 0, 0, false, 0
	}
	a.Started = time.Time{}
	if !a.Ended.IsZero() {
		a.Ended = time.Unix(0, 0)
	}
	return a
}

func equal(t *rapid.T, what string, got, want any) {
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("%s (-Mem +ledger):\n%s", what, d)
	}
}

// compare reads id through both sides of a handle.
func (m *model) compare(t *rapid.T, handle int, id ledger.ID) pair[ledger.Record] {
	h := m.handles[handle]
	r, err := h.real.Get(m.ctx, id)
	w, errMem := h.mem.Get(m.ctx, id)
	agree(t, "Get", err, errMem)
	equal(t, fmt.Sprintf("phase of %+v", id), r.Phase(), w.Phase())
	a, b := r, w
	a.Current, b.Current = plain(a.Current), plain(b.Current)
	m.numbers[id].check(t, r, w)
	for _, r := range []*ledger.Record{&a, &b} {
		r.Fence, r.Generation, r.Series, r.Alive, r.Lease = 0, 0, 0, false, nil
	}
	equal(t, fmt.Sprintf("record of %+v", id), a, b)

	ras, err := h.real.Attempts(m.ctx, id)
	was, errMem := h.mem.Attempts(m.ctx, id)
	agree(t, "Attempts", err, errMem)
	equal(t, fmt.Sprintf("history of %+v", id), all(ras, plain), all(was, plain))
	return pair[ledger.Record]{r, w}
}

func all[T, U any](in []T, f func(T) U) []U {
	var out []U
	for _, v := range in {
		out = append(out, f(v))
	}
	return out
}

// compareAll compares all keys after every action.
func (m *model) compareAll(t *rapid.T) {
	for _, id := range modelIDs {
		m.order.check(t, m.compare(t, 0, id).real)
	}
	m.compareMutexes(t)
	for _, f := range []ledger.Filter{{}, {TopLevel: true}, {Under: key("a")}, {Under: key("a/x")}} {
		m.compareList(t, f)
	}
	m.compareTallies(t)
	m.compareHistories(t)
}

func (m *model) compareList(t *rapid.T, f ledger.Filter) {
	h := m.handles[1]
	r, err := ledger.Collect(h.real.List(m.ctx, f))
	w, errMem := ledger.Collect(h.mem.List(m.ctx, f))
	if !agree(t, "List", err, errMem) {
		return
	}
	listed := func(r ledger.Record) string {
		return fmt.Sprintf("%+v %s %s", r.ID, r.Current.RunID, r.Phase())
	}
	// Compare the lists as sets. The contract does not define how an abandoned attempt
	// changes the order.
	got, want := all(r, listed), all(w, listed)
	slices.Sort(got)
	slices.Sort(want)
	equal(t, "keys listed", got, want)
}

func (m *model) compareTallies(t *rapid.T) {
	h := m.handles[1]
	if !offers[ledger.Surveying](m.h) {
		return
	}
	tallies := func(l ledger.Ledger) (map[ledger.ID]ledger.Tally, error) { return l.(ledger.Surveying).Tallies(m.ctx) }
	r, err := tallies(h.real)
	w, errMem := tallies(h.mem)
	agree(t, "Tallies", err, errMem)
	equal(t, "tallies", r, w)
	for _, parent := range []ledger.ID{key("a"), key("a/x")} {
		r, err := h.real.(ledger.Surveying).Successes(m.ctx, parent)
		w, errMem := h.mem.(ledger.Surveying).Successes(m.ctx, parent)
		agree(t, "Successes", err, errMem)
		for _, id := range modelIDs {
			for _, f := range []string{"h1:aa", "h1:bb", ""} {
				equal(t, fmt.Sprintf("success of %+v with %q below %q", id, f, parent.Key), r.Has(id, f), w.Has(id, f))
			}
		}
	}
}
