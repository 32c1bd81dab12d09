package sqlite

import (
	"context"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"idem/ledger"
	"idem/ledger/ledgertest"
)

// oddKeys are keys with characters that are special in patterns.
var oddKeys = []string{
	"a", "b", "-", "^", "]", "[", "*", "?", "\\", "%", "_", "é", "🚀", "'", "ab", "a-b", "[a]", "a*b", "a?b", "a/b", "A", "[^a]", "]]", "^^", "a]", "aab", "deploy:prod:1",
}

// marked records keys with marks, without running a command.
func marked(t testing.TB, l ledger.Ledger, keys []string) {
	t.Helper()
	ctx := context.Background()
	for _, key := range keys {
		c, err := l.Claim(ctx, ledger.ID{Namespace: "default", Key: key})
		must(t, err)
		rec, err := c.Record(ctx)
		must(t, err)
		_, err = c.Mark(ctx, ledger.Mark{Expect: rec, State: ledger.Succeeded, Reason: ledger.ReasonMarked, RunID: "run of " + key})
		must(t, err)
		c.Release()
	}
}

// FuzzGlob checks that a pattern lists the same keys as in ledgertest.Mem, which uses
// ledger.Glob, and that a namespace lists no keys of another one.
func FuzzGlob(f *testing.F) {
	for _, p := range []string{
		"*", "?", "??", "[a-b]", "[^a]", "[]]", "[^]]", "[]-a]", "[a-]", "[-a]", "[b-a]", "[", "[a", "[^", "[]", "[a-b", "a[*]b", "[[]a]", "\\", "\\*", "%", "_", "'", "[é-🚀]", "*[^a]", "**a", "?*?", "a-b",
		"[^^]", "[--a]", "[a-b-c]", "]", "A", "",
	} {
		f.Add(p)
	}
	l, mem := opened(f, fresh(f)), ledgertest.NewMem().Open()
	marked(f, l, oddKeys)
	marked(f, mem, oddKeys)
	f.Fuzz(func(t *testing.T, pattern string) {
		// SQLite reads invalid UTF-8 differently, stops at a NUL, and is slow with many
		// stars.
		if !utf8.ValidString(pattern) || strings.ContainsRune(pattern, 0) || strings.Count(pattern, "*") > 6 || len(pattern) > 200 {
			return
		}
		var got [2][]string
		for i, l := range []ledger.Ledger{l, mem} {
			records, err := ledger.Collect(l.List(context.Background(), ledger.Filter{Namespace: "default", Globs: ledger.Globs{ledger.Glob(pattern)}}))
			must(t, err)
			for _, r := range records {
				got[i] = append(got[i], r.ID.Key)
			}
		}
		if !slices.Equal(got[0], got[1]) {
			t.Fatalf("%q lists %q, want %q", pattern, got[0], got[1])
		}
	})
}
