package cmd

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"idem/ledger"
	"idem/ledger/drivers"
)

func (a *app) ledgerInitCommand() *cobra.Command {
	var grant, grantDone texts
	failover := choice{of: []string{"refuse", "accept"}}
	c := a.reportingCommand(func(ctx context.Context, place string, connect drivers.ConnectOptions) (ledger.Report, error) {
		return drivers.Init(ctx, place, drivers.InitOptions{
			ConnectOptions: connect, Grant: grant, GrantDone: grantDone, Failover: failover.value,
		})
	})
	c.Use = "init [URL]"
	c.Short = "Create the tables, or let more roles use them"
	c.Long = `Create the tables of a shared ledger, once, as the role that is to own them.
Called again, grant more roles their use.`
	c.Example = "  idem ledger init --grant ci 'postgres://owner@db/ops?sslmode=verify-full'"
	c.PreRunE = func(*cobra.Command, []string) error {
		if slices.Contains(slices.Concat(grant, grantDone), "") {
			return usage("the role is empty: a variable may be unset")
		}
		return nil
	}
	f := c.Flags()
	f.Var(&grant, "grant", "let `ROLE` use the ledger; repeatable")
	f.Var(&grantDone, "grant-done", "let `ROLE` only record a success in its own transaction; repeatable")
	f.Var(&failover, "failover", "refuse to start keys after the database was promoted, until idem ledger confirm; or accept (default: accept if it replicates synchronously, else refuse)")
	return c
}

func (a *app) ledgerConfirmCommand() *cobra.Command {
	c := a.reportingCommand(drivers.Confirm)
	c.Use = "confirm [URL]"
	c.Short = "Accept the database after a failover or a restore"
	c.Long = `As the owner of the tables, accept the content of the database after it was
promoted or restored. Until then, idem starts no key: the database may have
forgotten successes. Settle those first, with idem mark.`
	c.Example = "  idem ledger confirm postgres://owner@db.example/ops"
	return c
}

func (a *app) ledgerUpgradeCommand() *cobra.Command {
	c := a.reportingCommand(drivers.Upgrade)
	c.Use = "upgrade [URL]"
	c.Short = "Bring the tables to the format of this idem"
	c.Long = `As the owner of the tables, bring them to the format of this idem. First install
it on all hosts.`
	c.Example = "  idem ledger upgrade postgres://owner@db.example/ops"
	return c
}

// reportingCommand returns a command that does something to a shared ledger and prints a report.
func (a *app) reportingCommand(do func(context.Context, string, drivers.ConnectOptions) (ledger.Report, error)) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Args: a.ledgerArg("URL"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.aboutLedger(c, args, nil, func(ctx context.Context, place string, connect drivers.ConnectOptions) error {
				r, err := do(ctx, place, connect)
				return a.reportChecks(checkedShared, publicURL(place), r, err, asJSON)
			})
		},
	}
	jsonFlag(ledgerFlags(c), &asJSON)
	return c
}

// syncView is the JSON object of idem ledger sync --json.
type syncView struct {
	Ledger string `json:"ledger"`
	Sent   int    `json:"sent"`
	Left   int    `json:"left"` // on this host
}

func (a *app) ledgerSyncCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "sync [URL]",
		Short: "Send the outcomes that this host kept",
		Long: `Send the outcomes that this host kept while the ledger did not answer. Keepers
and the next call on this host do so too.`,
		Example: "  idem ledger sync postgres://ci@db.example/ops",
		Args:    a.ledgerArg("URL"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.aboutLedger(c, args, nil, func(ctx context.Context, place string, connect drivers.ConnectOptions) error {
				return a.syncLedger(ctx, place, connect, asJSON)
			})
		},
	}
	jsonFlag(ledgerFlags(c), &asJSON)
	return c
}

func (a *app) syncLedger(ctx context.Context, place string, c drivers.ConnectOptions, asJSON bool) error {
	sent, left, err := drivers.Sync(ctx, place, c)
	report := func() error { return a.print("sent " + plural(sent, "outcome") + "\n") }
	if asJSON {
		report = func() error { return a.printJSON(syncView{publicURL(place), sent, left}) }
	}
	if fault := report(); err == nil {
		err = fault
	}
	if err == nil && left > 0 {
		err = fail(exitLedger, "not everything was sent: %s on this host", pluralVerb(left, "outcome stays", "outcomes stay")).
			hint("call again when the ledger answers")
	}
	return err
}
