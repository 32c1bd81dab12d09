package cmd

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"

	"idem/ledger"
)

// listUnder prints the records directly below the key of --under. It prints them while it
// reads them, because there may be millions. A fault ends the list after a whole line.
func (a *app) listUnder(ctx context.Context, o *listOptions, f ledger.Filter) error {
	l, parent, err := a.parent(ctx, &o.underFlags)
	if err != nil {
		return err
	}
	f.Namespace, f.Under, f.TopLevel = "", parent.ID, false
	out := newListWriter(&a.ui, a.page)
	if o.items {
		err = writeItems(out, l, l.List(ctx, f), o.null)
	} else {
		err = a.writeList(out, l, collapsed(ctx, l, f), o)
	}
	if err := out.end(err); err != nil {
		return err
	}
	if fields := keyFields(parent); o.items && fields != "" {
		a.ui.note("each line has only the fields of --key-field %s", escape(fields))
		if p := o.phases(); len(p) == 1 && (p[0] == ledger.PhaseFailed || p[0] == ledger.PhaseInterrupted) {
			a.ui.note("to run these items, call idem each over the whole list with --only %s", p[0])
		}
	}
	return nil
}

// writeItems writes items as idem each reads them.
func writeItems(w io.Writer, l ledger.Ledger, records iter.Seq2[ledger.Record, error], null bool) error {
	end := "\n"
	if null {
		end = "\x00"
	}
	var unknown int // items that are not stored
	for r, err := range records {
		if err != nil {
			return err
		}
		item, ok, err := readItem(l, r)
		switch {
		case err != nil:
			return err
		case !ok:
			unknown++
			continue
		case !null && strings.ContainsAny(item, "\r\n"):
			return usage("item %s contains a line break", quote(cut(item))).hintFlags("to end each item with a NUL byte", "--null")
		}
		if _, err := io.WriteString(w, item+end); err != nil {
			return err
		}
	}
	if unknown > 0 {
		return fail(exitError, "%s not stored", pluralVerb(unknown, "item is", "items are")).
			detail("--no-store args or --redact kept them out of the ledger").
			hint("idem list --under without --items lists their keys")
	}
	return nil
}

// pluralVerb returns a number with the singular or the plural of what it counts.
func pluralVerb(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
