package cmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"idem/ledger"
	"idem/transfer"
)

type exportOptions struct {
	outputs, withSecret bool
	since               string
}

func (a *app) ledgerExportCommand() *cobra.Command {
	o := &exportOptions{}
	c := &cobra.Command{
		Use:   "export [PATTERN...]",
		Short: "Write records to stdout as JSON lines",
		Long: `Write the records of the ledger to stdout as JSON lines, or of those keys that
match a PATTERN as in idem list, also while keys run. Recorded outputs are
included with --outputs only.`,
		Example: `  idem ledger export --outputs 'deploy:*' >deploys.jsonl
  idem ledger export --since 30d --namespace billing >billing.jsonl`,
		RunE: func(c *cobra.Command, args []string) error { return a.exportLedger(c.Context(), args, o) },
	}
	f := ledgerFlags(c)
	f.BoolVar(&o.outputs, "outputs", false, "include the recorded outputs; else the copy says that they were removed")
	f.StringVar(&o.since, "since", "", "only keys whose latest attempt or mark began at `TIME` or later")
	f.BoolVar(&o.withSecret, "with-secret", false, "include the secret that hashes the values of --hash-env, into a pipe or a file with mode 0600")
	namespaceFlag(f, &a.namespace, "only keys in namespace `NAME` (IDEM_NAMESPACE; default: all namespaces)")
	return c
}

// exportLedger writes the records of the ledger to stdout.
func (a *app) exportLedger(ctx context.Context, patterns []string, o *exportOptions) error {
	filter, err := a.exportFilter(patterns, o)
	if err != nil {
		return err
	}
	if err := a.requireStdout(); err != nil {
		return err
	}
	if o.withSecret {
		if err := secretly(a.ui.stdout); err != nil {
			return err
		}
	}
	l, err := a.transferable()
	if err != nil {
		return err
	}
	if missing(ctx, l) { // an empty export would look like that of a new ledger
		return noLedgerFailure(exitLedger, l.Place())
	}
	secret, err := l.FindSecret()
	if err != nil {
		return err
	}
	h := transfer.Header{Idem: version(), Exported: a.now(), Outputs: o.outputs, SecretID: transfer.SecretID(secret)}
	if o.withSecret {
		h.Secret = secret
	}
	out := newListWriter(&a.ui, func() {})
	_, err = transfer.Export(ctx, l, out, transfer.ExportOptions{Header: h, Filter: filter})
	if err != nil && !out.begun && !errors.As(err, new(*failure)) {
		return err
	}
	return out.end(err)
}

// exportFilter returns what the flags and arguments select.
func (a *app) exportFilter(patterns []string, o *exportOptions) (f ledger.Filter, err error) {
	f.Namespace = a.namespace
	if err := a.checkOnlyNamespace(); err != nil {
		return f, err
	}
	for _, p := range patterns {
		if err := notAURL("export", p); err != nil {
			return f, err
		}
	}
	if f.Globs, err = parseGlobs("pattern", patterns); err != nil {
		return f, err
	}
	f.Since, _, err = parseSpan(o.since, "", a.now())
	return f, err
}
