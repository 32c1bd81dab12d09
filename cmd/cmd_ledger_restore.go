package cmd

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"idem/ledger"
	"idem/ledger/drivers"
	"idem/proc"
)

type restoreOptions struct{ replace, yes, json bool }

func (a *app) ledgerRestoreCommand() *cobra.Command {
	o := &restoreOptions{}
	c := &cobra.Command{
		Use:   "restore FROM",
		Short: "Put a backup at the place of the ledger",
		Long: `Put the backup FROM at the place of the ledger. It is a directory, a file
FILE.tar, or - for a tar on stdin. Keys that succeeded after the backup run
again; with the same tokens, and with fences that go on.`,
		Example: `  idem ledger restore /backup/idem-2026-11-22.tar
  idem ledger restore /backup/idem-2026-11-22.tar --replace`,
		Args: placeArg("backup"),
		RunE: tidily(func(c *cobra.Command, args []string) error {
			return a.aboutLedger(c, nil, func(_ context.Context, place string) error { return a.restore(c, place, args[0], o) }, nil)
		}),
	}
	f := ledgerFlags(c)
	f.BoolVar(&o.replace, "replace", false, "move a ledger that is there aside, to DIR.replaced-TIME, if nothing runs")
	f.BoolVar(&o.yes, "yes", false, "accept that keys run again, without a question")
	jsonFlag(f, &o.json)
	return c
}

// restoreView is the JSON object of idem ledger restore --json.
type restoreView struct {
	copyView
	Backup   string      `json:"backup"`
	Restored bool        `json:"restored"` // false: the ledger is as it was
	Aside    *string     `json:"aside"`    // the directory that the earlier ledger was moved to
	Again    []againView `json:"runs_again"`
	// Unread is why the list of keys may lack some, null if it does not.
	Unread *string `json:"unread"`
}

// againView is a key that runs again after a restore.
type againView struct {
	idView
	RunID  string `json:"run_id"`
	State  string `json:"state"`           // before the restore
	Backup string `json:"state_in_backup"` // after it
}

func viewRestore(place, backup string, r ledger.Restored, done bool) restoreView {
	v := restoreView{copyView: viewCopy(place, r.Copied), Backup: backup, Restored: done, Again: []againView{}}
	if r.Aside != "" {
		v.Aside = &r.Aside
	}
	for _, k := range r.Again {
		v.Again = append(v.Again, againView{viewID(k.ID), k.RunID, string(k.Was), string(k.Backup)})
	}
	if r.Unread != nil {
		v.Unread = ptr(oneLine(r.Unread.Error()))
	}
	return v
}

// restore puts a backup at the place of a ledger in a directory.
func (a *app) restore(c *cobra.Command, place, backup string, o *restoreOptions) error {
	options := drivers.RestoreOptions{Trust: a.trustPlace, Replace: o.replace}
	switch path, err := filepath.Abs(backup); {
	case backup == "-" && isTerminal(os.Stdin):
		return usage("idem ledger restore - reads a tar from stdin, which is a terminal").hint("name the file: idem ledger restore FILE.tar")
	case backup == "-" && requireStdin() != nil:
		return requireStdin()
	case backup == "-":
		options.Stream = proc.Reader(c.Context(), os.Stdin)
	case err != nil:
		return err
	case packer(backup) != "":
		return usage("idem ledger restore reads no %s", filepath.Ext(backup)).
			hintRun("unpack it", "%s -dc %s | %s", packer(backup), shellQuote(backup), a.copyLine(c))
	default:
		backup = path
		if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
			from, err := proc.Open(c.Context(), path) // a signal ends it, also before there is a writer
			if err != nil {
				return err
			}
			defer from.Close()
			options.Stream = proc.Reader(c.Context(), from)
		}
	}
	options.Confirm = func(r ledger.Restored) error { return a.confirmRestore(c.Context(), place, backup, r, o) }
	r, err := drivers.Restore(c.Context(), place, backup, options)
	if err != nil {
		if target := (*ledger.TargetError)(nil); errors.As(err, &target) && target.Path == place && !o.replace {
			return usage("%s %s", quote(target.Path), target.Text).
				hintFlags("to move it aside and put the backup in its place", "--replace")
		}
		return a.copyFailure(err, place)
	}
	if o.json {
		return a.printJSON(viewRestore(place, backup, r, true))
	}
	if err := a.print("restored " + copiedText(r.Copied) + " to " + a.shown(place) + "\n"); err != nil {
		return err
	}
	if r.Aside != "" {
		if err := a.print("the earlier ledger is " + a.shown(r.Aside) + "\n"); err != nil {
			return err
		}
	}
	a.sayCopied(r.Copied, "the restored ledger")
	return nil
}

// confirmRestore says which keys run again after a restore. It returns an error unless the user
// accepts that.
func (a *app) confirmRestore(ctx context.Context, place, backup string, r ledger.Restored, o *restoreOptions) error {
	f := usage("after this restore, %s", pluralVerb(len(r.Again), "key runs again", "keys run again"))
	for i, k := range r.Again {
		if i == mostKeys {
			f.detail("and %d more, which --json lists", len(r.Again)-i)
			break
		}
		f.detail("%s has %s; in the backup: %s", idShown(k.ID), wasText(k.Was), backupText(k.Backup))
	}
	if r.Unread != nil {
		if len(r.Again) == 0 {
			f = usage("after this restore, keys may run again, and it is not known which")
		}
		f.detail("the ledger that is there cannot be read whole: %s", oneLine(r.Unread.Error())).
			detail("tokens and fences of its later attempts may be given again")
	}
	switch {
	case o.yes:
		a.ui.say(warningMark, "%v", f)
		for _, text := range f.details {
			a.ui.say(detailMark, "%s", text)
		}
		return nil
	case !o.json && backup != "-" && isTerminal(os.Stdin) && isTerminal(a.ui.stderr):
		a.ui.sayFailure(errorMark, f)
		return a.askUser(ctx, "restore the backup? [y/N] ")
	case o.json:
		if err := a.printJSON(viewRestore(place, backup, r, false)); err != nil {
			return err
		}
	}
	return f.hintFlags("if they may", "--yes")
}

func wasText(p ledger.Phase) string {
	if p == ledger.PhaseInterrupted {
		return "an unknown outcome"
	}
	return "succeeded"
}

func backupText(p ledger.Phase) string {
	if p == ledger.PhaseNone {
		return "nothing"
	}
	return string(p)
}

// askUser asks a question on the terminal, and returns an error for any answer but yes.
func (a *app) askUser(ctx context.Context, question string) error {
	_, _ = a.ui.stderr.WriteString("idem: " + question)
	answer, _ := bufio.NewReader(proc.Reader(ctx, os.Stdin)).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return fail(exitError, "nothing was changed")
}
