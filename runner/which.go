package runner

import (
	"context"
	"fmt"

	"idem/ledger"
)

// Which selects a record of a key. The zero value selects the record without a
// window. With it, a key that has records only in windows is ambiguous.
type Which struct {
	Exact  bool   // the record in Window, which may be empty
	Window string // only with Exact
	Latest bool   // the record with the latest attempt or mark, in any window
	Guess  bool   // use Latest for an ambiguous key
}

// Found is the selected record. If nothing is recorded, its phase is none.
type Found struct {
	ledger.Record
	Guessed bool // the window was guessed
}

// AmbiguousError reports a key that has records only in windows, of which the caller
// named none.
type AmbiguousError struct {
	Records []ledger.Record // some of them, the one with the latest attempt first
	More    bool            // the key has more records
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("key %q has records only in windows", e.Records[0].ID.Key)
}

// ambiguousRecords is the maximum number of records in an AmbiguousError.
const ambiguousRecords = 3

// Find returns the record of a key that w selects. The error is an *AmbiguousError or
// a fault of the ledger. Find writes nothing.
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
	if all[0].ID.Window == "" { // recorded since Get
		return Find(ctx, l, namespace, key, Which{Exact: true})
	}
	n := min(len(all), ambiguousRecords)
	return Found{}, &AmbiguousError{all[:n], len(all) > n}
}
