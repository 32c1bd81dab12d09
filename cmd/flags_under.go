package cmd

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"idem/ledger"
)

// underFlags select the steps or items directly below a key, by their state.
type underFlags struct {
	under       string
	state       choice
	failed      bool
	interrupted bool
	record      *recordFlags // of the key
}

// addTo adds the flags to a command that does something with keys, such as "list". The
// states are the values of --state.
func (o *underFlags) addTo(c *cobra.Command, verb string, states ...ledger.Phase) {
	for _, s := range states {
		o.state.of = append(o.state.of, string(s))
	}
	f := c.Flags()
	f.StringVar(&o.under, "under", "", verb+" the steps or items below `KEY`")
	f.Var(&o.state, "state", verb+" only those in `STATE`: "+strings.Join(o.state.of, ", "))
	f.BoolVar(&o.failed, "failed", false, "the same as --state failed")
	f.BoolVar(&o.interrupted, "interrupted", false, "the same as --state interrupted")
}

// phase returns the phase that the flags select, "" for all.
func (o *underFlags) phase() ledger.Phase {
	switch {
	case o.failed:
		return ledger.PhaseFailed
	case o.interrupted:
		return ledger.PhaseInterrupted
	}
	return ledger.Phase(o.state.value)
}

// recordNames are the flags that select a record of a key.
var recordNames = []string{"per", "tz", "at", "day-start", "window", "latest"}

// underNames are the flags that have no effect without --under in a command that changes
// keys.
var underNames = []string{"state", "failed", "interrupted"}

// needsUnder are the needs of flags that have an effect only with --under, in all
// commands that have them.
var needsUnder = []need{
	{"items", []string{"under"}},
	{"null", []string{"items"}},
}

// checkPairs refuses flags of a command with --under that cannot be combined. The flags
// in without have no effect with --under. Those in only have none without it.
func (o *underFlags) checkPairs(f *pflag.FlagSet, without, only []string, why string) error {
	if f.Changed("under") && o.under == "" {
		return usage("--under is empty: a variable may be unset")
	}
	var err error
	f.Visit(func(fl *pflag.Flag) {
		switch {
		case err != nil:
		case o.under != "" && slices.Contains(without, fl.Name):
			err = clashError(fl.Name, "under", why)
		case o.under == "" && slices.Contains(only, fl.Name):
			err = needError(fl.Name, "under")
		}
	})
	if err != nil {
		return err
	}
	return checkFlagPairs(f, f.Changed, needsUnder, underClashes, o)
}

// parent returns the record of the key of --under. It need not be recorded itself.
// Without it and anything below it, the error is that of a key that is not recorded.
func (a *app) parent(ctx context.Context, o *underFlags) (ledger.Store, ledger.Record, error) {
	l, ids, want, err := a.openFor(o.record, o.under)
	if err != nil {
		return nil, ledger.Record{}, err
	}
	rec, err := a.find(ctx, l, ids[0], want, o.record)
	if err != nil || rec.Phase() != ledger.PhaseNone {
		return l, rec, err
	}
	below, err := ledger.Collect(l.List(ctx, ledger.Filter{Under: rec.ID, Limit: 1}))
	if err == nil && len(below) == 0 {
		err = notRecordedFailure(ctx, l, rec.ID)
	}
	return l, rec, err
}
