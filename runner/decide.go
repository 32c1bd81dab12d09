// Package runner runs a command at most once per key: it decides, claims,
// executes, records and replays. It knows no SQL and no flags.
package runner

import (
	"slices"
	"time"

	"idem/ledger"
)

// Policy is what the caller wants where a record leaves a choice. The zero
// value is the default in every field.
type Policy struct {
	OnFailure     Choice // Rerun (default), ReplayIt or RefuseIt
	OnInterrupted Choice // RefuseIt (default) or Rerun
	OnMismatch    Choice // RefuseIt (default) or Rerun
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

// Moment is what Decide depends on besides the record, the call's fingerprint and
// its policy.
type Moment struct {
	Now     time.Time
	Holding bool   // the call holds the claim
	Tried   int    // attempts since the last success
	Answer  Answer // of the probe
	// Around are the run ids of the attempts that the call is made inside of:
	// a call that waited for one of them would wait for itself.
	Around []string
}

// Choice is what to do about an earlier outcome.
type Choice string

// The choices; the empty one is the default of its field.
const (
	Rerun    Choice = "rerun"
	ReplayIt Choice = "replay"
	RefuseIt Choice = "refuse"
)

// Answer is what a probe has said about a key.
type Answer string

// The answers.
const (
	NotAsked   Answer = ""
	IsDone     Answer = "done"
	NotDone    Answer = "not_done"
	CannotTell Answer = "cannot_tell"
)

// Action is what a call does.
type Action string

// The actions. After Claim, Probe and Settle it decides again: with the claim,
// with the probe's answer, on the success that it has recorded.
const (
	Claim   Action = "claim"
	Probe   Action = "probe"
	Settle  Action = "settle"
	Execute Action = "execute"
	Replay  Action = "replay"
	Refuse  Action = "refuse"
)

// Reason is why, for the user and for scripts.
type Reason string

// The reasons. What a call exits with that is refused for one is in cmd/report_exit.go.
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
	Expired     Reason = "expired"     // it is done, but longer ago than Policy.TTL
	Final       Reason = "final"       // it failed in a way that Policy.Final calls final
	Exhausted   Reason = "exhausted"   // it has had Policy.MaxAttempts
	Probed      Reason = "probed"      // the probe has said that it is done
	Undecided   Reason = "undecided"   // nothing is recorded, and the probe cannot tell
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
	run := Claim
	if m.Holding {
		run = Execute
	}
	cur := rec.Current
	exhausted := p.exhausted(m.Tried) && !p.Force
	differs := cur.Fingerprint != "" && cur.Fingerprint != fingerprint // empty: settled for any call
	switch {
	case rec.Phase() == ledger.PhaseNone && m.Holding && p.Probe && p.ProbeFirst:
		return p.unknown(m.Answer, NeverRun, Undecided, false)
	case rec.Phase() == ledger.PhaseNone:
		return Decision{run, NeverRun}
	case cur.State == ledger.Running && slices.Contains(m.Around, cur.RunID):
		return Decision{Refuse, Recursive}
	case p.expired(cur, m.Now):
		return Decision{run, Expired}
	case differs && p.OnMismatch != Rerun:
		return Decision{Refuse, Mismatch}
	case differs && cur.State != ledger.Running:
		return Decision{run, Mismatch}
	case cur.State == ledger.None && exhausted:
		return Decision{Refuse, Exhausted}
	case cur.State == ledger.None:
		return Decision{run, Retry}
	case cur.State == ledger.Running && !m.Holding:
		return Decision{Claim, Busy} // held elsewhere, or interrupted: the claim tells
	case cur.State == ledger.Running && differs:
		answer := m.Answer
		if answer == IsDone { // with other inputs: known, but not a success of this call
			answer = NotDone
		}
		return p.unknown(answer, Interrupted, Interrupted, false)
	case cur.State == ledger.Running:
		return p.unknown(m.Answer, Interrupted, Interrupted, exhausted)
	case p.Force:
		return Decision{run, Forced}
	case cur.State == ledger.Succeeded && m.Answer == IsDone:
		return Decision{Replay, Probed}
	case cur.State == ledger.Succeeded:
		return Decision{Replay, Succeeded}
	case p.final(cur):
		return Decision{Replay, Final}
	case p.OnFailure == ReplayIt:
		return Decision{Replay, FailedIt}
	case p.OnFailure == RefuseIt:
		return Decision{Refuse, FailedIt}
	case exhausted:
		return Decision{Refuse, Exhausted}
	default:
		return Decision{run, FailedIt}
	}
}

// unknown decides, with the claim, about a key that may or may not be done: the
// probe is asked first, and OnInterrupted decides where it cannot tell. run and
// refuse are the reasons given for running and for refusing.
func (p Policy) unknown(answer Answer, run, refuse Reason, exhausted bool) Decision {
	switch {
	case p.Probe && answer == NotAsked:
		return Decision{Probe, run}
	case answer == IsDone:
		return Decision{Settle, Probed}
	case answer != NotDone && p.OnInterrupted != Rerun:
		return Decision{Refuse, refuse}
	case exhausted:
		return Decision{Refuse, Exhausted}
	default:
		return Decision{Execute, run}
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
