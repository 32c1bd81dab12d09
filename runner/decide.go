// Package runner runs a command at most once per key: it decides, claims,
// executes, records and replays. It knows no SQL and no flags.
package runner

import "idem/ledger"

// Policy is what the caller wants where a record leaves a choice. The zero
// value is the default in every field.
type Policy struct {
	OnFailure     Choice // Rerun (default), ReplayIt or RefuseIt
	OnInterrupted Choice // RefuseIt (default) or Rerun
	OnMismatch    Choice // RefuseIt (default) or Rerun
	Force         bool   // run again whatever the outcome was
	// Nested tells that this call is made inside the command of the same key,
	// so that waiting for the key would be waiting for itself.
	Nested bool
}

// Choice is what to do about an earlier outcome.
type Choice string

// The choices; the empty one is the default of its field.
const (
	Rerun    Choice = "rerun"
	ReplayIt Choice = "replay"
	RefuseIt Choice = "refuse"
)

// Action is what a call does.
type Action string

// The actions. Claim means: get the claim, then decide again.
const (
	Claim   Action = "claim"
	Execute Action = "execute"
	Replay  Action = "replay"
	Refuse  Action = "refuse"
)

// Reason is why, for the user and for scripts.
type Reason string

// The reasons. With Refuse each has an exit status of its own (cmd/exit.go).
const (
	NeverRun    Reason = "never_run"   // nothing is recorded
	Retry       Reason = "retry"       // marked to run again
	Forced      Reason = "forced"      // Policy.Force
	Mismatch    Reason = "mismatch"    // recorded with other inputs
	Succeeded   Reason = "succeeded"   // it is done
	FailedIt    Reason = "failed"      // the last attempt failed
	Busy        Reason = "running"     // it is running
	Interrupted Reason = "interrupted" // it was running, and nobody knows how it ended
	Recursive   Reason = "recursive"   // the key is running around this very call
)

// Decision is an action with its reason.
type Decision struct {
	Action Action
	Reason Reason
}

// Decide is all policy of idem: what a call with the given fingerprint does
// about a record, before it has the claim and again when it is holding it. It
// is pure. docs/state-machine.md is generated from it.
func Decide(rec ledger.Record, fingerprint string, holding bool, p Policy) Decision {
	run := Claim
	if holding {
		run = Execute
	}
	state := rec.Current.State
	switch {
	case state == ledger.None && rec.Attempts == 0:
		return Decision{run, NeverRun}
	case state == ledger.Running && p.Nested:
		return Decision{Refuse, Recursive}
	case rec.Current.Fingerprint != fingerprint:
		if state != ledger.Running && p.OnMismatch == Rerun {
			return Decision{run, Mismatch}
		}
		return Decision{Refuse, Mismatch}
	case state == ledger.None:
		return Decision{run, Retry}
	case state == ledger.Running && !holding:
		return Decision{Claim, Busy} // held elsewhere, or interrupted: the claim tells
	case state == ledger.Running && p.OnInterrupted == Rerun:
		return Decision{Execute, Interrupted}
	case state == ledger.Running:
		return Decision{Refuse, Interrupted}
	case p.Force:
		return Decision{run, Forced}
	case state == ledger.Succeeded:
		return Decision{Replay, Succeeded}
	case p.OnFailure == ReplayIt:
		return Decision{Replay, FailedIt}
	case p.OnFailure == RefuseIt:
		return Decision{Refuse, FailedIt}
	default:
		return Decision{run, FailedIt}
	}
}
