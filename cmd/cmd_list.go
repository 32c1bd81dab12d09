package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"idem/ledger"
)

type listOptions struct {
	state choice
	glob  string
	limit int
	json  bool

	mutexes bool
}

const listLong = `List the recorded keys, newest first.

On a terminal, the output is a table. In a pipe, it has one line per key and no
header. Tabs separate the fields: key, state, attempt, exit status, start,
namespace, window. The states are running, interrupted, succeeded, failed, and
retry for a key that was marked to run again.

With --mutexes, the list has the calls that hold a mutex and those that wait for
one, sorted by mutex. The fields are: mutex, places taken and limit, state, key,
start of the state, user and process, namespace, window. The states are holds,
waits, and left for a mutex that only processes of an ended call hold.`

func (a *app) listCommand() *cobra.Command {
	o := &listOptions{state: choice{of: []string{"running", "interrupted", "succeeded", "failed", "retry"}}}
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the recorded keys",
		Long:    listLong,
		Example: "  idem list --state interrupted\n  idem list --glob 'deploy:prod:*' --limit 5 --json",
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.list(c, o) },
	}
	f := c.Flags()
	f.Var(&o.state, "state", "list only keys in `STATE`: "+strings.Join(o.state.of, ", "))
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
	if err := checkFlagPairs(c.Flags(), c.Flags().Changed, nil, listClashes, o); err != nil {
		return err
	}
	l, err := a.openLedger()
	if err != nil {
		return err
	}
	if o.mutexes {
		return a.listMutexes(c.Context(), l, o.json)
	}
	records := l.List(c.Context(), ledger.Filter{Namespace: a.namespace, Glob: glob, Phase: ledger.Phase(o.state.value), Limit: o.limit})
	write := writeRows
	switch {
	case o.json:
		write = writeArray
	case isTerminal(a.ui.stdout):
		write = writeTable
	}
	// Either the whole list is printed or nothing, because the reader of a pipe does
	// not see the exit status of idem.
	var b strings.Builder
	if err := write(&b, records); err != nil {
		return err
	}
	return a.print(b.String())
}

func writeRows(b *strings.Builder, records iter.Seq2[ledger.Record, error]) error {
	for r, err := range records {
		if err != nil {
			return err
		}
		fmt.Fprintln(b, strings.Join([]string{
			escape(r.ID.Key), string(r.Phase()), fmt.Sprint(r.Attempts), exitText(r.Current), stamp(r.Current.Started),
			escape(r.ID.Namespace), escape(r.ID.Window),
		}, "\t"))
	}
	return nil
}

func writeTable(b *strings.Builder, records iter.Seq2[ledger.Record, error]) error {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tSTATE\tATTEMPT\tEXIT\tSTARTED\tNAMESPACE")
	for r, err := range records {
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", escape(r.ID.Key), r.Phase(), r.Attempts, exitText(r.Current),
			humanize.Time(r.Current.Started), escape(r.ID.Namespace))
	}
	return w.Flush()
}

func writeArray(b *strings.Builder, records iter.Seq2[ledger.Record, error]) error {
	const indent = "  "
	between, end := "[\n", "[]\n"
	for r, err := range records {
		if err != nil {
			return err
		}
		text, err := marshalBelow(indent, viewKey(r))
		if err != nil {
			return err
		}
		b.WriteString(between + indent)
		b.Write(bytes.TrimSuffix(text, []byte("\n")))
		between, end = ",\n", "\n]\n"
	}
	b.WriteString(end)
	return nil
}

// exitText returns the exit status of an attempt, "-" if it has none.
func exitText(a ledger.Attempt) string {
	if a.Ended.IsZero() || a.State == ledger.None {
		return "-"
	}
	return fmt.Sprint(a.ExitCode)
}

func (a *app) printJSON(v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	return a.print(string(b))
}
