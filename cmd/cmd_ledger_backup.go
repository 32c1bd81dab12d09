package cmd

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"idem/ledger"
	"idem/ledger/drivers"
	"idem/proc"
)

type backupOptions struct{ noOutput, json bool }

func (a *app) ledgerBackupCommand() *cobra.Command {
	o := &backupOptions{}
	c := &cobra.Command{
		Use:   "backup TO",
		Short: "Copy the ledger while calls use it",
		Long: `Copy the ledger while calls use it, to TO: a directory that is absent or empty,
a file FILE.tar, or - for a tar on stdout. A copy is whole or absent. A running
key is interrupted in it.`,
		Example: `  idem ledger backup "/backup/idem-$(date +%F).tar"
  idem ledger backup - | gzip >idem.tar.gz`,
		Args: placeArg("place of the copy"),
		RunE: tidily(func(c *cobra.Command, args []string) error {
			return a.aboutLedger(c, nil, func(_ context.Context, place string) error { return a.backup(c, place, args[0], o) }, nil)
		}),
	}
	f := ledgerFlags(c)
	f.BoolVar(&o.noOutput, "no-output", false, "leave the recorded outputs out; the copy says that they were removed")
	jsonFlag(f, &o.json)
	return c
}

type backupView struct {
	copyView
	Backup string `json:"backup"`
}

// backup copies the ledger in the directory place to the place arg.
func (a *app) backup(c *cobra.Command, place, arg string, o *backupOptions) error {
	to, err := a.backupTarget(c, arg, o)
	if err != nil {
		return err
	}
	l, err := drivers.Open(place, drivers.Options{TrustPlace: a.trustPlace})
	if err != nil {
		return err
	}
	done, err := l.(ledger.Copying).Backup(c.Context(), to)
	if err != nil {
		return a.copyFailure(err, place)
	}
	name := to.Dir + to.File
	switch {
	case o.json:
		if err := a.printJSON(backupView{viewCopy(l.Place(), done), name}); err != nil {
			return err
		}
	case name == "":
		a.ui.say(noteMark, "copied %s", copiedText(done))
	default:
		if err := a.print("copied " + copiedText(done) + " to " + a.shown(name) + "\n"); err != nil {
			return err
		}
	}
	a.sayCopied(done, "the copy")
	return nil
}

// backupTarget returns where the argument of idem ledger backup says that a copy goes.
func (a *app) backupTarget(c *cobra.Command, arg string, o *backupOptions) (ledger.BackupOptions, error) {
	to := ledger.BackupOptions{NoOutput: o.noOutput}
	if arg == "-" {
		proc.OutlivePipe() // the directory of the copy is removed
		to.Writer = proc.Writer(c.Context(), a.ui.stdout)
		if isTerminal(a.ui.stdout) {
			return to, usage("idem ledger backup - writes a tar to stdout, which is a terminal").hint("write it to a file: idem ledger backup FILE.tar")
		}
		if o.json {
			return to, usage("idem ledger backup - and --json both write to stdout").hint("write the backup to a file: idem ledger backup FILE.tar --json")
		}
		return to, a.requireStdout()
	}
	path, err := filepath.Abs(arg)
	switch {
	case err != nil:
		return to, err
	case packer(path) != "":
		return to, usage("idem ledger backup writes no %s", filepath.Ext(path)).
			hintRun("pack its tar", "%s | %s >%s", a.copyLine(c), packer(path), shellQuote(arg))
	case strings.HasSuffix(path, ".tar"):
		to.File = path
	default:
		to.Dir = path
	}
	return to, nil
}
