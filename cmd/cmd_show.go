package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"idem/hashkey"
	"idem/ledger"
)

// showView is the JSON object of show --json.
type showView struct {
	keyView
	Argv     []jsonBytes   `json:"argv"`
	Token    string        `json:"token"`
	Mutexes  []heldView    `json:"mutexes"`
	Lease    *leaseView    `json:"lease,omitempty"` // in a shared ledger, while a call holds the key
	Attempts []showAttempt `json:"attempts"`
	Late     []lateView    `json:"late,omitempty"` // in a shared ledger, outcomes after a takeover
	Steps    []stepView    `json:"steps"`          // of a batch: none, see items
	Items    ledger.Tally  `json:"items"`          // of a batch, by state; else null
}

type showAttempt struct {
	attemptView
	Fingerprint string      `json:"fingerprint"`
	Inputs      []inputView `json:"inputs"` // as far as they are stored, masked
	Files       []fileView  `json:"files"`
}

// fileView is the addition of an attempt to one file, in JSON.
type fileView struct {
	Name     jsonBytes `json:"name"`
	Bytes    int       `json:"bytes"`
	Recorded bool      `json:"recorded"`
}

const showLong = `Show the record of a key: its state, its command, and its latest 20 attempts and
marks with the inputs that changed from each to the next. Then show its steps in
the order in which they first ran, with their states, their attempts, the time
they took and its share of the time of the run, or the items of a batch in
numbers. With --json, show all attempts, inputs and steps.`

func (a *app) showCommand() *cobra.Command {
	var asJSON, all bool
	var record *recordFlags
	c := &cobra.Command{
		Use:     "show KEY",
		Short:   "Show the record of a key",
		Long:    showLong + recordLong + guessLong,
		Example: "  idem show deploy:prod:8471\n  idem show --json deploy:prod:8471 | jq .exit_code",
		Args:    oneArg("key"),
		RunE:    func(c *cobra.Command, args []string) error { return a.show(c.Context(), args[0], record, asJSON, all) },
	}
	record = newRecordFlags(c, nil, true)
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	c.Flags().BoolVar(&all, "all", false, fmt.Sprintf("show all steps, not only %d of each run and each step", maxSteps))
	return c
}

// lookUp opens the ledger and returns the record of a key. The record must exist.
func (a *app) lookUp(ctx context.Context, key string, record *recordFlags) (ledger.Store, ledger.Record, error) {
	l, ids, want, err := a.openFor(record, key)
	if err != nil {
		return nil, ledger.Record{}, err
	}
	rec, err := a.find(ctx, l, ids[0], want, record)
	if err == nil && rec.Phase() == ledger.PhaseNone {
		err = notRecordedFailure(ctx, l, rec.ID)
	}
	return l, rec, err
}

func (a *app) show(ctx context.Context, key string, record *recordFlags, asJSON, all bool) error {
	l, rec, err := a.lookUp(ctx, key, record)
	if err != nil {
		return err
	}
	attempts, err := l.Attempts(ctx, rec.ID)
	if err != nil {
		return err
	}
	files := map[string][]fileView{} // by run id
	for _, at := range attempts {
		if at.Files == 0 {
			continue
		}
		recorded, err := l.Files(ctx, rec.ID, at.RunID)
		if err != nil {
			return err
		}
		files[at.RunID] = viewFiles(recorded)
	}
	mutexes, err := mutexesOf(ctx, l, rec.ID)
	if errors.Is(err, ledger.ErrCorrupt) { // of any mutex; the record is good
		a.ui.warn("the mutexes of key %s are not known", keyShown(rec))
		a.ui.warnDetail("%v", err)
		mutexes, err = nil, nil
	}
	if err != nil {
		return err
	}
	late, err := lateOf(ctx, l, rec.ID)
	if err != nil {
		return err
	}
	limit := maxSteps
	if asJSON || all {
		limit = 0
	}
	var tree stepTree
	var items ledger.Tally
	if rec.Phase() != ledger.PhaseBatch {
		tree, err = treeOf(ctx, l, rec, limit)
	} else if tallies, fault := talliesOf(ctx, l, rec.ID); fault != nil || asJSON {
		items, err = tallies[rec.ID], fault
	}
	if err != nil {
		return err
	}
	argv, command := []string{}, "not stored"
	if in, err := hashkey.Decode(rec.Current.Inputs); err == nil && !in.Withheld() {
		argv = in.Mask().Argv()
		command = commandLine(argv)
	}
	token := tokenOf(rec.ID, rec.Generation)
	if asJSON {
		v := showView{keyView: viewKey(rec), Argv: []jsonBytes{}, Token: token, Mutexes: mutexes, Lease: viewLease(rec.Lease), Attempts: []showAttempt{}, Late: viewLate(late), Steps: tree.views(), Items: items}
		for _, s := range argv {
			v.Argv = append(v.Argv, jsonBytes(s))
		}
		for _, at := range attempts {
			v.Attempts = append(v.Attempts, showAttempt{
				viewAttempt(at, string(phaseOf(rec, at))), at.Fingerprint, viewInputs(at.Inputs), append([]fileView{}, files[at.RunID]...),
			})
		}
		return a.printJSON(v)
	}
	below := tree.text(timeOf(attempts...))
	if rec.Phase() == ledger.PhaseBatch {
		if below, err = batchText(ctx, l, rec); err != nil {
			return err
		}
	}
	return a.print(recordText(rec, command, token, mutexes) + "\n" + historyTable(rec, attempts) + lateText(late) + filesText(attempts, files) + below)
}

func recordText(rec ledger.Record, command, token string, mutexes []heldView) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	field := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s:\t"+format+"\n", append([]any{name}, args...)...)
	}
	field("key", "%s", escape(rec.ID.Key))
	if _, hashed := nameOf(rec); hashed {
		if item, ok := itemOf(rec); ok {
			field("item", "%s", escape(item))
		}
	}
	field("namespace", "%s", escape(rec.ID.Namespace))
	if rec.ID.Window != "" {
		field("window", "%s", escape(rec.ID.Window))
	}
	if rec.Parent.Key != "" {
		field("part of", "%s", escape(rec.Parent.Key))
	}
	field("state", "%s", rec.Phase())
	if rec.Lease != nil {
		field("lease", "%s", leaseText(rec.Lease))
	}
	for _, m := range mutexes {
		field("mutex", "%s (%s)", escape(m.Mutex), m.State)
	}
	if unbound(rec) {
		field("inputs", "any")
	} else {
		if command != "" { // an item has none
			field("command", "%s", command)
		}
		field("fingerprint", "%s", rec.Current.Fingerprint)
	}
	field("token", "%s", token)
	field("generation", "%d", rec.Generation)
	field("fence", "%d", rec.Fence)
	_ = w.Flush() // into memory
	return b.String()
}

func viewFiles(files []ledger.File) []fileView {
	var views []fileView
	for _, f := range files {
		views = append(views, fileView{jsonBytes(f.Name), len(f.Content), !f.Lost})
	}
	return views
}

// filesText returns the additions of attempts to files as a table, "" if there are
// none.
func filesText(attempts []ledger.Attempt, files map[string][]fileView) string {
	if len(files) == 0 {
		return ""
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\nATTEMPT\tFILE\tAPPENDED\n")
	for _, at := range attempts {
		for _, f := range files[at.RunID] {
			size := fmt.Sprintf("%d bytes", f.Bytes)
			if !f.Recorded {
				size = "not recorded"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", attemptName(at), escape(string(f.Name)), size)
		}
	}
	_ = w.Flush() // into memory
	return b.String()
}
