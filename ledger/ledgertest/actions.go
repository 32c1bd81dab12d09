package ledgertest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"pgregory.net/rapid"

	"idem/ledger"
)

// The actions of a model follow. An action that has nothing to act on is skipped.

func anyHandle(t *rapid.T) int {
	return rapid.IntRange(0, 1).Draw(t, "handle")
}

func anyID(t *rapid.T) ledger.ID {
	return rapid.SampledFrom(modelIDs).Draw(t, "id")
}

// anyOrigin draws no origin, or one for a key that may be below another one.
func anyOrigin(t *rapid.T, id ledger.ID) ledger.Origin {
	from := []ledger.Origin{{}}
	for _, parent := range []ledger.ID{key("a"), key("a/x")} {
		if o := (ledger.Origin{Parent: parent, RunID: "r"}); o.Check(id) == nil {
			from = append(from, o)
		}
	}
	return rapid.SampledFrom(from).Draw(t, "origin")
}

// heldID draws a key whose claim is held. inProgress selects keys with an attempt in
// progress, or keys without one.
func (m *model) heldID(t *rapid.T, inProgress bool) ledger.ID {
	var ids []ledger.ID
	for _, id := range modelIDs {
		if h := m.held[id]; h != nil && (h.now != nil) == inProgress {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		t.Skip("no such key")
	}
	return rapid.SampledFrom(ids).Draw(t, "held id")
}

func (m *model) get(t *rapid.T) {
	i, id := anyHandle(t), anyID(t)
	r := m.compare(t, i, id)
	m.seen[id] = append(m.seen[id], r)
	for _, a := range m.finished(t, id) {
		m.compareOutput(t, i, id, a)
		m.compareFiles(t, i, id, a)
	}
}

// finished returns the run IDs of the attempts and marks of id whose whole output must be
// recorded.
func (m *model) finished(t *rapid.T, id ledger.ID) []string {
	as, err := m.handles[0].mem.Attempts(m.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range as {
		if !a.Ended.IsZero() {
			out = append(out, a.RunID)
		}
	}
	return out
}

func (m *model) compareOutput(t *rapid.T, handle int, id ledger.ID, runID string) {
	h := m.handles[handle]
	read := func(l ledger.Ledger) flat {
		out, err := l.Output(m.ctx, id, runID)
		if err != nil {
			t.Fatalf("Output of a finished run: %v", err)
		}
		defer out.Close()
		var f flat
		for {
			c, err := out.Next()
			if errors.Is(err, io.EOF) {
				return f
			}
			if err != nil {
				t.Fatalf("Next: %v", err)
			}
			g := flatten([]ledger.Chunk{c})
			f.bytes, f.streams = append(f.bytes, g.bytes...), append(f.streams, g.streams...)
		}
	}
	got, want := read(h.real), read(h.mem)
	if len(got.bytes) != len(want.bytes) || !want.has(got, 0) {
		t.Fatalf("output of %+v: got %d bytes, want %d others", id, len(got.bytes), len(want.bytes))
	}
}

func (m *model) compareFiles(t *rapid.T, handle int, id ledger.ID, runID string) {
	h := m.handles[handle]
	got, err := h.real.Files(m.ctx, id, runID)
	want, errMem := h.mem.Files(m.ctx, id, runID)
	agree(t, fmt.Sprintf("Files of %+v", id), err, errMem)
	equal(t, fmt.Sprintf("files of %+v", id), all(got, fileText), all(want, fileText))
}

func (m *model) claim(t *rapid.T) {
	i, id := anyHandle(t), anyID(t)
	var c pair[ledger.Claim]
	var err, errMem error
	c.real, err = m.handles[i].real.Claim(m.ctx, id)
	c.mem, errMem = m.handles[i].mem.Claim(m.ctx, id)
	if agree(t, fmt.Sprintf("Claim of %+v", id), err, errMem) {
		m.held[id] = &holder{handle: i, claim: c, mutexes: anyMutexes(t)}
	}
}

func (m *model) begin(t *rapid.T) {
	id := m.heldID(t, false)
	s := newStart()
	s.Fingerprint = rapid.SampledFrom([]string{"h1:aa", "h1:bb"}).Draw(t, "fingerprint")
	s.MaxOutput = rapid.SampledFrom([]int64{-1, 0}).Draw(t, "max output")
	s.Inputs = rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "inputs")
	s.Mutexes = m.held[id].mutexes
	s.Origin = anyOrigin(t, id)
	if len(s.Mutexes) == 0 { // which error is first is not defined
		s.Renew, s.Fresh = rapid.IntRange(0, 3).Draw(t, "renew") == 0, rapid.IntRange(0, 5).Draw(t, "fresh") == 0
	}
	c := m.held[id].claim
	var x pair[ledger.Execution]
	var err, errMem error
	x.real, err = c.real.Begin(m.ctx, s)
	x.mem, errMem = c.mem.Begin(m.ctx, s)
	if !agree(t, fmt.Sprintf("Begin of %+v", id), err, errMem) {
		return
	}
	equal(t, "attempt begun", plain(x.real.Attempt()), plain(x.mem.Attempt()))
	if n := m.numbers[id]; x.real.Fence() <= n.fence {
		t.Fatalf("fence of %+v is %d after %d", id, x.real.Fence(), n.fence)
	}
	m.numbers[id].fence = x.real.Fence()
	m.order.begin(x.real.Attempt().RunID)
	m.held[id].now = &attempt{id: id, x: x}
}

func (m *model) write(t *rapid.T) {
	x := m.held[m.heldID(t, true)].now.x
	ps := pieces(rapid.SampledFrom([]int{1, 100, 40 << 10}).Draw(t, "size"))
	write(x.real, ps)
	write(x.mem, ps)
}

func anyOutcome(t *rapid.T) ledger.Outcome {
	return rapid.SampledFrom([]ledger.Outcome{success, failure, killed}).Draw(t, "outcome")
}

// end finishes an attempt on both sides.
func (m *model) end(t *rapid.T, a *attempt) {
	o := anyOutcome(t)
	o.Capture = ledger.Capture{
		Incomplete: rapid.Bool().Draw(t, "incomplete"), Redacted: rapid.Bool().Draw(t, "redacted"),
		Unread: ledger.Gaps{Stdout: rapid.Int64Range(0, 1).Draw(t, "unread"), Stderr: rapid.Int64Range(0, 1).Draw(t, "unread")},
	}
	o.Files = someFiles[:rapid.IntRange(0, len(someFiles)).Draw(t, "files")]
	r, err := a.x.real.Finish(m.ctx, o)
	w, errMem := a.x.mem.Finish(m.ctx, o)
	if agree(t, fmt.Sprintf("Finish of %+v", a.id), err, errMem) {
		equal(t, "attempt finished", plain(r), plain(w))
	}
}

func (m *model) finish(t *rapid.T) {
	h := m.held[m.heldID(t, true)]
	m.end(t, h.now)
	h.now = nil
}

// finishLate finishes an attempt whose claim was released and whose key was taken over
// since. If the key was not taken over, the contract does not define the result. Nor does it for a
// step or an item whose parent was forgotten: a ledger may have removed its record already, or
// hide it until it does.
func (m *model) finishLate(t *rapid.T) {
	var over []*attempt
	for i, a := range m.late {
		r, err := m.handles[0].mem.Get(m.ctx, a.id)
		if err != nil {
			t.Fatal(err)
		}
		hidden := r.Current.RunID == "" && strings.Contains(a.id.Key, "/")
		if r.Current.RunID != a.x.mem.Attempt().RunID && !hidden {
			over = append(over, &m.late[i])
		}
	}
	if len(over) == 0 {
		t.Skip("no attempt is late")
	}
	m.end(t, over[rapid.IntRange(0, len(over)-1).Draw(t, "late")])
}

func (m *model) abandon(t *rapid.T) {
	id := m.heldID(t, true)
	h := m.held[id]
	agree(t, fmt.Sprintf("Abandon of %+v", id), h.now.x.real.Abandon(m.ctx), h.now.x.mem.Abandon(m.ctx))
	h.now = nil
}

func (m *model) release(t *rapid.T) {
	id := m.heldID(t, rapid.Bool().Draw(t, "unfinished"))
	h := m.held[id]
	agree(t, fmt.Sprintf("Release of %+v", id), h.claim.real.Release(), h.claim.mem.Release())
	if h.now != nil {
		m.late = append(m.late, *h.now)
	}
	delete(m.held, id)
}

func (m *model) crash(t *rapid.T) {
	i := anyHandle(t)
	m.h.Crash(m.handles[i].real)
	m.crashed = append(m.crashed, m.handles[i].real)
	m.mem.Crash(m.handles[i].mem)
	for id, h := range m.held {
		if h.handle == i {
			delete(m.held, id)
		}
	}
	m.reopen(t, i)
}

// mark settles a key, under a new claim or under the one that is held.
func (m *model) mark(t *rapid.T) {
	i, id := anyHandle(t), anyID(t)
	expect := m.compare(t, i, id)
	if seen := m.seen[id]; len(seen) > 0 && rapid.Bool().Draw(t, "outdated") {
		// Without a history, both sides need not have forgotten the key equally often.
		if old := rapid.SampledFrom(seen).Draw(t, "expected"); old.mem.Current.RunID != "" {
			expect = old
		}
	}
	states := []ledger.State{ledger.Succeeded, ledger.Failed, ledger.None, ledger.Batch}
	mark := newMark(expect.mem, rapid.SampledFrom(states).Draw(t, "state"))
	mark.Reason = rapid.SampledFrom([]ledger.Reason{ledger.ReasonMarked, ledger.ReasonProbed, ledger.ReasonUnverified}).Draw(t, "reason")
	mark.Fingerprint = rapid.SampledFrom([]string{"", "h1:aa"}).Draw(t, "fingerprint")
	mark.Inputs = rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "inputs")
	mark.Origin, mark.Renew = anyOrigin(t, id), rapid.IntRange(0, 3).Draw(t, "renew") == 0
	out := flatten(pieces(rapid.SampledFrom([]int{0, 1, 40 << 10}).Draw(t, "size"))).bytes

	held := m.held[id]
	byHolder := held != nil && rapid.Bool().Draw(t, "by the holder")
	do := func(l ledger.Ledger, expect ledger.Record, claim func(*holder) ledger.Claim) (ledger.Attempt, error) {
		mark := mark
		mark.Expect = expect
		mark.Stdout = bytes.NewReader(out)
		if byHolder {
			return claim(held).Mark(m.ctx, mark)
		}
		return settle(m.ctx, l, id, mark)
	}
	r, err := do(m.handles[i].real, expect.real, func(h *holder) ledger.Claim { return h.claim.real })
	w, errMem := do(m.handles[i].mem, expect.mem, func(h *holder) ledger.Claim { return h.claim.mem })
	if agree(t, fmt.Sprintf("Mark of %+v", id), err, errMem) {
		equal(t, "mark", plain(r), plain(w))
	}
}

func (m *model) forget(t *rapid.T) {
	i, id := anyHandle(t), anyID(t)
	h := m.handles[i]
	err, errMem := h.real.Forget(m.ctx, id), h.mem.Forget(m.ctx, id)
	// A ledger may find rows that it has not deleted yet. If so, it has deleted them now.
	if err == nil && errors.Is(errMem, ledger.ErrNotFound) {
		err = h.real.Forget(m.ctx, id)
	}
	agree(t, fmt.Sprintf("Forget of %+v", id), err, errMem)
}
