package cmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"idem/ledger"
	"idem/ledger/drivers"
)

func (a *app) ledgerCheckCommand() *cobra.Command {
	var quick, asJSON bool
	c := &cobra.Command{
		Use:   "check [DIR | URL]",
		Short: "Examine the ledger and change nothing",
		Long: `Examine the ledger and change nothing.

In a directory: the place, the database, each record, each recorded output, and
whether changes were lost. At a URL: the server, the rights of this role and the
tables. Each fault has one line, with the hint that mends it.`,
		Example: `  idem ledger check
  idem ledger check --quick /var/lib/idem
  idem ledger check postgres://ci@db.example/ops`,
		Args: a.ledgerArg("DIR or URL"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.aboutLedger(c, args,
				func(ctx context.Context, place string) error { return a.checkLocal(ctx, place, quick, asJSON) },
				func(ctx context.Context, place string, connect drivers.ConnectOptions) error {
					if quick {
						return usage("--quick is for a ledger in a directory, not for a URL").hintUnflagged("to check the shared ledger", "--quick")
					}
					r, err := drivers.Check(ctx, place, connect)
					return a.reportChecks(checkedShared, publicURL(place), r, err, asJSON)
				})
		},
	}
	f := ledgerFlags(c)
	f.BoolVar(&quick, "quick", false, "leave out the records and the outputs in a directory")
	jsonFlag(f, &asJSON)
	return c
}

// checkLocal examines the ledger in a directory.
func (a *app) checkLocal(ctx context.Context, place string, quick, asJSON bool) error {
	r, err := drivers.CheckDir(ctx, place, a.trustPlace, quick)
	if errors.Is(err, ledger.ErrMissing) {
		return noLedgerFailure(exitError, place)
	}
	a.addHints(&r, place)
	return a.reportChecks(checkedLocal, place, r, err, asJSON)
}
