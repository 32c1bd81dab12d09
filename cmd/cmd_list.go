package cmd

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"idem/ledger"
)

type listOptions struct {
	underFlags
	glob    string
	limit   int
	items   bool
	null    bool
	json    bool
	mutexes bool
}

const listLong = `List the recorded keys, newest first. A run with steps or a batch with items is
one line, which counts them by state. --under lists the steps or items
themselves. With --state, the list also has a key with a step or an item in
that state.

On a terminal, the output is a table. In a pipe, it has one line per key and no
header. Tabs separate the fields: key, state, attempt, exit status, start,
namespace, window and, for a key with steps or items, their numbers. The states
are running, interrupted, succeeded, failed, batch for a key with items, and
retry for a key that was marked to run again.

With --under and --items, each line is an item as it was given to idem each, so
the list can be its input. Only items in exactly the state of --state are listed
then. For items that are fields of CSV or JSON, it is the value of the key field.

With --mutexes, the list has the calls that hold a mutex and those that wait for
one, sorted by mutex. The fields are: mutex, places taken and limit, state, key,
start of the state, user and process, namespace, window. The states are holds,
waits, and left for a mutex that only processes of an ended call hold.`

func (a *app) listCommand() *cobra.Command {
	o := &listOptions{}
	c := &cobra.Command{
		Use:   "list",
		Short: "List the recorded keys",
		Long:  listLong + recordLong + guessLong,
		Example: `  idem list --state interrupted
  idem list --glob 'deploy:prod:*' --limit 5 --json
  idem list --under backfill --failed --items`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.list(c, o) },
	}
	f := c.Flags()
	o.addTo(c, "list", ledger.PhaseRunning, ledger.PhaseInterrupted, ledger.PhaseSucceeded, ledger.PhaseFailed, ledger.PhaseRetry, ledger.PhaseBatch)
	o.record = newRecordFlags(c, nil, true)
	f.BoolVar(&o.items, "items", false, "print the items themselves, one on each line")
	f.BoolVarP(&o.null, "null", "0", false, "end each item with a NUL byte, not a newline")
	f.StringVar(&o.glob, "glob", "", "list only keys that match `PATTERN` with * ? [...]; * matches any text, including / and :")
	namespaceFlag(f, &a.namespace, "list only keys in namespace `NAME` (IDEM_NAMESPACE; default: all namespaces)")
	f.IntVar(&o.limit, "limit", 0, "list at most `N` keys (default: all)")
	f.BoolVar(&o.mutexes, "mutexes", false, "list the mutexes in use, with the calls that hold them or wait")
	f.BoolVar(&o.json, "json", false, "print a JSON array")
	return c
}

func (a *app) list(c *cobra.Command, o *listOptions) error {
	glob, err := ledger.ParseGlob(o.glob)
	switch {
	case errors.Is(err, ledger.ErrOpenSet):
		return usage("--glob %s: a [ is not closed", quote(o.glob)).hint("to match the character itself, write [[]")
	case err != nil:
		return usage("--glob %v", err)
	}
	if o.limit < 0 {
		return usage("--limit requires a number of at least 0")
	}
	if a.namespace != "" { // else all namespaces
		if err := checkNamespace(a.namespace); err != nil {
			return err
		}
	}
	if err := o.checkPairs(c.Flags()); err != nil {
		return err
	}
	filter := ledger.Filter{Namespace: a.namespace, Glob: glob, Phase: o.phase(), Limit: o.limit, TopLevel: true}
	if o.under != "" {
		return a.listUnder(c.Context(), o, filter)
	}
	l, err := a.openLedger()
	if err != nil {
		return err
	}
	if o.mutexes {
		return a.listMutexes(c.Context(), l, o.json)
	}
	// Either the whole list is printed or nothing, because the reader of a pipe does
	// not see the exit status of idem.
	var b strings.Builder
	if err := a.writeList(&b, l, collapsed(c.Context(), l, filter), o); err != nil {
		return err
	}
	return a.print(b.String())
}

// writeList writes records as a table for a person, or as lines or an array for a
// program.
func (a *app) writeList(w io.Writer, l ledger.Ledger, records iter.Seq2[listed, error], o *listOptions) error {
	switch {
	case o.json:
		return writeArray(w, l, records)
	case isTerminal(a.ui.stdout):
		return writeTable(w, l, records)
	}
	return writeRows(w, records)
}

func writeRows(w io.Writer, records iter.Seq2[listed, error]) error {
	for r, err := range records {
		if err != nil {
			return err
		}
		fields := []string{
			escape(r.ID.Key), string(r.Phase()), fmt.Sprint(r.Attempts), exitText(r.Current), startText(r.Current, stamp),
			escape(r.ID.Namespace), escape(r.ID.Window),
		}
		if text := r.belowText(); text != "" {
			fields = append(fields, text)
		}
		if _, err := fmt.Fprintln(w, strings.Join(fields, "\t")); err != nil {
			return err
		}
	}
	return nil
}

// writeTable writes a table. The key of an item that is a hash is shown as the item.
func writeTable(to io.Writer, l ledger.Ledger, records iter.Seq2[listed, error]) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tSTATE\tATTEMPT\tEXIT\tSTARTED\tNAMESPACE\tBELOW")
	for r, err := range records {
		if err != nil {
			return err
		}
		key, err := shownKey(l, r.Record)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", key, r.Phase(), r.Attempts, exitText(r.Current),
			startText(r.Current, humanize.Time), escape(r.ID.Namespace), r.belowText())
	}
	return w.Flush()
}

// listView is a record in the JSON array of idem list.
type listView struct {
	keyView
	Parent *string      `json:"parent"` // the key above a step or an item
	Item   *jsonBytes   `json:"item"`   // the step or item; null if only its hash is known
	Below  ledger.Tally `json:"below"`
}

func writeArray(w io.Writer, l ledger.Ledger, records iter.Seq2[listed, error]) error {
	const indent = "  "
	between, end := "[\n", "[]\n"
	for r, err := range records {
		if err != nil {
			return err
		}
		v := listView{keyView: viewKey(r.Record), Below: r.below}
		if v.Below == nil {
			v.Below = ledger.Tally{}
		}
		if r.Parent != (ledger.ID{}) {
			v.Parent = &r.Parent.Key
			item, ok, err := readItem(l, r.Record)
			if err != nil {
				return err
			}
			if ok {
				v.Item = ptr(jsonBytes(item))
			}
		}
		text, err := marshalBelow(indent, v)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, between+indent+strings.TrimSuffix(string(text), "\n")); err != nil {
			return err
		}
		between, end = ",\n", "\n]\n"
	}
	_, err := io.WriteString(w, end)
	return err
}

// exitText returns the exit status of an attempt, "-" if it has none.
func exitText(a ledger.Attempt) string {
	if a.Ended.IsZero() || a.State == ledger.None || a.State == ledger.Batch {
		return "-"
	}
	return fmt.Sprint(a.ExitCode)
}

// startText returns the start of an attempt as text makes it, "-" without an attempt.
func startText(a ledger.Attempt, text func(time.Time) string) string {
	if a.Started.IsZero() {
		return "-"
	}
	return text(a.Started)
}

func (a *app) printJSON(v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	return a.print(string(b))
}
