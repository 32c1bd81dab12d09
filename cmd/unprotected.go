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

// home is the ledger of a call, and what the call gets from it.
type home struct {
	ledger ledger.Ledger
	place  string // of the ledger
	inputs.Source
	// variables returns the environment variables about an attempt.
	variables func(at runner.Attempt, chain string) map[string]string
	backlog   func() (proc.Backlog, error)
}

// homeIn is the home of a call in a ledger.
func homeIn(l ledger.Store) home {
	return home{
		ledger: l, place: l.Place(), Source: l,
		variables: func(at runner.Attempt, chain string) map[string]string { return variables(at, l.Place(), chain) },
		backlog: func() (proc.Backlog, error) {
			b, err := l.Backlog()
			if err != nil {
				return nil, err // not a nil ledger.Backlog
			}
			return b, nil
		},
	}
}

// noHome is the home of a call that is made without its ledger, which is at place.
// With keep, its output can be read again until the call ends.
func noHome(place string, keep bool) home {
	return home{
		ledger: none.New(keep), place: place, Source: nothing{},
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

// unprotectedLacks are the variables that a command without a ledger does not have:
// a token or a number that idem guessed may have been used before.
var unprotectedLacks = []string{"IDEM_TOKEN", "IDEM_TOKEN_HEX", "IDEM_ATTEMPT", "IDEM_FENCE"}

var errNoLedger = errors.New("there is no ledger")

// nothing is the source of a call without a ledger.
type nothing struct{}

// Secret returns another one for each call: a digest made with it is not stored.
func (nothing) Secret(context.Context) ([]byte, error) {
	secret := make([]byte, 32)
	_, err := rand.Read(secret)
	return secret, err
}

func (nothing) Scratch() (*os.File, error) { return nil, errNoLedger }

// goesOn reports whether a call that failed with err is made without a ledger, as
// --on-ledger-error says. A key that is done is not run again because its output is
// damaged or the answer of the probe cannot be recorded.
func (o *runOptions) goesOn(err error) bool {
	return err != nil && o.onLedgerError.value == "run" &&
		!errors.As(err, new(*proc.SignalError)) && failureOf(err).code == exitLedger && !errors.As(err, new(*runner.ReplayError))
}

// unprotected makes a call without its ledger, which fault is about. The call is as
// any other, except for what needs a memory.
func (a *app) unprotected(ctx context.Context, p plan, fault error) (runner.Call, runner.Result, error) {
	place, _ := placeOf(a.ledger, os.Getenv) // none is known where there is an error
	h := noHome(place, p.flags.quietOK)
	p.files = nil
	call, err := a.prepare(ctx, p, h)
	if err != nil {
		return call, runner.Result{}, err
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
	res, err := a.runnerAt(p, h).Run(ctx, call)
	a.tellHookFaults(res.HookFaults)
	return call, res, err
}
