package runner

import (
	"slices"
	"testing"

	"idem/ledger"
)

type designRow struct {
	states           []string
	differs          bool // only with other inputs; false: with any
	when             func(situation) bool
	without, holding Decision
}

func (s situation) exhausted() bool { return limits[s.limit] && !s.force }
func (s situation) stale() bool     { return s.freshness.stale() }

// design is the table of decisions, written independently of Decide. The first
// matching row counts. A nil field matches everything.
var design = []designRow{
	{fresh, false, answered(AnswerNone), Decision{ActionClaim, ReasonNeverRun}, Decision{ActionProbe, ReasonNeverRun}},
	{fresh, false, answered(AnswerDone), Decision{ActionClaim, ReasonProbed}, Decision{ActionSettle, ReasonProbed}},
	{fresh, false, refusing(AnswerUnknown), Decision{ActionRefuse, ReasonUndecided}, Decision{ActionRefuse, ReasonUndecided}},
	{fresh, false, nil, Decision{ActionClaim, ReasonNeverRun}, Decision{ActionExecute, ReasonNeverRun}},
	{open, false, func(s situation) bool { return s.nested }, Decision{ActionRefuse, ReasonRecursive}, Decision{ActionRefuse, ReasonRecursive}},
	{[]string{"succeeded"}, false, func(s situation) bool { return s.age.expired }, Decision{ActionClaim, ReasonExpired}, Decision{ActionExecute, ReasonExpired}},
	{[]string{"succeeded", "failed", "retry"}, true, func(s situation) bool { return s.onMismatch == ChoiceRerun && !s.asks() }, Decision{ActionClaim, ReasonMismatch}, Decision{ActionExecute, ReasonMismatch}},
	{nil, true, func(s situation) bool { return s.onMismatch != ChoiceRerun }, Decision{ActionRefuse, ReasonMismatch}, Decision{ActionRefuse, ReasonMismatch}},
	{open, true, answered(AnswerNone), Decision{ActionClaim, ReasonBusy}, Decision{ActionProbe, ReasonInterrupted}},
	{open, true, refusing(AnswerUnknown), Decision{ActionClaim, ReasonBusy}, Decision{ActionRefuse, ReasonInterrupted}},
	{open, true, func(s situation) bool { return !s.asks() && s.onInterrupted != ChoiceRerun }, Decision{ActionClaim, ReasonBusy}, Decision{ActionRefuse, ReasonInterrupted}},
	{open, true, nil, Decision{ActionClaim, ReasonBusy}, Decision{ActionExecute, ReasonInterrupted}},
	{[]string{"retry"}, false, situation.exhausted, Decision{ActionRefuse, ReasonExhausted}, Decision{ActionRefuse, ReasonExhausted}},
	{[]string{"retry"}, false, nil, Decision{ActionClaim, ReasonRetry}, Decision{ActionExecute, ReasonRetry}},
	{open, false, answered(AnswerNone), Decision{ActionClaim, ReasonBusy}, Decision{ActionProbe, ReasonInterrupted}},
	{open, false, answered(AnswerDone), Decision{ActionClaim, ReasonBusy}, Decision{ActionSettle, ReasonProbed}},
	{open, false, refusing(AnswerUnknown), Decision{ActionClaim, ReasonBusy}, Decision{ActionRefuse, ReasonInterrupted}},
	{open, false, func(s situation) bool { return !s.asks() && s.onInterrupted != ChoiceRerun }, Decision{ActionClaim, ReasonBusy}, Decision{ActionRefuse, ReasonInterrupted}},
	{open, false, situation.exhausted, Decision{ActionClaim, ReasonBusy}, Decision{ActionRefuse, ReasonExhausted}},
	{open, false, nil, Decision{ActionClaim, ReasonBusy}, Decision{ActionExecute, ReasonInterrupted}},
	{[]string{"failed"}, false, func(s situation) bool { return s.asks() && s.probe.answer == AnswerNone && s.nested }, Decision{ActionRefuse, ReasonRecursive}, Decision{ActionRefuse, ReasonRecursive}},
	{[]string{"failed"}, false, answered(AnswerNone), Decision{ActionClaim, ReasonFailed}, Decision{ActionProbe, ReasonFailed}},
	{[]string{"failed"}, false, func(s situation) bool { return s.asks() && s.probe.answer == AnswerDone && s.same }, Decision{ActionClaim, ReasonProbed}, Decision{ActionSettle, ReasonProbed}},
	{[]string{"failed"}, false, refusing(AnswerUnknown), Decision{ActionRefuse, ReasonUndecided}, Decision{ActionRefuse, ReasonUndecided}},
	{[]string{"failed"}, true, nil, Decision{ActionClaim, ReasonMismatch}, Decision{ActionExecute, ReasonMismatch}},
	{nil, false, func(s situation) bool { return s.force }, Decision{ActionClaim, ReasonForced}, Decision{ActionExecute, ReasonForced}},
	{[]string{"succeeded"}, false, situation.stale, Decision{ActionClaim, ReasonStale}, Decision{ActionExecute, ReasonStale}},
	{[]string{"succeeded"}, false, func(s situation) bool { return s.probe.answer == AnswerDone }, Decision{ActionReplay, ReasonProbed}, Decision{ActionReplay, ReasonProbed}},
	{[]string{"succeeded"}, false, func(s situation) bool { return s.verifies(AnswerNone) && s.nested }, Decision{ActionRefuse, ReasonRecursive}, Decision{ActionRefuse, ReasonRecursive}},
	{[]string{"succeeded"}, false, func(s situation) bool { return s.verifies(AnswerNone) }, Decision{ActionVerify, ReasonSucceeded}, Decision{ActionVerify, ReasonSucceeded}},
	{[]string{"succeeded"}, false, func(s situation) bool { return s.verifies(AnswerDone) }, Decision{ActionReplay, ReasonVerified}, Decision{ActionReplay, ReasonVerified}},
	{[]string{"succeeded"}, false, func(s situation) bool { return s.verifies(AnswerNotDone) }, Decision{ActionClaim, ReasonUnverified}, Decision{ActionSettle, ReasonUnverified}},
	{[]string{"succeeded"}, false, func(s situation) bool { return s.verifies(AnswerUnknown) && s.verify.choice == ChoiceRerun }, Decision{ActionClaim, ReasonUnverified}, Decision{ActionSettle, ReasonUnverified}},
	{[]string{"succeeded"}, false, func(s situation) bool { return s.verifies(AnswerUnknown) && s.verify.choice == ChoiceReplay }, Decision{ActionReplay, ReasonUnverified}, Decision{ActionReplay, ReasonUnverified}},
	{[]string{"succeeded"}, false, func(s situation) bool { return s.verifies(AnswerUnknown) }, Decision{ActionRefuse, ReasonUnverified}, Decision{ActionRefuse, ReasonUnverified}},
	{[]string{"succeeded"}, false, nil, Decision{ActionReplay, ReasonSucceeded}, Decision{ActionReplay, ReasonSucceeded}},
	{nil, false, func(s situation) bool { return s.isFinal() && !s.stale() }, Decision{ActionReplay, ReasonFinal}, Decision{ActionReplay, ReasonFinal}},
	{nil, false, func(s situation) bool { return s.onFailure == ChoiceReplay && !s.stale() }, Decision{ActionReplay, ReasonFailed}, Decision{ActionReplay, ReasonFailed}},
	{nil, false, func(s situation) bool { return s.onFailure == ChoiceRefuse }, Decision{ActionRefuse, ReasonFailed}, Decision{ActionRefuse, ReasonFailed}},
	{nil, false, situation.exhausted, Decision{ActionRefuse, ReasonExhausted}, Decision{ActionRefuse, ReasonExhausted}},
	{[]string{"failed"}, false, nil, Decision{ActionClaim, ReasonFailed}, Decision{ActionExecute, ReasonFailed}},
}

var fresh, open = []string{"none", "forgotten"}, []string{"running", "interrupted"}

func (s situation) verifies(a Answer) bool { return s.verify.given && s.verify.answered() == a }

func answered(a Answer) func(situation) bool {
	return func(s situation) bool { return s.asks() && s.probe.answer == a }
}

func refusing(a Answer) func(situation) bool {
	return func(s situation) bool { return s.asks() && s.probe.answer == a && s.onInterrupted != ChoiceRerun }
}

func TestDecideFollowsTheDesignTable(t *testing.T) {
	used := make([]int, len(design))
	for s := range situations() {
		row := slices.IndexFunc(design, func(r designRow) bool {
			return (r.states == nil || slices.Contains(r.states, s.state)) &&
				(!r.differs || !s.same) && (r.when == nil || r.when(s))
		})
		if row < 0 {
			t.Fatalf("%+v: the design has no row", s)
		}
		used[row]++
		without, holding := design[row].without, design[row].holding
		if holding.Action == ActionExecute && s.tooLate() {
			holding = Decision{ActionRefuse, ReasonTooLate}
			if without.Reason != ReasonBusy {
				without = holding
			}
		}
		if got := s.decide(false); got != without {
			t.Fatalf("%+v, without the claim: got %v, want %v", s, got, without)
		}
		if got := s.decide(true); got != holding {
			t.Fatalf("%+v, with the claim: got %v, want %v", s, got, holding)
		}
	}
	if i := slices.Index(used, 0); i >= 0 {
		t.Errorf("row %d of the design is never reached", i)
	}
}

func TestEveryDecisionIsSoundAndHasAReason(t *testing.T) {
	reasons := []Reason{ReasonNeverRun, ReasonRetry, ReasonForced, ReasonMismatch, ReasonSucceeded, ReasonFailed, ReasonBusy, ReasonInterrupted, ReasonRecursive, ReasonExpired, ReasonStale, ReasonFinal, ReasonExhausted, ReasonProbed, ReasonUndecided, ReasonVerified, ReasonUnverified, ReasonTooLate}
	for s := range situations() {
		without, holding := s.decide(false), s.decide(true)
		for _, d := range []Decision{without, holding} {
			if !slices.Contains([]Action{ActionClaim, ActionProbe, ActionVerify, ActionSettle, ActionExecute, ActionReplay, ActionRefuse}, d.Action) || !slices.Contains(reasons, d.Reason) {
				t.Errorf("%+v: got %v", s, d)
			}
		}
		if slices.Contains([]Action{ActionProbe, ActionSettle, ActionExecute}, without.Action) {
			t.Errorf("%+v: got %s without the claim", s, without.Action)
		}
		if holding.Action == ActionClaim {
			t.Errorf("%+v: claims the key that it holds", s)
		}
		if holding.Action == ActionProbe && (!s.probe.given || s.probe.answer != AnswerNone) {
			t.Errorf("%+v: asks a probe that does not exist or has answered", s)
		}
		if holding == (Decision{ActionSettle, ReasonProbed}) && s.probe.answer != AnswerDone {
			t.Errorf("%+v: records a success that the probe did not report", s)
		}
		if holding == (Decision{ActionSettle, ReasonUnverified}) && !s.verifies(AnswerNotDone) && !s.verifies(AnswerUnknown) {
			t.Errorf("%+v: gives a success up that the verification did not deny", s)
		}
		if holding.Action == ActionVerify && !s.verifies(AnswerNone) {
			t.Errorf("%+v: asks a verification that does not exist or has answered", s)
		}
	}
}

// An answer counts only in a situation in which the probe is asked. The only
// exception is the success that the answer has led to.
func TestAnswersCountWhereTheyAreAskedFor(t *testing.T) {
	for s := range situations() {
		unasked := s
		unasked.probe.answer = AnswerNone
		if s.asks() || s.probe.answer == AnswerNone {
			continue
		}
		if got := s.decide(true); s.verify.given && got == (Decision{ActionReplay, ReasonProbed}) {
			continue // the probe has just found the effect, so no verification is asked
		}
		if got, want := s.decide(true), unasked.decide(true); got.Action != want.Action || got.Reason != want.Reason && got.Reason != ReasonProbed {
			t.Errorf("%+v: got %v, want %v", s, got, want)
		}
	}
}

// A record settled without inputs counts for any call, in every state.
func TestUnboundRecordFitsAnyCall(t *testing.T) {
	for s := range situations() {
		if s.state == "none" || s.state == "forgotten" || !s.same {
			continue
		}
		rec := s.record()
		rec.Current.Fingerprint = ""
		for _, holding := range bools {
			if got, want := Decide(rec, sameInputs, s.policy(), s.moment(holding)), s.decide(holding); got != want {
				t.Fatalf("%+v, holding %t: got %v, want %v", s, holding, got, want)
			}
		}
	}
}

// A key settled before its first run counts as recorded, so no probe is asked first.
func TestMarkedForRetryBeforeTheFirstRun(t *testing.T) {
	rec := recordIn("retry", true)
	rec.Attempts = 0
	for fingerprint, want := range map[string]Decision{sameInputs: {ActionClaim, ReasonRetry}, otherInputs: {ActionRefuse, ReasonMismatch}} {
		if got := Decide(rec, fingerprint, Policy{Probe: true, ProbeFirst: true}, Moment{Now: began}); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

// A decision without the claim stays the same with the claim. The only exception is
// a running record, because only the claim shows whether it is interrupted.
func TestOnlyTheClaimShowsInterrupted(t *testing.T) {
	for s := range situations() {
		without, holding := s.decide(false), s.decide(true)
		switch {
		case without.Action != ActionClaim:
			if holding != without {
				t.Errorf("%+v: got %v without the claim and %v with it", s, without, holding)
			}
		case s.asks():
		case without.Reason == ReasonUnverified:
			if holding != (Decision{ActionSettle, ReasonUnverified}) {
				t.Errorf("%+v: got %v with the claim", s, holding)
			}
		case without.Reason == ReasonBusy:
			if holding != (Decision{ActionExecute, ReasonInterrupted}) && holding != (Decision{ActionRefuse, ReasonInterrupted}) && holding != (Decision{ActionRefuse, ReasonExhausted}) && holding != (Decision{ActionRefuse, ReasonTooLate}) {
				t.Errorf("%+v: got %v with the claim", s, holding)
			}
		default:
			if holding != (Decision{ActionExecute, without.Reason}) {
				t.Errorf("%+v: got %v without the claim and %v with it", s, without, holding)
			}
		}
	}
}

// Mutexes matter only to a call that would execute. They never make a call execute.
func TestMutexesOnlyRefuseAnExecution(t *testing.T) {
	for _, action := range []Action{ActionClaim, ActionProbe, ActionVerify, ActionSettle, ActionExecute, ActionReplay, ActionRefuse} {
		d := Decision{action, ReasonFailed}
		for state, refusal := range map[Availability]Decision{
			MutexesFree: d, MutexesHeld: {ActionRefuse, ReasonMutex}, MutexesOuter: {ActionRefuse, ReasonRecursive},
		} {
			want := d
			if action == ActionExecute {
				want = refusal
			}
			if got := d.with(state); got != want {
				t.Errorf("%v, mutexes %q: got %v, want %v", d, state, got, want)
			}
		}
	}
}

// Record.Alive does not affect a decision. It may have changed since the record was
// read, and only the claim shows that.
func TestDecideIgnoresAlive(t *testing.T) {
	for s := range situations() {
		if s.state != "running" {
			continue
		}
		dead := s
		dead.state = "interrupted"
		for _, holding := range bools {
			if a, b := s.decide(holding), dead.decide(holding); a != b {
				t.Errorf("%+v, holding %t: got %v, and %v when no process is alive", s, holding, a, b)
			}
		}
	}
}

// While another call holds the key after a failure, it may retry. So the failure does not
// decide, unless it has other inputs or the call is made inside of a question about it.
func TestRetryingAnswersNoCall(t *testing.T) {
	for s := range situations() {
		if s.state != "failed" {
			continue
		}
		m := s.moment(false)
		m.Retrying = true
		got := Decide(recordIn(s.state, s.same), sameInputs, s.policy(), m)
		refused := got.Action == ActionRefuse && (got.Reason == ReasonMismatch || got.Reason == ReasonRecursive)
		if got.Action != ActionClaim && !refused {
			t.Errorf("%+v: got %v, want %s", s, got, ActionClaim)
		}
		if refused && got != s.decide(false) {
			t.Errorf("%+v: got %v, and %v when no call holds the key", s, got, s.decide(false))
		}
	}
}

func TestZeroPolicyIsTheDefault(t *testing.T) {
	for s := range situations() {
		for _, holding := range bools {
			if a, b := s.decide(holding), normalized(s).decide(holding); a != b {
				t.Fatalf("%+v, holding %t: got %v, spelled out %v", s, holding, a, b)
			}
		}
	}
}

// A success runs again only for a reason: force, its age, a call after its start with
// Policy.Fresh, or other inputs that the policy accepts.
func TestSuccessRunsAgainOnlyByForceAgeFreshnessOrAcceptedMismatch(t *testing.T) {
	for s := range situations() {
		if s.state == "succeeded" && s.decide(true).Action == ActionExecute && !s.force && !s.age.expired && !s.stale() && (s.same || s.onMismatch != ChoiceRerun) {
			t.Errorf("%+v: runs again", s)
		}
	}
}

// Policy.Final is compared only with the exit status of a command or of its timeout.
func TestFinalIsAboutExitStatuses(t *testing.T) {
	for reason, final := range map[ledger.Reason]bool{
		ledger.ReasonExit: true, ledger.ReasonTimeout: true,
		ledger.ReasonSignal: false, ledger.ReasonMarked: false, ledger.ReasonLost: false,
	} {
		rec := recordIn("failed", true)
		rec.Current.Reason = reason
		want := Decision{ActionClaim, ReasonFailed}
		if final {
			want = Decision{ActionReplay, ReasonFinal}
		}
		if got := Decide(rec, sameInputs, Policy{Final: Codes{{exit3, exit3}}}, Moment{Now: began}); got != want {
			t.Errorf("%s: got %v, want %v", reason, got, want)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	rec := recordIn("succeeded", true)
	for b.Loop() {
		Decide(rec, sameInputs, Policy{}, Moment{Now: began})
	}
}
