package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"idem/ledger/drivers"
	"idem/proc"
)

const ledgerLong = `Look after a ledger: a directory, or tables in a PostgreSQL database that calls
on several hosts share (a URL).

Without DIR or URL, a command is about the ledger of --ledger or IDEM_LEDGER. A
URL is as for psql, with the keys schema= and lease= in addition. It may have no
password, because all users can read the command line: use ~/.pgpass,
PGPASSFILE, a service file, IDEM_PG_PASSWORD_COMMAND, or IDEM_LEDGER.
--connect-timeout DURATION is how long to try to reach the server (default 10s).
See docs/shared.md.`

func (a *app) ledgerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ledger",
		Short: "Look after a ledger, or set up a shared one",
		Long:  ledgerLong,
		Example: `  idem ledger path -v
  idem ledger check --quick /var/lib/idem
  idem ledger backup "/backup/idem-$(date +%F).tar"
  idem ledger init --grant ci 'postgres://owner@db/ops?sslmode=verify-full'`,
		RunE: withoutCommand,
	}
}

// aboutLedger makes a call of a command below idem ledger. args may name the ledger. The call is
// local for a ledger in a directory, and shared for one at a URL. A nil one is refused.
func (a *app) aboutLedger(c *cobra.Command, args []string, local func(context.Context, string) error, shared func(context.Context, string, drivers.ConnectOptions) error) error {
	place, err := a.ledgerOf(args)
	if err == nil {
		switch isURL := drivers.IsShared(place); {
		case isURL && shared == nil:
			err = usage("%s is for a ledger in a directory, not for a URL", c.CommandPath()).
				hint("use the tools of PostgreSQL: pg_dump makes a backup, pg_restore restores it")
		case isURL:
			var connect drivers.ConnectOptions
			if connect, err = a.connection(place); err == nil {
				err = shared(c.Context(), place, connect)
			}
		case local == nil:
			err = usage("%s is for shared ledgers, not for the directory %s", c.CommandPath(), quote(place)).
				detail("the first call creates a ledger in a directory").
				hint("for a shared ledger: %s postgres://USER@HOST/DATABASE", c.CommandPath())
		default:
			err = local(c.Context(), place)
		}
	}
	if err != nil {
		return failureOf(err).withoutLedgerHint(c.Name())
	}
	return nil
}

// tidily makes a signal end the context of a call that creates temporary files, so that it can
// remove them.
func tidily(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		return proc.Tidily(c.Context(), func(ctx context.Context) error {
			c.SetContext(ctx)
			return run(c, args)
		})
	}
}

// ledgerOf returns the directory or the URL that a call of a command below idem ledger is about.
// args has it, or is empty.
func (a *app) ledgerOf(args []string) (string, error) {
	if len(args) > 0 {
		if f := wrongScheme("the argument", args[0]); f != nil {
			return "", f
		}
		a.ledger = args[0] // hints name the same ledger
	}
	return placeOf(a.ledger, os.Getenv)
}

// ledgerArg returns the check of a command whose argument may name the ledger. what says how.
func (a *app) ledgerArg(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) > 1:
			return usage("%s takes one %s, not %d", c.CommandPath(), what, len(args)).hintForm(usageLine(c))
		case len(args) == 1 && a.ledger != "":
			return usage("%s takes a %s or --ledger, and only one of them", c.CommandPath(), what).hintForm(usageLine(c))
		case len(args) == 1 && args[0] == "":
			return usage("the %s is empty: a variable may be unset", what)
		}
		return nil
	}
}

// placeArg returns the check of a command whose argument is another place than the ledger.
func placeArg(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		err := oneArg(what)(c, args)
		if err == nil && args[0] == "" {
			err = usage("the %s is empty: a variable may be unset", what)
		}
		return err
	}
}

// ledgerFlags returns the flags of a command below idem ledger, in the order of their definition.
func ledgerFlags(c *cobra.Command) *pflag.FlagSet {
	f := c.Flags()
	f.SortFlags = false
	return f
}

func jsonFlag(f *pflag.FlagSet, value *bool) { f.BoolVar(value, "json", false, "print a JSON object") }
