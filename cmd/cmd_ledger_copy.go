package cmd

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"idem/ledger"
)

// copyView is the JSON object of idem ledger backup --json and, with more, of restore and move.
type copyView struct {
	Schema  int    `json:"schema"`
	Ledger  string `json:"ledger"` // the copied or restored one, or the new place
	Keys    int    `json:"keys"`
	Outputs int    `json:"outputs"`
	Bytes   int64  `json:"bytes"`
	// Interrupted are the keys whose attempt has no recorded end.
	Interrupted []idView `json:"interrupted"`
	Removed     int      `json:"removed_outputs"` // not in the copy
	Damaged     int      `json:"damaged_outputs"`
}

// idView names a record.
type idView struct {
	Namespace string `json:"namespace"`
	Key       string `json:"key"`
	Window    string `json:"window"`
}

func viewID(id ledger.ID) idView { return idView{id.Namespace, id.Key, id.Window} }

func viewCopy(place string, c ledger.Copied) copyView {
	v := copyView{
		Schema: 1, Ledger: place, Keys: c.Keys, Outputs: c.Outputs, Bytes: c.Bytes, Interrupted: []idView{},
		Removed: c.Gone + c.Removed, Damaged: c.Damaged,
	}
	for _, id := range c.Unended {
		v.Interrupted = append(v.Interrupted, viewID(id))
	}
	return v
}

// copyLine returns a call of the same command on the same ledger with the argument "-" and the same
// flags, as a line for a shell.
func (a *app) copyLine(c *cobra.Command) string {
	argv := append(append(strings.Fields(c.CommandPath()), "-"), a.ledgerPath().flags(defaultNamespace)...)
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Value.String() == "true" && f.Name != "json" { // of backup, it would go to stdout too
			argv = append(argv, "--"+f.Name)
		}
	})
	return shellLine(argv)
}

// packer returns the program that packs or unpacks a file of this name, "" for any other.
func packer(path string) string {
	for suffix, program := range map[string]string{".gz": "gzip", ".tgz": "gzip", ".zst": "zstd", ".xz": "xz", ".bz2": "bzip2"} {
		if strings.HasSuffix(path, suffix) {
			return program
		}
	}
	return ""
}

// copiedText says how much was copied.
func copiedText(c ledger.Copied) string {
	return plural(c.Keys, "key") + " and " + plural(c.Outputs, "output file")
}

// mostKeys is how many keys a message names.
const mostKeys = 5

// sayCopied says what a reader of a copy has to know.
func (a *app) sayCopied(c ledger.Copied, what string) {
	if n := len(c.Unended); n > 0 {
		a.ui.warn("%s without a recorded end: %s interrupted in %s", plural(n, "key"), map[bool]string{true: "it is", false: "they are"}[n == 1], what)
		for i, id := range c.Unended {
			if i == mostKeys {
				a.ui.warnDetail("and %d more", n-i)
				break
			}
			a.ui.warnDetail("%s", idShown(id))
		}
	}
	if c.Gone > 0 {
		a.ui.warn("%s: %s says that they were removed", pluralVerb(c.Gone, "output has no file", "outputs have no file"), what)
	}
	if c.Damaged > 0 {
		a.ui.warn("%s: so it is in %s", pluralVerb(c.Damaged, "output is damaged", "outputs are damaged"), what)
	}
}

// idShown returns a record's name for a message.
func idShown(id ledger.ID) string { return keyShown(ledger.Record{ID: id}) + inWindow(id) }

// shown returns a path for stdout: exact, but harmless on a terminal.
func (a *app) shown(path string) string {
	if isTerminal(a.ui.stdout) {
		return escape(path)
	}
	return path
}

// copyFailure returns the failure of a backup, a restore or a move of the ledger at place.
func (a *app) copyFailure(err error, place string) error {
	var target *ledger.TargetError
	var backup *ledger.BackupError
	var inUse *ledger.InUseError
	switch {
	case onlyCanceled(err): // of a backup, too: the signal says enough
		return err
	case errors.As(err, &target):
		f := usage("%s %s", quote(target.Path), target.Text)
		if target.Missing {
			return f.hintRun("", "mkdir -m 700 -p %s", shellQuote(target.Path))
		}
		if target.Hint != "" {
			f.hint("%s", target.Hint)
		}
		return f
	case errors.As(err, &backup):
		return fail(exitLedger, "the backup %s cannot be restored", quote(backup.Path)).
			detail("%v", backup.Err).
			hint("use another backup")
	case errors.As(err, &inUse):
		f := fail(exitBusy, "the ledger %s is in use, so it stays as it is", quote(place))
		for _, id := range inUse.Running {
			f.detail("key %s is running", idShown(id))
		}
		return f.hint("stop what calls idem, and call again when nothing runs: idem list --running")
	case errors.Is(err, ledger.ErrChanged):
		return fail(exitBusy, "%w", err).hint("call again when nothing else uses it")
	case errors.Is(err, ledger.ErrMissing):
		return noLedgerFailure(exitError, place)
	}
	return err
}
