package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"idem/ledger"
	"idem/proc"
	"idem/transfer"
)

type importOptions struct {
	onConflict   choice
	dryRun, json bool
}

func (a *app) ledgerImportCommand() *cobra.Command {
	o := &importOptions{onConflict: choice{of: []string{string(transfer.Refuse), string(transfer.Keep), string(transfer.Newer)}, value: string(transfer.Refuse)}}
	c := &cobra.Command{
		Use:   "import [FILE|-]",
		Short: "Store the records of an export",
		Long: `Store the records of an export from FILE or stdin. Each is stored completely or
not at all. Keys that the ledger has in another state are left as they are
(status 65), unless --on-conflict says otherwise. An attempt that was running is
interrupted.

A damaged or cut file is refused (65) before its first record is stored; a pipe
is checked record by record.`,
		Example: `  idem ledger import -n deploys.jsonl
  idem ledger import --ledger postgres://ci@db.example/ops deploys.jsonl`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("%s takes one FILE, not %d", c.CommandPath(), len(args)).hintForm(usageLine(c))
			}
			return nil
		},
		RunE: tidily(func(c *cobra.Command, args []string) error { return a.importLedger(c, args, o) }),
	}
	f := ledgerFlags(c)
	f.Var(&o.onConflict, "on-conflict", "refuse to store a key that the ledger has in another state; keep it; or, in a directory only, replace it if the one in the file is newer, but never a success by anything else, and no interrupted attempt by another failure")
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "store nothing")
	jsonFlag(f, &o.json)
	return c
}

// importLedger stores the records of a file.
func (a *app) importLedger(c *cobra.Command, args []string, o *importOptions) error {
	ctx := c.Context()
	how := transfer.Conflict(o.onConflict.value)
	if how == transfer.Newer && a.inShared() {
		return usage("--on-conflict newer is for a ledger in a directory").
			detail("a shared ledger replaces no record: other hosts may remember its last outcome").
			hintFlags("to keep the state that this ledger has", "--on-conflict keep")
	}
	from, name, err := importFrom(c, args)
	if err != nil {
		return err
	}
	defer from.Close()
	whole, err := verified(from, name)
	if err != nil {
		return err
	}
	i, err := transfer.NewImporter(proc.Reader(ctx, from))
	if err != nil {
		return transferFailure(err, name)
	}
	l, err := a.transferable()
	if err != nil {
		return err
	}
	v := importView{Schema: 1, Ledger: publicURL(l.Place()), DryRun: o.dryRun, Conflicts: []conflictView{}}
	secretID, err := a.secretForImport(ctx, l, i.Header(), o.dryRun)
	if err != nil {
		return err
	}
	v.Summary, err = i.Import(ctx, l, transfer.ImportOptions{
		OnConflict: how, DryRun: o.dryRun, SecretID: secretID,
		Refused: func(have, want ledger.Record, err error) { a.refusedImport(&v, have, want, err) },
	})
	if printed := a.printImport(v, o); err == nil {
		err = printed
	} else if f := failureOf(transferFailure(err, name)); !whole && v.Stored > 0 {
		return f.detail("%s before it were stored; the same import can be made again", plural(v.Stored, "record"))
	} else {
		return f
	}
	if err != nil {
		return err
	}
	if v.Unbound > 0 {
		a.ui.warn("the inputs of %s are hashed with the secret of another ledger", plural(v.Unbound, "key"))
		a.ui.warnDetail("calls with --hash-env are refused for them (65)")
		a.ui.hint(advice("export them --with-secret, and import them into a new ledger"))
	}
	if v.Behind > 0 {
		a.ui.warn("%s with an older generation than in the export", pluralVerb(v.Behind, "key stays here", "keys stay here"))
		a.ui.warnDetail("after idem forget here, IDEM_TOKEN can be one that the other ledger has used")
	}
	return v.failure(how, a.inShared())
}

// importFrom opens the file that an import reads. The name is "" for stdin.
func importFrom(c *cobra.Command, args []string) (from *os.File, name string, err error) {
	if len(args) == 1 {
		if err := notAURL("import", args[0]); err != nil {
			return nil, "", err
		}
		name = args[0]
	}
	if name == "" || name == "-" {
		if err := requireStdin(); err != nil {
			return nil, "", err
		}
		if isTerminal(os.Stdin) {
			return nil, "", usage("stdin is a terminal: an import requires a file").hintForm(usageLine(c))
		}
		return os.Stdin, "", nil
	}
	from, err = proc.Open(c.Context(), name)
	if errors.Is(err, context.Canceled) {
		return nil, "", err
	}
	if err != nil {
		return nil, "", usage("%v", err)
	}
	return from, name, nil
}

// verified checks a regular file from its position to its end, and goes back to the position. It
// reports whether it could. Nothing of a damaged file is stored then.
func verified(from *os.File, name string) (bool, error) {
	info, err := from.Stat()
	if err == nil && info.IsDir() {
		return false, usage("%s is a directory", quote(name))
	}
	if err != nil || !info.Mode().IsRegular() {
		return false, nil
	}
	at, err := from.Seek(0, io.SeekCurrent)
	if err != nil {
		return false, usage("%v", err)
	}
	i, err := transfer.NewImporter(from)
	if err == nil {
		_, err = i.Verify()
	}
	if err == nil {
		_, err = from.Seek(at, io.SeekStart)
	}
	var bad *transfer.Error
	if err != nil && !errors.As(err, &bad) {
		return false, usage("%v", err)
	}
	if err != nil && !bad.Foreign {
		return false, failureOf(transferFailure(err, name)).detail("nothing was stored")
	}
	return true, transferFailure(err, name)
}

// secretForImport gives the ledger the secret of an export, if the ledger has none. It returns the
// ID of the secret that the ledger then has.
func (a *app) secretForImport(ctx context.Context, l ledger.Store, h transfer.Header, dryRun bool) (string, error) {
	has, err := l.FindSecret()
	if err != nil || h.Secret == nil || transfer.SecretID(has) == h.SecretID {
		return transfer.SecretID(has), err
	}
	r, ok := l.(ledger.Rekeying)
	if ok && dryRun && has == nil {
		return h.SecretID, nil // it would be set
	}
	if !ok || dryRun {
		return transfer.SecretID(has), nil
	}
	if ok, err = r.SetSecret(ctx, h.Secret); ok {
		return h.SecretID, err
	}
	return transfer.SecretID(has), err
}

// importView is the JSON object of idem ledger import --json.
type importView struct {
	Schema int    `json:"schema"`
	Ledger string `json:"ledger"`
	DryRun bool   `json:"dry_run"`
	transfer.Summary
	Conflicts []conflictView `json:"refused"` // the first ones
}

// conflictView is a record that was not stored.
type conflictView struct {
	Namespace string `json:"namespace"`
	Key       string `json:"key"`
	Window    string `json:"window"`
	Here      string `json:"here"`
	There     string `json:"there"` // "" for a record that was forgotten there
	Busy      bool   `json:"busy"`
}

// mostConflicts bounds the records that an import names.
const mostConflicts = 20

// refusedImport notes a record that was not stored.
func (a *app) refusedImport(v *importView, have, want ledger.Record, err error) {
	if len(v.Conflicts) == mostConflicts {
		return
	}
	v.Conflicts = append(v.Conflicts, conflictView{
		Namespace: have.ID.Namespace, Key: have.ID.Key, Window: have.ID.Window,
		Here: string(have.Phase()), There: string(want.Phase()), Busy: err != nil,
	})
}

// printImport prints what an import has done.
func (a *app) printImport(v importView, o *importOptions) error {
	if o.json {
		return a.printJSON(v)
	}
	for _, c := range v.Conflicts {
		id := ledger.ID{Namespace: c.Namespace, Key: c.Key, Window: c.Window}
		name := "key " + quote(id.Key) + " in namespace " + quote(id.Namespace) + inWindow(id)
		if c.Busy {
			a.ui.warn("%s is held by another call", name)
			continue
		}
		a.ui.warn("%s is %s here and %s in the export", name, c.Here, c.There)
	}
	verb := "stored "
	if v.DryRun {
		verb = "would store "
	}
	parts := []string{verb + plural(v.Stored, "record")}
	for _, p := range []struct {
		n    int
		text string
	}{{v.Same, "were there already"}, {v.Kept, "kept as they are here"}, {v.Summary.Conflicts, "refused"}, {v.Busy, "held by other calls"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprint(p.n, " ", p.text))
		}
	}
	return a.print(strings.Join(parts, ", ") + "\n")
}

// failure returns the failure of an import that has not stored everything.
func (v importView) failure(how transfer.Conflict, shared bool) error {
	switch n := v.Summary.Conflicts; {
	case n > 0:
		f := fail(exitMismatch, "%s not imported: this ledger has another state for %s", pluralVerb(n, "key was", "keys were"), pluralThem(n)).
			hintFlags("to keep the state that this ledger has", "--on-conflict keep")
		switch {
		case how == transfer.Newer:
			f.hint("settle the interrupted ones with idem mark, and import the same file again")
		case !shared:
			f.hintFlags("to take the newer one, but never lose a success", "--on-conflict newer")
		}
		return f
	case v.Busy > 0:
		return fail(exitBusy, "%s not imported: other calls hold %s", pluralVerb(v.Busy, "key was", "keys were"), pluralThem(v.Busy)).
			hint("import the same file again when they have ended")
	}
	return nil
}

func pluralThem(n int) string {
	if n == 1 {
		return "it"
	}
	return "them"
}
