package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"idem/ledger"
)

type repairOptions struct{ dryRun, yes, json bool }

func (a *app) ledgerRepairCommand() *cobra.Command {
	o := &repairOptions{}
	c := &cobra.Command{
		Use:   "repair [DIR]",
		Short: "Give up outputs whose files are gone",
		Long: `Record that outputs are gone whose files are missing. A replay then goes on
without them, and warns. Nothing else changes.`,
		Example: `  idem ledger repair -n
  idem ledger repair /var/lib/idem`,
		Args: a.ledgerArg("DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.aboutLedger(c, args, func(ctx context.Context, place string) error { return a.repair(ctx, place, o) }, nil)
		},
	}
	f := ledgerFlags(c)
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "change nothing, and list the outputs")
	f.BoolVar(&o.yes, "yes", false, "accept that all files with outputs are gone")
	jsonFlag(f, &o.json)
	return c
}

// repairView is the JSON object of idem ledger repair --json.
type repairView struct {
	Ledger string     `json:"ledger"`
	DryRun bool       `json:"dry_run"`
	Gone   []goneView `json:"gone"` // before the repair
	Left   int        `json:"left"` // of them, after it
}

type goneView struct {
	Key       string `json:"key"`
	Namespace string `json:"namespace"`
	Window    string `json:"window"`
	RunID     string `json:"run_id"`
	Bytes     int64  `json:"bytes"`
}

// repair records that outputs are gone whose files are missing. With --dry-run, it only lists
// them.
func (a *app) repair(ctx context.Context, place string, o *repairOptions) error {
	l, err := a.openLedger()
	if err != nil {
		return err
	}
	if missing(ctx, l) {
		return noLedgerFailure(exitError, place)
	}
	r, ok := l.(ledger.Repairing)
	if !ok {
		return errors.New("this ledger has no files to repair")
	}
	gone, left, err := r.GoneOutputs(ctx)
	if err != nil {
		return err
	}
	if len(gone) > 1 && left == 0 && !o.yes {
		return fail(exitLedger, "all %d files with outputs are gone: nothing is repaired", len(gone)).
			detail("they may be on a volume that is not mounted; when they come back after a repair, idem gc deletes them").
			hintFlags("to list them, if they are lost for good", "-n --yes")
	}
	v := repairView{Ledger: place, DryRun: o.dryRun, Gone: []goneView{}, Left: len(gone)}
	for _, g := range gone {
		v.Gone = append(v.Gone, goneView{g.ID.Key, g.ID.Namespace, g.ID.Window, g.RunID, g.Bytes})
	}
	var fault error
	if !o.dryRun {
		var removed []ledger.StoredOutput
		removed, fault = r.RemoveOutputs(ctx, gone)
		v.Left -= len(removed)
	}
	if o.json {
		err = a.printJSON(v)
	} else {
		err = a.print(repairText(v))
	}
	switch {
	case fault != nil:
		return fault
	case err == nil && !o.dryRun && v.Left > 0:
		return fail(exitBusy, "%s of running or changed keys could not be repaired", plural(v.Left, "output")).hint("call again later")
	}
	return err
}

// repairText says what was found before the repair and what is left after it.
func repairText(v repairView) string {
	var b strings.Builder
	fmt.Fprintf(&b, "before: %s gone\n", pluralVerb(len(v.Gone), "output is", "outputs are"))
	for _, g := range v.Gone {
		fmt.Fprintf(&b, "  key %s", quote(g.Key))
		if g.Window != "" {
			fmt.Fprintf(&b, " in window %s", quote(g.Window))
		}
		if g.Namespace != defaultNamespace {
			fmt.Fprintf(&b, " of namespace %s", quote(g.Namespace))
		}
		fmt.Fprintf(&b, ": run %s, %d bytes\n", g.RunID, g.Bytes)
	}
	if v.DryRun {
		b.WriteString("nothing was changed; without -n, idem would record that they are gone\n")
	} else {
		fmt.Fprintf(&b, "after: %s gone; %d recorded as removed\n", pluralVerb(v.Left, "output is", "outputs are"), len(v.Gone)-v.Left)
	}
	return b.String()
}
