// Package runner runs a command at most once per key: it decides, claims,
// executes, records and replays. It knows no SQL and no flags.
package runner

import (
	"slices"
	"time"

	"idem/ledger"
)

// Policy is what the caller chooses where a record leaves a choice. The zero value
// of each field is its default.
type Policy struct {
	OnFailure     Choice // ChoiceRerun (default), ChoiceReplay or ChoiceRefuse
	OnInterrupted Choice // ChoiceRefuse (default) or ChoiceRerun
	OnMismatch    Choice // ChoiceRefuse (default) or ChoiceRerun
	Force         bool   // run again whatever the outcome was
	// TTL is how long a success counts, from the start of its attempt. 0: for
	// ever.
	TTL time.Duration
	// Final are the exit statuses of failures that are not run again but
	// replayed.
	Final Codes
	// MaxAttempts is how many attempts a key gets, since its last success, before
	// a failure stays one. 0: as many as it takes.
	MaxAttempts int
	// Probe reports whether there is a probe to ask whether a key of unknown
	// outcome is done, and ProbeFirst whether it is asked before the first run too.
	Probe, ProbeFirst bool
}

// Choice is what to do about an earlier outcome.
type Choice string

// The choices; the empty one is the default of its field.
const (
	ChoiceRerun  Choice = "rerun"
	ChoiceReplay Choice = "replay"
	ChoiceRefuse Choice = "refuse"
)

// Answer is what a probe says about a key.
type Answer string

// The answers.
const (
	AnswerNone    Answer = ""
	AnswerDone    Answer = "done"
	AnswerNotDone Answer = "not_done"
	AnswerUnknown Answer = "cannot_tell"
)

// Action is what a call does.
type Action string

// The actions. After ActionClaim, ActionProbe and ActionSettle the call decides
// again: with the claim, with the probe's answer, on the success that was recorded.
const (
	ActionClaim   Action = "claim"
	ActionProbe   Action = "probe"
	ActionSettle  Action = "settle"
	ActionExecute Action = "execute"
	ActionReplay  Action = "replay"
	ActionRefuse  Action = "refuse"
)

// Reason is why, for the user and for scripts.
type Reason string

// The reasons. cmd/report_exit.go has the exit statuses of those that refuse a call.
const (
	ReasonNeverRun    Reason = "never_run"   // nothing is recorded
	ReasonRetry       Reason = "retry"       // marked to run again
	ReasonForced      Reason = "forced"      // Policy.Force
	ReasonMismatch    Reason = "mismatch"    // recorded with other inputs
	ReasonSucceeded   Reason = "succeeded"   // it is done
	ReasonFailed      Reason = "failed"      // the last attempt failed
	ReasonBusy        Reason = "running"     // it is running
	ReasonInterrupted Reason = "interrupted" // it was running, and its end is not recorded
	ReasonRecursive   Reason = "recursive"   // the call is made inside of an attempt of its own key
	ReasonExpired     Reason = "expired"     // it is done, but longer ago than Policy.TTL
	ReasonFinal       Reason = "final"       // it failed in a way that Policy.Final calls final
	ReasonExhausted   Reason = "exhausted"   // it has had Policy.MaxAttempts
	ReasonProbed      Reason = "probed"      // the probe has said that it is done
	ReasonUndecided   Reason = "undecided"   // nothing is recorded, and the probe cannot tell
)

// Decision is an action with its reason.
type Decision struct {
	Action Action
	Reason Reason
}

// Decide is all policy of idem: what a call with the given fingerprint does about
// a record at a moment, before it has the claim and again when it holds the claim.
// It is pure. docs/state-machine.md is generated from it.
func Decide(rec ledger.Record, fingerprint string, p Policy, m Moment) Decision {
	run := ActionClaim
	if m.Holding {
		run = ActionExecute
	}
	cur := rec.Current
	exhausted := p.exhausted(m.Tried) && !p.Force
	differs := cur.Fingerprint != "" && cur.Fingerprint != fingerprint // empty: settled for any call
	switch {
	case rec.Phase() == ledger.PhaseNone && m.Holding && p.Probe && p.ProbeFirst:
		return p.unknown(m.Answer, ReasonNeverRun, ReasonUndecided, false)
	case rec.Phase() == ledger.PhaseNone:
		return Decision{run, ReasonNeverRun}
	case cur.State == ledger.Running && slices.Contains(m.Around, cur.RunID):
		return Decision{ActionRefuse, ReasonRecursive}
	case p.expired(cur, m.Now):
		return Decision{run, ReasonExpired}
	case differs && p.OnMismatch != ChoiceRerun:
		return Decision{ActionRefuse, ReasonMismatch}
	case differs && cur.State != ledger.Running:
		return Decision{run, ReasonMismatch}
	case cur.State == ledger.None && exhausted:
		return Decision{ActionRefuse, ReasonExhausted}
	case cur.State == ledger.None:
		return Decision{run, ReasonRetry}
	case cur.State == ledger.Running && !m.Holding:
		return Decision{ActionClaim, ReasonBusy} // held elsewhere, or interrupted: the claim tells
	case cur.State == ledger.Running && differs:
		answer := m.Answer
		if answer == AnswerDone { // with other inputs: known, but not a success of this call
			answer = AnswerNotDone
		}
		return p.unknown(answer, ReasonInterrupted, ReasonInterrupted, false)
	case cur.State == ledger.Running:
		return p.unknown(m.Answer, ReasonInterrupted, ReasonInterrupted, exhausted)
	case p.Force:
		return Decision{run, ReasonForced}
	case cur.State == ledger.Succeeded && m.Answer == AnswerDone:
		return Decision{ActionReplay, ReasonProbed}
	case cur.State == ledger.Succeeded:
		return Decision{ActionReplay, ReasonSucceeded}
	case p.final(cur):
		return Decision{ActionReplay, ReasonFinal}
	case p.OnFailure == ChoiceReplay:
		return Decision{ActionReplay, ReasonFailed}
	case p.OnFailure == ChoiceRefuse:
		return Decision{ActionRefuse, ReasonFailed}
	case exhausted:
		return Decision{ActionRefuse, ReasonExhausted}
	default:
		return Decision{run, ReasonFailed}
	}
}

// unknown decides, with the claim, about a key that may or may not be done: the
// probe is asked first, and OnInterrupted decides where it cannot tell. run and
// refuse are the reasons given for running and for refusing.
func (p Policy) unknown(answer Answer, run, refuse Reason, exhausted bool) Decision {
	switch {
	case p.Probe && answer == AnswerNone:
		return Decision{ActionProbe, run}
	case answer == AnswerDone:
		return Decision{ActionSettle, ReasonProbed}
	case answer != AnswerNotDone && p.OnInterrupted != ChoiceRerun:
		return Decision{ActionRefuse, refuse}
	case exhausted:
		return Decision{ActionRefuse, ReasonExhausted}
	default:
		return Decision{ActionExecute, run}
	}
}

// expired reports whether a success is too long ago to count. After the clock was
// set back, none is: it is too early then, not too late.
func (p Policy) expired(a ledger.Attempt, now time.Time) bool {
	return a.State == ledger.Succeeded && p.TTL > 0 && now.Sub(a.Started) >= p.TTL
}

// final reports whether a failure is one that stays. A death by signal and a mark
// by hand have no exit status of the command's own.
func (p Policy) final(a ledger.Attempt) bool {
	return (a.Reason == ledger.ReasonExit || a.Reason == ledger.ReasonTimeout) && p.Final.Has(a.ExitCode)
}

// exhausted reports whether a key that has had so many attempts gets no more.
func (p Policy) exhausted(tried int) bool { return p.MaxAttempts > 0 && tried >= p.MaxAttempts }
