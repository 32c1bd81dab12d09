package cmd

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"idem/ledger"
)

const (
	// maxItems is how many items of a batch idem show looks at to find the slowest.
	maxItems = 10_000
	// maxNamed is how many failures and slow items idem show names.
	maxNamed = 10
)

// writeBatch writes what idem show prints about the items of a batch.
func writeBatch(ctx context.Context, to io.Writer, width int, now time.Time, l ledger.Ledger, batch ledger.Record) error {
	tallies, err := talliesOf(ctx, l, batch.ID)
	if err != nil {
		return err
	}
	counts := tallies[batch.ID]
	if _, err := fmt.Fprintf(to, "\nitems: %s\n", tallyText(counts)); err != nil {
		return err
	}
	below := ledger.Filter{Namespace: batch.ID.Namespace, Under: batch.ID}
	if counts[ledger.PhaseFailed] > 0 {
		failed := below
		failed.Phases, failed.Limit = ledger.Phases{ledger.PhaseFailed}, maxNamed
		records, err := ledger.Collect(l.List(ctx, failed))
		if err != nil {
			return err
		}
		t := &screenTable{to: to, width: width, columns: []column{{"STARTED", true, always}, {"HOW", false, always}, {"ITEM", false, always}}}
		if err := t.items(l, "LAST FAILURES", records, func(cur ledger.Attempt) []string {
			return []string{ageText(now.Sub(cur.Started)), outcomeText(cur)}
		}); err != nil {
			return err
		}
	}
	if all := counts.Total(); all == 0 || all > maxItems {
		return nil
	}
	records, err := ledger.Collect(l.List(ctx, below))
	if err != nil {
		return err
	}
	slices.SortStableFunc(records, func(a, b ledger.Record) int { return cmp.Compare(timeOf(b.Current), timeOf(a.Current)) })
	t := &screenTable{to: to, width: width, columns: []column{{"TOOK", true, always}, {"ITEM", false, always}}}
	return t.items(l, "SLOWEST", records[:min(len(records), maxNamed)], func(cur ledger.Attempt) []string { return []string{tookText(timeOf(cur))} })
}

// items writes a table of items with texts about the current attempt of each. For an item
// whose key is a hash, it has the item and the hash.
func (t *screenTable) items(l ledger.Ledger, title string, records []ledger.Record, texts func(ledger.Attempt) []string) error {
	t.whole = true
	if _, err := fmt.Fprintf(t.to, "\n%s\n", title); err != nil {
		return err
	}
	for _, rec := range records {
		item, ok, err := readItem(l, rec)
		if err != nil {
			return err
		}
		text := escape(cut(item))
		if name, hashed := nameOf(rec); hashed && ok {
			text += "  " + name
		}
		if err := t.add(screenRow{texts: append(texts(rec.Current), text)}); err != nil {
			return err
		}
	}
	return t.flush()
}
