package cmd

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"idem/ledger/drivers"
)

const ledgerLong = `Set up and look after a shared ledger: tables in a PostgreSQL database. Calls on
all hosts that name it with --ledger or IDEM_LEDGER share its keys. A ledger in a
directory needs none of this. HOW is one of:

  init     create the tables, once; again, to grant more roles their use
  check    examine the server, the rights of this role and the tables; change
           nothing
  confirm  accept the content of the database after it was promoted or restored.
           Until then, idem starts no key: the database may have forgotten
           successes.
  sync     send outcomes that this host kept while the ledger did not answer; the
           next call on this host does so too
  upgrade  bring the tables to the format of this idem

Without a URL, these are about the ledger of --ledger or IDEM_LEDGER. A URL is as
for psql, with the keys schema= and lease= in addition. It may have no password,
because all users can read the command line: use ~/.pgpass, PGPASSFILE, a service
file, or IDEM_LEDGER.`

// ledgerOptions are the flags of idem ledger.
type ledgerOptions struct {
	grant, grantDone texts
	failover         choice
	json             bool
	flagSet          *pflag.FlagSet
}

// ledgerHow is what idem ledger does, with the flags that only it has.
type ledgerHow struct {
	name  string
	flags []string
	do    func(*app, context.Context, string, drivers.ConnectOptions, *ledgerOptions) error
}

// ledgerHows returns the values of HOW. It is a function because of an initialization
// cycle.
func ledgerHows() []ledgerHow {
	return []ledgerHow{
		{"init", []string{"grant", "grant-done", "failover"}, (*app).initLedger},
		{"check", []string{"json"}, (*app).checkLedger},
		{"confirm", nil, reporting(drivers.Confirm)},
		{"sync", nil, (*app).syncLedger},
		{"upgrade", nil, reporting(drivers.Upgrade)},
	}
}

const (
	ledgerUse   = "ledger HOW [flags] [URL]"
	ledgerNames = "init, check, confirm, sync or upgrade"
)

func (a *app) ledgerCommand() *cobra.Command {
	o := &ledgerOptions{failover: choice{of: []string{"refuse", "accept"}}}
	c := &cobra.Command{
		Use:   ledgerUse,
		Short: "Set up and check a shared ledger",
		Long:  ledgerLong,
		Example: `  idem ledger init --grant ci 'postgres://owner@db.example/ops?sslmode=verify-full'
  idem ledger check postgres://ci@db.example/ops
  idem ledger confirm postgres://ci@db.example/ops`,
		ValidArgs: []string{"init", "check", "confirm", "sync", "upgrade"},
		RunE:      func(c *cobra.Command, args []string) error { return a.shared(c.Context(), args, o) },
	}
	f := c.Flags()
	f.SortFlags = false
	f.Var(&o.grant, "grant", "init: let `ROLE` use the ledger; repeatable")
	f.Var(&o.grantDone, "grant-done", "init: let `ROLE` only record a success in its own transaction; repeatable")
	f.Var(&o.failover, "failover", "init: refuse to start keys after the database was promoted, until idem ledger confirm; or accept, if it replicates synchronously")
	f.BoolVar(&o.json, "json", false, "check: print a JSON object")
	o.flagSet = f
	return c
}

// shared makes one call of idem ledger.
func (a *app) shared(ctx context.Context, args []string, o *ledgerOptions) error {
	if len(args) == 0 {
		return usage("idem ledger requires %s", ledgerNames).hintForm("idem " + ledgerUse)
	}
	all := ledgerHows()
	at := slices.IndexFunc(all, func(h ledgerHow) bool { return h.name == args[0] })
	switch {
	case at < 0:
		return usage("idem ledger requires %s, not %s", ledgerNames, quoteWord(args[0]))
	case len(args) > 2:
		return usage("idem ledger takes one URL, not %d", len(args)-1).hintForm("idem " + ledgerUse)
	case len(args) == 2 && a.ledger != "":
		return usage("idem ledger takes a URL or --ledger, not both").hintForm("idem " + ledgerUse)
	}
	how := all[at]
	if err := o.check(how, all); err != nil {
		return err
	}
	place, err := a.sharedOf(how.name, args[1:])
	if err != nil {
		return err
	}
	connect, err := a.connection(place)
	if err != nil {
		return err
	}
	return how.do(a, ctx, place, connect, o)
}

// check refuses a flag that belongs to another HOW.
func (o *ledgerOptions) check(how ledgerHow, all []ledgerHow) error {
	var err error
	o.flagSet.Visit(func(f *pflag.Flag) {
		for _, h := range all {
			if err == nil && h.name != how.name && slices.Contains(h.flags, f.Name) {
				err = usage("idem ledger %s takes no --%s", how.name, f.Name).detail("it is a flag of idem ledger %s", h.name)
			}
		}
	})
	for _, role := range slices.Concat(o.grant, o.grantDone) {
		if err == nil && role == "" {
			err = usage("the role is empty: a variable may be unset")
		}
	}
	return err
}

// sharedOf returns the URL that a call of idem ledger is about. args has the URL, or is
// empty.
func (a *app) sharedOf(how string, args []string) (string, error) {
	flag := a.ledger
	if len(args) > 0 {
		if flag = args[0]; flag == "" {
			return "", usage("the URL is empty: a variable may be unset")
		}
		if f := wrongScheme("the argument", flag); f != nil {
			return "", f
		}
	}
	place, err := placeOf(flag, os.Getenv)
	if err == nil && !drivers.IsShared(place) {
		err = usage("idem ledger %s is for shared ledgers, not for the directory %s", how, quote(place)).
			detail("a ledger in a directory is created by its first call, and needs no care").
			hint("for a shared ledger: idem ledger %s postgres://USER@HOST/DATABASE", how)
	}
	return place, err
}

func (a *app) initLedger(ctx context.Context, place string, c drivers.ConnectOptions, o *ledgerOptions) error {
	r, err := drivers.Init(ctx, place, drivers.InitOptions{
		ConnectOptions: c, Grant: o.grant, GrantDone: o.grantDone, Failover: o.failover.value,
	})
	return a.reportShared(r, err)
}

// reporting returns a function that makes a call of do, and prints its report.
func reporting(do func(context.Context, string, drivers.ConnectOptions) (drivers.Report, error)) func(*app, context.Context, string, drivers.ConnectOptions, *ledgerOptions) error {
	return func(a *app, ctx context.Context, place string, c drivers.ConnectOptions, _ *ledgerOptions) error {
		return a.reportShared(do(ctx, place, c))
	}
}

// sharedView is the JSON object of idem ledger check --json.
type sharedView struct {
	Ledger string           `json:"ledger"`
	Sound  bool             `json:"sound"`
	Checks []sharedLineView `json:"checks"`
}

type sharedLineView struct {
	Name  string  `json:"name"`
	Level string  `json:"level"`
	Text  string  `json:"text"`
	Hint  *string `json:"hint"`
}

func (a *app) checkLedger(ctx context.Context, place string, c drivers.ConnectOptions, o *ledgerOptions) error {
	r, err := drivers.Check(ctx, place, c)
	if !o.json {
		return a.reportShared(r, err)
	}
	if err != nil {
		return err
	}
	v := sharedView{Ledger: publicURL(place), Sound: r.Sound(), Checks: []sharedLineView{}}
	for _, l := range r.Lines {
		line := sharedLineView{Name: l.Name, Level: l.Level, Text: l.Text}
		if l.Hint != "" {
			line.Hint = &l.Hint
		}
		v.Checks = append(v.Checks, line)
	}
	if err := a.printJSON(v); err != nil {
		return err
	}
	return unsound(r)
}

// reportShared prints a report, and returns err or the failure of a report with faults.
func (a *app) reportShared(r drivers.Report, err error) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, l := range r.Lines {
		fmt.Fprintf(w, "%s\t%s\t%s\n", l.Level, escape(l.Name), oneLine(l.Text))
		if l.Hint != "" {
			fmt.Fprintf(w, "\t\thint: %s\n", oneLine(l.Hint))
		}
	}
	_ = w.Flush() // into memory
	if fault := a.print(b.String()); err == nil {
		err = fault
	}
	if err == nil {
		err = unsound(r)
	}
	return err
}

// unsound returns the failure of a report with faults, nil for one without.
func unsound(r drivers.Report) error {
	var faults []string
	for _, l := range r.Lines {
		if l.Level == drivers.LevelFault {
			faults = append(faults, l.Name)
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return fail(exitLedger, "the shared ledger has %s: %s", plural(len(faults), "fault"), strings.Join(faults, ", "))
}

func (a *app) syncLedger(ctx context.Context, place string, c drivers.ConnectOptions, _ *ledgerOptions) error {
	sent, left, err := drivers.Sync(ctx, place, c)
	if fault := a.print("sent " + plural(sent, "outcome") + "\n"); err == nil {
		err = fault
	}
	if err == nil && left > 0 {
		err = fail(exitLedger, "not everything was sent: %s on this host", pluralVerb(left, "outcome stays", "outcomes stay")).
			hint("call again when the ledger answers")
	}
	return err
}
