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
	// RerunWithin is the age at which an attempt is too old for another one to follow.
	// The first attempt since the last success of the key counts. 0: no limit.
	RerunWithin time.Duration
	// Probe reports whether a probe can say if a key of unknown outcome is done.
	// ProbeFirst reports whether it is also asked before the first run. ProbeOn are the
	// ends of an attempt that it is asked about; 0: EndInterrupted.
	Probe, ProbeFirst bool
	ProbeOn           Ends
	// Verify reports whether a verification can say if the effect of a success is still
	// there. It is asked before a replay. OnUnverified is for a verification that cannot
	// tell: ChoiceRefuse (default), ChoiceReplay or ChoiceRerun.
	Verify       bool
	OnUnverified Choice
	// EveryAttempt runs a step again, whatever its outcome was, in each attempt of its
	// parent that has not run it yet.
	EveryAttempt bool
}

// Ends is a set of ends of an attempt after which its effect may be unknown.
type Ends uint8

// The ends.
const (
	EndInterrupted Ends = 1 << iota // no end is recorded
	EndTimeout
	EndSignal // the command died of a signal
)

// Choice is a way to handle an earlier outcome.
type Choice string

// The choices; the empty one is the default of its field.
const (
	ChoiceRerun  Choice = "rerun"
	ChoiceReplay Choice = "replay"
	ChoiceRefuse Choice = "refuse"
)

// Answer is the answer of a probe or a verification about a key.
type Answer string

// The answers. A verification answers AnswerDone if the effect is still there.
const (
	AnswerNone    Answer = ""
	AnswerDone    Answer = "done"
	AnswerNotDone Answer = "not_done"
	AnswerUnknown Answer = "cannot_tell"
)

// Action is the next action of a call.
type Action string

// The actions. After four of them the call decides again:
//   - after ActionClaim, with the claim
//   - after ActionProbe, with the answer of the probe
//   - after ActionVerify, with the answer of the verification; it is asked without the
//     claim, so a call that has the claim releases it
//   - after ActionSettle, on the answer that it recorded
const (
	ActionClaim   Action = "claim"
	ActionProbe   Action = "probe"
	ActionVerify  Action = "verify"
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
	ReasonRecursive   Reason = "recursive"   // the call would wait for an attempt that it is made inside of
	ReasonExpired     Reason = "expired"     // the last success is older than Policy.TTL
	ReasonStale       Reason = "stale"       // the last success began before the call, and Policy.Fresh
	ReasonFinal       Reason = "final"       // the last attempt failed with a status of Policy.Final
	ReasonExhausted   Reason = "exhausted"   // Policy.MaxAttempts is reached
	ReasonProbed      Reason = "probed"      // the probe answered that the key is done
	ReasonUndecided   Reason = "undecided"   // no attempt is interrupted, and the probe cannot tell
	ReasonVerified    Reason = "verified"    // the verification answered that the effect is there
	ReasonUnverified  Reason = "unverified"  // the verification gave another answer
	ReasonTooLate     Reason = "too_late"    // the first attempt is older than Policy.RerunWithin
	ReasonMutex       Reason = "mutex"       // a mutex of the call has no free place
	ReasonNewAttempt  Reason = "new_attempt" // recorded in an earlier attempt of the parent, and Policy.EveryAttempt
	ReasonBatch       Reason = "batch"       // the key is that of a batch, which has items and no command
)

// renews reports whether an execution for this reason begins a new operation, so the steps
// and items of the earlier one are forgotten. After a failure or an interruption, the same
// operation goes on, and its steps stay. A retry after a success is not here: the mark
// that asked for it has begun the new operation (Settlement.renews).
func (r Reason) renews() bool {
	switch r {
	case ReasonForced, ReasonExpired, ReasonStale, ReasonUnverified, ReasonMismatch:
		return true
	}
	return false
}

// Decision is an action with its reason.
type Decision struct {
	Action Action
	Reason Reason
}

// Availability says whether a call can take its mutexes.
type Availability string

// The values. With MutexesOuter, a mutex without a free place cannot become free before
// an attempt ends that the call is made inside of.
const (
	MutexesFree  Availability = ""
	MutexesHeld  Availability = "held"
	MutexesOuter Availability = "outer"
)

// with returns the decision of a call with mutexes. Only an execution takes them, so they
// matter only to a decision to execute.
func (d Decision) with(m Availability) Decision {
	switch {
	case d.Action != ActionExecute:
		return d
	case m == MutexesHeld:
		return Decision{ActionRefuse, ReasonMutex}
	case m == MutexesOuter:
		return Decision{ActionRefuse, ReasonRecursive}
	default:
		return d
	}
}

// Decide returns the next action of a call with the given fingerprint. A call asks
// it before it has the claim, and again when it holds the claim. All policy of
// idem is here and in Decision.with. The functions are pure, and docs/state-machine.md is
// generated from them.
func Decide(rec ledger.Record, fingerprint string, p Policy, m Moment) Decision {
	d := decideHolding(rec, fingerprint, p, m)
	if d.Action == ActionExecute && d.Reason != ReasonNewAttempt && p.tooLate(m.Age) { // a new attempt has a new IDEM_TOKEN
		d = Decision{ActionRefuse, ReasonTooLate}
	}
	switch {
	case m.Holding:
		return d
	case rec.Kept() && d.Reason != ReasonRecursive && d.Reason != ReasonMismatch:
		return Decision{ActionRefuse, ReasonInterrupted} // no claim can be taken, and waiting does not help
	case rec.Current.State == ledger.Running && d.Reason != ReasonRecursive && d.Reason != ReasonMismatch:
		return Decision{ActionClaim, ReasonBusy} // only the claim shows whether the key is held or interrupted
	case m.Retrying && d.Action != ActionExecute && d.Reason != ReasonRecursive && d.Reason != ReasonMismatch:
		return Decision{ActionClaim, ReasonBusy} // the call that holds it may retry
	case d.Action == ActionExecute, d.Action == ActionProbe, d.Action == ActionSettle:
		return Decision{ActionClaim, d.Reason}
	default:
		return d
	}
}

// decideHolding decides for a call that has the claim, or as if it had. It leaves
// Policy.RerunWithin out.
func decideHolding(rec ledger.Record, fingerprint string, p Policy, m Moment) Decision {
	cur := rec.Current
	differs := cur.Fingerprint != "" && cur.Fingerprint != fingerprint // empty: settled by hand for any inputs
	inside := slices.Contains(m.Around, cur.RunID)
	answer := m.Answer
	if differs && answer == AnswerDone { // done with other inputs, so not a success of this call
		answer = AnswerNotDone
	}
	switch {
	case rec.Phase() == ledger.PhaseNone:
		if p.Probe && p.ProbeFirst {
			if d, unknown := p.unknown(answer, true, ReasonNeverRun, ReasonUndecided); unknown {
				return d
			}
		}
		return Decision{ActionExecute, ReasonNeverRun}
	case cur.State == ledger.Batch:
		return Decision{ActionRefuse, ReasonBatch}
	case cur.State == ledger.Running && inside:
		return Decision{ActionRefuse, ReasonRecursive}
	case p.EveryAttempt && cur.ParentRun != m.ParentRun:
		return Decision{ActionExecute, ReasonNewAttempt}
	case p.expired(cur, m.Now):
		return Decision{ActionExecute, ReasonExpired}
	case differs && p.OnMismatch != ChoiceRerun:
		return Decision{ActionRefuse, ReasonMismatch}
	case cur.State == ledger.Running:
		switch d, unknown := p.unknown(answer, p.asksAfter(EndInterrupted), ReasonInterrupted, ReasonInterrupted); {
		case unknown:
			return d
		case !differs && p.exhausted(m.Tried):
			return Decision{ActionRefuse, ReasonExhausted}
		}
		return Decision{ActionExecute, ReasonInterrupted}
	case p.doubts(cur) && inside && answer == AnswerNone:
		return Decision{ActionRefuse, ReasonRecursive} // the probe would ask itself
	case p.doubts(cur):
		if d, unknown := p.unknown(answer, true, ReasonFailed, ReasonUndecided); unknown {
			return d
		}
	}
	if differs {
		return Decision{ActionExecute, ReasonMismatch}
	}
	return decideKnown(rec, p, m)
}

// decideKnown decides about a record with the inputs of the call whose outcome is known
// or was marked.
func decideKnown(rec ledger.Record, p Policy, m Moment) Decision {
	cur := rec.Current
	counts := !p.Fresh || m.Baseline.before(rec) // the result may be replayed
	switch {
	case cur.State == ledger.None && p.exhausted(m.Tried):
		return Decision{ActionRefuse, ReasonExhausted}
	case cur.State == ledger.None && cur.Reason == ledger.ReasonUnverified:
		return Decision{ActionExecute, ReasonUnverified}
	case cur.State == ledger.None:
		return Decision{ActionExecute, ReasonRetry}
	case p.Force:
		return Decision{ActionExecute, ReasonForced}
	case cur.State == ledger.Succeeded && !counts:
		return Decision{ActionExecute, ReasonStale}
	case cur.State == ledger.Succeeded && m.Answer == AnswerDone:
		return Decision{ActionReplay, ReasonProbed}
	case cur.State == ledger.Succeeded && p.Verify:
		return p.verified(m, cur.RunID)
	case cur.State == ledger.Succeeded:
		return Decision{ActionReplay, ReasonSucceeded}
	case p.final(cur) && counts:
		return Decision{ActionReplay, ReasonFinal}
	case p.OnFailure == ChoiceReplay && counts:
		return Decision{ActionReplay, ReasonFailed}
	case p.OnFailure == ChoiceRefuse:
		return Decision{ActionRefuse, ReasonFailed}
	case p.exhausted(m.Tried):
		return Decision{ActionRefuse, ReasonExhausted}
	default:
		return Decision{ActionExecute, ReasonFailed}
	}
}

// unknown decides about a key of unknown outcome for a call that holds the claim, and
// reports whether there is anything to decide before the key counts as not done. The
// probe is asked first if asks is set. If it cannot tell, OnInterrupted decides. ask and
// refuse are the reasons for asking and for refusing.
func (p Policy) unknown(answer Answer, asks bool, ask, refuse Reason) (Decision, bool) {
	if !asks {
		answer = AnswerUnknown
	}
	switch {
	case answer == AnswerNone:
		return Decision{ActionProbe, ask}, true
	case answer == AnswerDone:
		return Decision{ActionSettle, ReasonProbed}, true
	case answer != AnswerNotDone && p.OnInterrupted != ChoiceRerun:
		return Decision{ActionRefuse, refuse}, true
	default:
		return Decision{}, false
	}
}

// asksAfter reports whether the probe is asked about an attempt with an end.
func (p Policy) asksAfter(end Ends) bool {
	return p.Probe && max(p.ProbeOn, EndInterrupted)&end != 0 // EndInterrupted is the least set
}

// doubts reports whether the probe is asked about a failure, because its violent end may
// have left the work done.
func (p Policy) doubts(a ledger.Attempt) bool {
	return !p.Force && a.State == ledger.Failed &&
		(a.Reason == ledger.ReasonTimeout && p.asksAfter(EndTimeout) || a.Reason == ledger.ReasonSignal && p.asksAfter(EndSignal))
}

// verified decides about a success that a verification is asked about. An answer about
// an attempt other than runID does not count.
func (p Policy) verified(m Moment, runID string) Decision {
	answer := m.Verified
	if m.VerifiedRun != runID {
		answer = AnswerNone
	}
	switch {
	case answer == AnswerNone && slices.Contains(m.Around, runID):
		return Decision{ActionRefuse, ReasonRecursive} // the verification would ask itself
	case answer == AnswerNone:
		return Decision{ActionVerify, ReasonSucceeded}
	case answer == AnswerDone:
		return Decision{ActionReplay, ReasonVerified}
	case answer == AnswerNotDone, p.OnUnverified == ChoiceRerun:
		return Decision{ActionSettle, ReasonUnverified}
	case p.OnUnverified == ChoiceReplay:
		return Decision{ActionReplay, ReasonUnverified}
	default:
		return Decision{ActionRefuse, ReasonUnverified}
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
func (p Policy) exhausted(tried int) bool {
	return p.MaxAttempts > 0 && tried >= p.MaxAttempts && !p.Force
}

// tooLate reports whether a key may not run again, because its first attempt began that
// long ago.
func (p Policy) tooLate(age time.Duration) bool {
	return p.RerunWithin > 0 && age >= p.RerunWithin && !p.Force
}
