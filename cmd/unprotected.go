package cmd

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"time"

	"idem/inputs"
	"idem/ledger"
	"idem/ledger/none"
	"idem/ledger/sqlite"
	"idem/proc"
	"idem/runner"
)

// home is where a call is recorded, and what the call gets from there.
type home struct {
	ledger ledger.Ledger
	place  string // of the ledger
	inputs.Source
	// variables are what a command is told of its attempt.
	variables func(at runner.Attempt, chain string) map[string]string
	backlog   func() (proc.Backlog, error)
}

// homeIn is the home of a call in a ledger.
func homeIn(l *sqlite.Ledger) home {
	return home{
		ledger: l, place: l.Dir(), Source: l,
		variables: func(at runner.Attempt, chain string) map[string]string { return variables(at, l.Dir(), chain) },
		backlog: func() (proc.Backlog, error) {
			b, err := l.Backlog()
			if err != nil {
				return nil, err // not a nil *sqlite.Backlog
			}
			return b, nil
		},
	}
}

// noHome is the home of a call that goes on without its ledger, which is at
// place. With keep, its output can be read again while the call lasts.
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
		// The reader of our output sets the pace, as it does without idem.
		backlog: func() (proc.Backlog, error) { return nil, errNoLedger },
	}
}

// unprotectedLacks are the variables that a command without a ledger does not
// find: a token or a number that idem only guessed could be one that has been used.
var unprotectedLacks = []string{"IDEM_TOKEN", "IDEM_TOKEN_HEX", "IDEM_ATTEMPT", "IDEM_FENCE"}

var errNoLedger = errors.New("there is no ledger")

// nothing is the source of a call without a ledger.
type nothing struct{}

// Secret is another one for each call: no digest made with it outlives that.
func (nothing) Secret(context.Context) ([]byte, error) {
	secret := make([]byte, 32)
	_, err := rand.Read(secret)
	return secret, err
}

func (nothing) Scratch() (*os.File, error) { return nil, errNoLedger }

// prepare returns the call that argv is, to be recorded at a home.
func (a *app) prepare(ctx context.Context, o *runOptions, policy runner.Policy, argv []string, h home) (runner.Call, error) {
	in, err := a.identify(ctx, o, argv, h, time.Now())
	if err == nil {
		in.stdin, err = o.stdinOf(in.stdin)
	}
	if err != nil {
		return runner.Call{ID: in.id}, err
	}
	return a.call(o, in, policy, argv, h), nil
}

// recorded makes a call in its ledger. The files are those whose growth is recorded.
func (a *app) recorded(ctx context.Context, o *runOptions, policy runner.Policy, argv []string, files []runner.ReplayFile) (runner.Call, runner.Result, error) {
	l, err := a.openLedger()
	if err != nil {
		return runner.Call{ID: ledger.ID{Key: o.key}}, runner.Result{}, err
	}
	call, err := a.prepare(ctx, o, policy, argv, homeIn(l))
	if err != nil {
		return call, runner.Result{}, err
	}
	call.Files = files
	res, err := runner.Run(ctx, l, call)
	a.tellHookFaults(res.HookFaults)
	return call, res, err
}

// goesOn reports whether a call that err keeps from its ledger is made without
// one, as --on-ledger-error says. A key that is done is not run again because its
// output is damaged or the probe's word cannot be recorded.
func (o *runOptions) goesOn(err error) bool {
	return err != nil && o.onLedgerError.value == "run" &&
		!errors.As(err, new(*proc.SignalError)) && failureOf(err).code == exitLedger && !errors.As(err, new(*runner.ReplayError))
}

// unprotected makes a call without its ledger, of which fault is wrong: all is as
// in any other call but for what takes a memory.
func (a *app) unprotected(ctx context.Context, o *runOptions, policy runner.Policy, argv []string, fault error) (runner.Call, runner.Result, error) {
	place, _ := placeOf(a.ledger, os.Getenv) // none is known where there is an error
	h := noHome(place, o.quietOK)
	call, err := a.prepare(ctx, o, policy, argv, h)
	if err != nil {
		return call, runner.Result{}, err
	}
	files := ""
	if len(o.paths) > 0 {
		files = "; --replay-file records nothing"
	}
	a.ui.line(a.ui.stderr, "warning: ", "%v; the command runs without a record, as --on-ledger-error says: it may run twice, is never replayed and has no IDEM_TOKEN%s", fault, files)
	res, err := runner.Run(ctx, h.ledger, call)
	a.tellHookFaults(res.HookFaults)
	return call, res, err
}
