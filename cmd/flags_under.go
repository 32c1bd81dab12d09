package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"idem/ledger"
)

// underFlags select the steps or items directly below a key, by their state.
type underFlags struct {
	under  string
	state  states
	short  [len(shortStates)]bool
	record *recordFlags // of the key
}

// shortStates are the values of --state that are flags, too.
var shortStates = [...]ledger.Phase{ledger.PhaseRunning, ledger.PhaseFailed, ledger.PhaseInterrupted}

// addTo adds the flags to a command that does something with keys, such as "list". The
// states are the values of --state.
func (o *underFlags) addTo(c *cobra.Command, verb string, states ...ledger.Phase) {
	o.state.of = states
	f := c.Flags()
	f.StringVar(&o.under, "under", "", verb+" the steps or items below `KEY`")
	f.Var(&o.state, "state", verb+" only those in `STATES`, such as failed,interrupted: "+o.state.all())
	for i, p := range shortStates {
		if slices.Contains(states, p) {
			f.VarPF((*only)(&o.short[i]), string(p), "", "the same as --state "+string(p)).NoOptDefVal = "true"
		}
	}
}

// only is the value of a flag that selects something. It refuses false: without the flag, a call
// selects everything.
type only bool

func (o *only) String() string   { return strconv.FormatBool(bool(*o)) }
func (o *only) Type() string     { return "bool" }
func (o *only) IsBoolFlag() bool { return true }

func (o *only) Set(text string) error {
	on, err := strconv.ParseBool(text)
	if err != nil || !on {
		return errors.New("it takes no value; leave the flag out to select all")
	}
	*o = true
	return nil
}

// phases returns the phases that one of the flags selects.
func (o *underFlags) phases() ledger.Phases {
	phases := slices.Clone(o.state.phases)
	for i, p := range shortStates {
		if o.short[i] && !slices.Contains(phases, p) {
			phases = append(phases, p)
		}
	}
	return phases
}

// states is the value of --state: different phases of a list, separated by commas. A further
// --state adds to them.
type states struct {
	phases ledger.Phases
	of     []ledger.Phase
}

func (s *states) String() string { return joinPhases(s.phases, ",") }
func (s *states) Type() string   { return "STATES" }
func (s *states) all() string    { return joinPhases(s.of, ", ") }

func (s *states) words() ([]string, bool) {
	return strings.Split(joinPhases(s.of, ","), ","), true
}

func (s *states) Set(text string) error {
	phases := slices.Clone(s.phases)
	for part := range strings.SplitSeq(text, ",") {
		p := ledger.Phase(part)
		if !slices.Contains(s.of, p) {
			return fmt.Errorf("want one or more of %s, separated by commas", s.all())
		}
		if !slices.Contains(phases, p) {
			phases = append(phases, p)
		}
	}
	s.phases = phases
	return nil
}

func joinPhases(phases []ledger.Phase, between string) string {
	texts := make([]string, len(phases))
	for i, p := range phases {
		texts[i] = string(p)
	}
	return strings.Join(texts, between)
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
	return checkFlagPairs[*underFlags](f, f.Changed, needsUnder, nil, o)
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
