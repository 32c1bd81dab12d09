package cmd

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"slices"

	"idem/inputs"
	"idem/ledger"
	"idem/ledger/none"
	"idem/proc"
	"idem/runner"
)

// home is the ledger of a call and the things that the call gets from it.
type home struct {
	ledger ledger.Ledger
	place  string // the directory of the ledger, or its URL without a password
	inputs.Source
	// variables returns the environment variables about an attempt.
	variables func(at runner.Attempt, chain string) map[string]string
	backlog   func() (proc.Backlog, error)
	// unprotected reports whether the call is made without its ledger.
	unprotected bool
}

// environ returns the environment of a process that runs for an attempt.
func (h home) environ(at runner.Attempt) []string {
	return environ(h.ofAttempt(at))
}

// ofAttempt returns the variables of a process that runs for an attempt.
func (h home) ofAttempt(at runner.Attempt) map[string]string {
	return h.variables(at, chainOf(at, h.place))
}

// ledgerHome returns the home of a call that is recorded in l.
func (a *app) ledgerHome(l ledger.Store) home {
	forCommands := commandPlace(a.ledger, l.Place())
	return home{
		ledger: l, place: l.Place(), Source: l,
		variables: func(at runner.Attempt, chain string) map[string]string { return variables(at, forCommands, chain) },
		backlog: func() (proc.Backlog, error) {
			b, err := l.Backlog()
			if err != nil {
				return nil, err // not a nil ledger.Backlog
			}
			return b, nil
		},
	}
}

// unprotectedHome returns the home of a call without its ledger. With keep, the output of
// the call can be read again until the call ends.
func (a *app) unprotectedHome(keep bool) home {
	place, _ := placeOf(a.ledger, os.Getenv) // "" after an error
	return home{
		ledger: none.New(keep), place: publicURL(place), Source: noLedgerSource{}, unprotected: true,
		variables: func(at runner.Attempt, chain string) map[string]string {
			set := variables(at, place, chain)
			for _, name := range unprotectedLacks {
				delete(set, name)
			}
			if place == "" {
				delete(set, "IDEM_LEDGER")
			}
			return set
		},
		// The command waits for the reader of its output, as it does without idem.
		backlog: func() (proc.Backlog, error) { return nil, errNoLedger },
	}
}

// unprotectedLacks are the variables that a command without a ledger does not get.
// idem would have to guess them, and a guessed token or number may have been used
// before.
var unprotectedLacks = []string{"IDEM_TOKEN", "IDEM_TOKEN_HEX", "IDEM_ATTEMPT", "IDEM_FENCE"}

var errNoLedger = errors.New("there is no ledger")

// noLedgerSource is the source of inputs for a call without a ledger.
type noLedgerSource struct{}

// Secret returns a new secret each time, because no digest made with it is stored.
func (noLedgerSource) Secret(context.Context) ([]byte, error) {
	secret := make([]byte, 32)
	_, err := rand.Read(secret)
	return secret, err
}

func (noLedgerSource) Scratch() (*os.File, error) { return nil, errNoLedger }

// runsUnprotected reports whether a call that failed with err is made without a ledger
// because of --on-ledger-error. It reports false for a key that is done: damaged output
// or an unrecorded answer of the probe does not justify another run.
func (o *runOptions) runsUnprotected(err error) bool {
	return err != nil && o.onLedgerError.value == "run" &&
		!errors.As(err, new(*proc.SignalError)) && failureOf(err).code == exitLedger && !errors.As(err, new(*runner.ReplayError))
}

// runUnprotected makes a call without its ledger. fault is the error of the ledger. The
// call has no record, no lock, no mutex, no replay and no IDEM_TOKEN.
func (a *app) runUnprotected(ctx context.Context, p plan, fault error) made {
	p.files = nil
	m := a.prepare(ctx, p, a.unprotectedHome(p.flags.quietOK))
	if m.err != nil {
		return m
	}
	why := failureOf(fault)
	a.ui.say(warningMark, "%v", why)
	details := append(slices.Clip(why.details), "the command runs without a record, as --on-ledger-error says", "it may run twice, is never replayed and has no IDEM_TOKEN")
	if len(p.flags.paths) > 0 {
		details = append(details, "--replay-file records nothing")
	}
	for _, text := range details {
		a.ui.say(detailMark, "%s", text)
	}
	a.carryOut(ctx, p, &m)
	return m
}
