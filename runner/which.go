package runner

import (
	"context"
	"fmt"

	"idem/ledger"
)

// Which says which record of a key is meant. The zero value does not: it is the
// record without a window, and a key that has records only in windows is
// ambiguous.
type Which struct {
	Exact  bool   // the record in Window, which may be empty
	Window string // only with Exact
	Latest bool   // the record with the latest attempt or mark, in whatever window
	Guess  bool   // what is ambiguous is taken as Latest
}

// Found is the record that is meant. One that nothing is recorded of has the
// phase none.
type Found struct {
	ledger.Record
	Guessed bool // a window was chosen that the caller has not named
}

// AmbiguousError is for a key that has records only in windows, where none was
// named.
type AmbiguousError struct {
	Records []ledger.Record // some of them, the one with the latest attempt first
	More    bool            // there are others
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("key %q has records only in windows", e.Records[0].ID.Key)
}

// ambiguousRecords is how many records an AmbiguousError has at most.
const ambiguousRecords = 3

// Find reads the record of a namespace and a key that w says. It fails with
// *AmbiguousError or with what is wrong with the ledger, and writes nothing.
func Find(ctx context.Context, l ledger.Ledger, namespace, key string, w Which) (Found, error) {
	rec, err := l.Get(ctx, ledger.ID{Namespace: namespace, Key: key, Window: w.Window})
	if err != nil || w.Exact || !w.Latest && rec.Phase() != ledger.PhaseNone {
		return Found{Record: rec}, err
	}
	limit := ambiguousRecords + 1
	if w.Latest || w.Guess {
		limit = 1
	}
	all, err := ledger.Collect(l.List(ctx, ledger.Filter{Namespace: namespace, Key: key, Limit: limit}))
	switch {
	case err != nil:
		return Found{}, err
	case len(all) == 0:
		return Found{Record: rec}, nil
	case w.Latest || w.Guess:
		rec, err := l.Get(ctx, all[0].ID)
		return Found{rec, !w.Latest && rec.ID.Window != ""}, err
	}
	if all[0].ID.Window == "" { // recorded since we looked
		return Find(ctx, l, namespace, key, Which{Exact: true})
	}
	n := min(len(all), ambiguousRecords)
	return Found{}, &AmbiguousError{all[:n], len(all) > n}
}
