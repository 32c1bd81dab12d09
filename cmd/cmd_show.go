package cmd

import (
	"context"
	"errors"
	"fmt"

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
numbers. The token, the numbers and the fingerprint of the record follow. With
--json, show all attempts, inputs and steps.

--output-lines adds the last lines of the output of the latest attempt, of both
streams together. idem logs prints all of it.`

// showOptions are the flags of idem show.
type showOptions struct {
	record    *recordFlags
	json, all bool
	lines     int
}

func (a *app) showCommand() *cobra.Command {
	o := &showOptions{}
	c := &cobra.Command{
		Use:     "show KEY",
		Short:   "Show the record of a key",
		Long:    showLong + recordLong + guessLong,
		Example: "  idem show deploy:prod:8471\n  idem show --json deploy:prod:8471 | jq .exit_code",
		Args:    oneArg("key"),
		RunE:    func(c *cobra.Command, args []string) error { return a.show(c.Context(), args[0], o) },
	}
	o.record = newRecordFlags(c, nil, true)
	a.pagerFlag(c.Flags())
	c.Flags().BoolVar(&o.json, "json", false, "print a JSON object")
	c.Flags().IntVar(&o.lines, "output-lines", 0, fmt.Sprintf("add the last `N` lines of the output, at most %d", maxTail))
	c.Flags().BoolVar(&o.all, "all", false, fmt.Sprintf("show all steps, not only %d of each run and each step", maxSteps))
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

func (a *app) show(ctx context.Context, key string, o *showOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	l, rec, err := a.lookUp(ctx, key, o.record)
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
	if o.json || o.all {
		limit = 0
	}
	var tree stepTree
	var items ledger.Tally
	if rec.Phase() != ledger.PhaseBatch {
		tree, err = treeOf(ctx, l, rec, limit)
	} else if o.json {
		var tallies map[ledger.ID]ledger.Tally
		tallies, err = talliesOf(ctx, l, rec.ID)
		items = tallies[rec.ID]
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
	if o.json {
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
	r := recordText{
		a: a, store: l, Record: rec, width: a.textWidth(), command: command, token: token,
		mutexes: mutexes, attempts: attempts, late: late, files: files, tree: tree, lines: o.lines,
	}
	if err := r.write(ctx); err != nil {
		return err
	}
	return a.printPage(r.String())
}

// check refuses flags that cannot be combined.
func (o *showOptions) check() error {
	switch {
	case o.lines < 0 || o.lines > maxTail:
		return usage("--output-lines requires a number from 0 to %d", maxTail).hint("idem logs -n N prints more")
	case o.lines > 0 && o.json:
		return clashError("output-lines", "json", "idem logs -n N prints the last lines")
	}
	return nil
}

func viewFiles(files []ledger.File) []fileView {
	var views []fileView
	for _, f := range files {
		views = append(views, fileView{jsonBytes(f.Name), len(f.Content), !f.Lost})
	}
	return views
}
