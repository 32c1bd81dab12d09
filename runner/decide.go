// Package runner runs a command at most once per key: it decides, claims,
// executes, records and replays. It does not depend on a kind of ledger or on the
// command line of idem.
package runner

import (
	"slices"
	"time"

	"idem/ledger"
)

// Policy has the choices of the caller for records that allow several decisions.
// The zero value of each field is its default.
type Policy struct {
	OnFailure     Choice // ChoiceRerun (default), ChoiceReplay or ChoiceRefuse
	OnInterrupted Choice // ChoiceRefuse (default) or ChoiceRerun
	OnMismatch    Choice // ChoiceRefuse (default) or ChoiceRerun
	Force         bool   // run again whatever the outcome was
	// Fresh replays only the result of an attempt that began after the call. An older
	// one that would be replayed runs again.
	Fresh bool
	// TTL is how long a success counts, from the start of its attempt. 0: forever.
	TTL time.Duration
	// Final are the exit statuses of failures that are replayed instead of run
	// again.
	Final Codes
	// MaxAttempts is the number of attempts, since the last success of the key,
	// after which a failure is not run again. 0: no limit.
	MaxAttempts int
	// Probe reports whether a probe can say if a key of unknown outcome is done.
	// ProbeFirst reports whether it is also asked before the first run.
	Probe, ProbeFirst bool
}

// Choice is a way to handle an earlier outcome.
type Choice string

// The choices; the empty one is the default of its field.
const (
	ChoiceRerun  Choice = "rerun"
	ChoiceReplay Choice = "replay"
	ChoiceRefuse Choice = "refuse"
)

// Answer is the answer of a probe about a key.
type Answer string

// The answers.
const (
	AnswerNone    Answer = ""
	AnswerDone    Answer = "done"
	AnswerNotDone Answer = "not_done"
	AnswerUnknown Answer = "cannot_tell"
)

// Action is the next action of a call.
type Action string

// The actions. After three of them the call decides again:
//   - after ActionClaim, with the claim
//   - after ActionProbe, with the answer of the probe
//   - after ActionSettle, on the success that it recorded
const (
	ActionClaim   Action = "claim"
	ActionProbe   Action = "probe"
	ActionSettle  Action = "settle"
	ActionExecute Action = "execute"
	ActionReplay  Action = "replay"
	ActionRefuse  Action = "refuse"
)

// Reason is why an action was decided, for users and for scripts.
type Reason string

// The reasons. cmd/report_exit.go has the exit statuses of those that refuse a call.
const (
	ReasonNeverRun    Reason = "never_run"   // nothing is recorded
	ReasonRetry       Reason = "retry"       // marked to run again
	ReasonForced      Reason = "forced"      // Policy.Force
	ReasonMismatch    Reason = "mismatch"    // recorded with other inputs
	ReasonSucceeded   Reason = "succeeded"   // the last attempt succeeded
	ReasonFailed      Reason = "failed"      // the last attempt failed
	ReasonBusy        Reason = "running"     // the key is running
	ReasonInterrupted Reason = "interrupted" // the last attempt was running, and its end is not recorded
	ReasonRecursive   Reason = "recursive"   // the call is made inside of an attempt of the same key
	ReasonExpired     Reason = "expired"     // the last success is older than Policy.TTL
	ReasonStale       Reason = "stale"       // the last success began before the call, and Policy.Fresh
	ReasonFinal       Reason = "final"       // the last attempt failed with a status of Policy.Final
	ReasonExhausted   Reason = "exhausted"   // Policy.MaxAttempts is reached
	ReasonProbed      Reason = "probed"      // the probe answered that the key is done
	ReasonUndecided   Reason = "undecided"   // nothing is recorded, and the probe cannot tell
)

// Decision is an action with its reason.
type Decision struct {
	Action Action
	Reason Reason
}

// Decide returns the next action of a call with the given fingerprint. A call asks
// it before it has the claim, and again when it holds the claim. All policy of
// idem is here. The function is pure, and docs/state-machine.md is generated from
// it.
func Decide(rec ledger.Record, fingerprint string, p Policy, m Moment) Decision {
	run := ActionClaim
	if m.Holding {
		run = ActionExecute
	}
	cur := rec.Current
	exhausted := p.exhausted(m.Tried) && !p.Force
	counts := !p.Fresh || m.Asked.before(rec)                          // the result may be replayed
	differs := cur.Fingerprint != "" && cur.Fingerprint != fingerprint // empty: settled by hand for any inputs
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
		return Decision{ActionClaim, ReasonBusy} // only the claim shows whether the key is held or interrupted
	case cur.State == ledger.Running && differs:
		answer := m.Answer
		if answer == AnswerDone { // done with other inputs, so not a success of this call
			answer = AnswerNotDone
		}
		return p.unknown(answer, ReasonInterrupted, ReasonInterrupted, false)
	case cur.State == ledger.Running:
		return p.unknown(m.Answer, ReasonInterrupted, ReasonInterrupted, exhausted)
	case p.Force:
		return Decision{run, ReasonForced}
	case cur.State == ledger.Succeeded && !counts:
		return Decision{run, ReasonStale}
	case cur.State == ledger.Succeeded && m.Answer == AnswerDone:
		return Decision{ActionReplay, ReasonProbed}
	case cur.State == ledger.Succeeded:
		return Decision{ActionReplay, ReasonSucceeded}
	case p.final(cur) && counts:
		return Decision{ActionReplay, ReasonFinal}
	case p.OnFailure == ChoiceReplay && counts:
		return Decision{ActionReplay, ReasonFailed}
	case p.OnFailure == ChoiceRefuse:
		return Decision{ActionRefuse, ReasonFailed}
	case exhausted:
		return Decision{ActionRefuse, ReasonExhausted}
	default:
		return Decision{run, ReasonFailed}
	}
}

// unknown decides about a key of unknown outcome for a call that holds the claim.
// The probe is asked first. If it cannot tell, OnInterrupted decides. run and
// refuse are the reasons for running and for refusing.
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

// expired reports whether a success is too old to count. A success in the future,
// after the clock was set back, is not expired.
func (p Policy) expired(a ledger.Attempt, now time.Time) bool {
	return a.State == ledger.Succeeded && p.TTL > 0 && now.Sub(a.Started) >= p.TTL
}

// final reports whether a failure is final. A death by signal and a mark by hand
// never are, because their status is not an exit status of the command.
func (p Policy) final(a ledger.Attempt) bool {
	return (a.Reason == ledger.ReasonExit || a.Reason == ledger.ReasonTimeout) && p.Final.Has(a.ExitCode)
}

// exhausted reports whether a key with this number of attempts may not run again.
func (p Policy) exhausted(tried int) bool { return p.MaxAttempts > 0 && tried >= p.MaxAttempts }
