package cmd

import (
	"context"
	"slices"
	"testing"

	"idem/hashkey"
	"idem/ledger"
	"idem/ledger/sqlite"
)

// FuzzGlobQuote: the pattern of a key lists that key alone, whatever else is
// recorded: all keys of one or two letters that patterns are made of.
func FuzzGlobQuote(f *testing.F) {
	letters := []string{"a", "-", "^", "]", "[", "*", "?", "\\", "é"}
	keys := slices.Clone(letters)
	for _, a := range letters {
		for _, b := range letters {
			keys = append(keys, a+b)
		}
	}
	ctx := context.Background()
	l, err := sqlite.Open(f.TempDir() + "/ledger")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { l.Close() })
	for _, key := range keys {
		f.Add(key)
		c, err := l.Claim(ctx, ledger.ID{Namespace: "default", Key: key})
		if err != nil {
			f.Fatal(err)
		}
		rec, err := c.Record(ctx)
		if err != nil {
			f.Fatal(err)
		}
		_, err = c.Mark(ctx, ledger.Mark{Expect: rec, State: ledger.Succeeded, Reason: ledger.ReasonMarked, RunID: "run of " + key})
		if err != nil {
			f.Fatal(err)
		}
		c.Release()
	}
	for _, odd := range append(oddTexts, "[a-z]", "[^a]", "a*", "[[]", "\\*") {
		f.Add(odd)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if hashkey.CheckKey(key, true) != nil { // behind a NUL SQLite reads nothing
			return
		}
		var want []string
		if slices.Contains(keys, key) {
			want = []string{key}
		}
		records, err := l.List(ctx, ledger.Filter{Namespace: "default", Glob: globQuote(key)})
		var got []string
		for _, r := range records {
			got = append(got, r.ID.Key)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q is asked for as %q, which lists %q, error %v", key, globQuote(key), got, err)
		}
	})
}
