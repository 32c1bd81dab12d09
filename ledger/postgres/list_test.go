package postgres

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/ledgertest"
	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/wire"
)

const fillSQL = `insert into {s}.record (id, namespace, key, win, generation, fence, attempts, seq, number, run_id, state, started, inputs)
	select i.id, 'default', i.key, '', 1, i.seq, 1, i.seq, 1, i.seq::pg_catalog.text, i.state, pg_catalog.clock_timestamp(), 'x'
	from unnest($1::pg_catalog.bytea[], $2::pg_catalog.bytea[], $3::pg_catalog.int8[], $4::pg_catalog.text[]) as i (id, key, seq, state)`

func filledID(i int) ledger.ID {
	return ledger.ID{Namespace: "default", Key: fmt.Sprintf("%c:%d", 'a'+i%2, i)}
}

// fill stores n keys. Every tenth one is running, and every third of the remaining ones has
// failed. The later one of two keys has the greater index.
func fill(t testing.TB, l *Ledger, n int) {
	var ids, keys [][]byte
	var seqs []int64
	var states []string
	for i := range n {
		id, state := filledID(i), ledger.Succeeded
		switch {
		case i%10 == 0:
			state = ledger.Running
		case i%3 == 0:
			state = ledger.Failed
		}
		ids, keys, seqs, states = append(ids, nameOf(id)), append(keys, []byte(id.Key)), append(seqs, int64(i+1)), append(states, string(state))
	}
	s := l.stmt(fillSQL, wire.BytesArray(ids), wire.BytesArray(keys), wire.IntArray(seqs), wire.TextArray(states))
	must(t, l.session.Do(t.Context(), wire.Durable, s, l.stmt("select pg_catalog.setval({number}::pg_catalog.regclass, $1)", wire.Int(n))))
}

// TestListOverManyPages checks filters that leave few or no records of a page.
func TestListOverManyPages(t *testing.T) {
	const n = listFirst + 2*listPage + 203
	r := newRoom(t)
	fill(t, r.open("a", r.server.URL(pgtest.Owner, pgtest.Database, r.schema)), n)
	l := r.open("b", "")
	phase := func(i int) ledger.Phase {
		switch {
		case i%10 == 0:
			return ledger.PhaseInterrupted // the key has no holder
		case i%3 == 0:
			return ledger.PhaseFailed
		}
		return ledger.PhaseSucceeded
	}
	for _, f := range []ledger.Filter{
		{},
		{Namespace: "default"},
		{Limit: 1},
		{Limit: listPage},
		{Limit: listFirst + 1, Namespace: "default"},
		{Limit: 2 * n},
		{TopLevel: true},
		{Phases: ledger.Phases{ledger.PhaseInterrupted}},
		{Phases: ledger.Phases{ledger.PhaseRunning}},
		{Phases: ledger.Phases{ledger.PhaseFailed}, Limit: 200},
		{Phases: ledger.Phases{ledger.PhaseSucceeded}, Globs: ledger.Globs{"b:*"}},
		{Phases: ledger.Phases{ledger.PhaseRetry}},
		{Phases: ledger.Phases{ledger.PhaseNone}},
		{Globs: ledger.Globs{"a:*"}, Limit: listFirst + 7},
		{Globs: ledger.Globs{"*:0"}},
		{Key: "a:0"},
		{Namespace: "none"},
	} {
		got, err := ledger.Collect(l.List(t.Context(), f))
		must(t, err)
		var want []int
		for i := n - 1; i >= 0 && (f.Limit == 0 || len(want) < f.Limit); i-- {
			key := filledID(i).Key
			if f.Namespace != "none" && f.Phases.Has(phase(i)) && f.Globs.Match(key) && (f.Key == "" || f.Key == key) {
				want = append(want, i)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%+v: got %d keys, want %d", f, len(got), len(want))
			continue
		}
		for at, i := range want {
			if r := got[at]; r.ID != filledID(i) || r.Phase() != phase(i) || r.Current.Inputs != nil {
				t.Errorf("%+v: at %d got %+v, want key %d", f, at, r, i)
				break
			}
		}
	}
}

// TestListDuringRuns checks that a key that runs again while a list is read is listed exactly
// once, whether it was reached before or not.
func TestListDuringRuns(t *testing.T) {
	const n = listFirst + listPage + 3
	r := newRoom(t)
	fill(t, r.open("a", r.server.URL(pgtest.Owner, pgtest.Database, r.schema)), n)
	l := r.open("b", "")
	again := map[int][]int{0: {0, 1, n - 1}, listPage + 5: {2, n - listPage}, listFirst - 1: {3, n - listFirst}, listFirst + 1: {4, n - 1}}
	listed, at := map[ledger.ID]int{}, 0
	for rec, err := range l.List(t.Context(), ledger.Filter{}) {
		must(t, err)
		listed[rec.ID]++
		for _, i := range again[at] {
			c, err := l.Claim(t.Context(), filledID(i))
			must(t, err)
			_, err = c.Begin(t.Context(), ledger.Start{RunID: uuid.NewString()})
			must(t, err)
			must(t, c.Release())
		}
		at++
	}
	for i := range n {
		if listed[filledID(i)] != 1 {
			t.Errorf("key %d is listed %d times", i, listed[filledID(i)])
		}
	}
	if len(listed) != n {
		t.Errorf("%d keys are listed, want %d", len(listed), n)
	}
}

// oddKeys are keys with characters that are special in patterns.
var oddKeys = []string{
	"a", "b", "-", "^", "]", "[", "*", "?", "\\", "%", "_", "é", "🚀", "'", "ab", "a-b", "[a]", "a*b", "a?b", "a/b", "A", "[^a]", "a]", "aab", "\xff", "\xfea", "\uFFFD",
}

// TestGlobListsWhatItMatches checks that the part of a pattern that the server evaluates
// excludes no key that matches.
func TestGlobListsWhatItMatches(t *testing.T) {
	l := newRoom(t).open("a", "")
	mem := ledgertest.NewMem().Open()
	for _, key := range oddKeys {
		for _, l := range []ledger.Ledger{l, mem} {
			c, err := l.Claim(t.Context(), ledger.ID{Namespace: "n", Key: key})
			must(t, err)
			rec, err := c.Record(t.Context())
			must(t, err)
			_, err = c.Mark(t.Context(), testMark(rec))
			must(t, err)
			must(t, c.Release())
		}
	}
	patterns := append([]string{"*", "?", "??", "[a-b]", "[^a]", "[]]", "[]-a]", "[", "[a", "a[*]b", "a*", "a?b*", "é*", "🚀?", "\xff*", "\xff", "a\xff", "\uFFFD*", "[\xff]*"}, oddKeys...)
	for _, p := range patterns {
		var got [2][]string
		for i, l := range []ledger.Ledger{l, mem} {
			records, err := ledger.Collect(l.List(context.Background(), ledger.Filter{Namespace: "n", Globs: ledger.Globs{ledger.Glob(p)}}))
			must(t, err)
			for _, r := range records {
				got[i] = append(got[i], r.ID.Key)
			}
		}
		if !slices.Equal(got[0], got[1]) {
			t.Errorf("%q (valid: %t) lists %q, want %q", p, utf8.ValidString(p), got[0], got[1])
		}
	}
}
