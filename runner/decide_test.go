package runner

import (
	"slices"
	"testing"

	"idem/ledger"
)

type designRow struct {
	states           []string
	differs          bool // only other inputs; false: whatever comes here
	when             func(situation) bool
	without, holding Decision
}

func (s situation) exhausted() bool { return limits[s.limit] && !s.force }

// design is the table of DESIGN 3, first matching row first. A nil field is any.
var design = []designRow{
	{fresh, false, answered(NotAsked), Decision{Claim, NeverRun}, Decision{Probe, NeverRun}},
	{fresh, false, answered(IsDone), Decision{Claim, NeverRun}, Decision{Settle, Probed}},
	{fresh, false, refusing(CannotTell), Decision{Claim, NeverRun}, Decision{Refuse, Undecided}},
	{fresh, false, nil, Decision{Claim, NeverRun}, Decision{Execute, NeverRun}},
	{open, false, func(s situation) bool { return s.nested }, Decision{Refuse, Recursive}, Decision{Refuse, Recursive}},
	{[]string{"succeeded"}, false, func(s situation) bool { return s.age.expired }, Decision{Claim, Expired}, Decision{Execute, Expired}},
	{[]string{"succeeded", "failed", "retry"}, true, func(s situation) bool { return s.onMismatch == Rerun }, Decision{Claim, Mismatch}, Decision{Execute, Mismatch}},
	{nil, true, func(s situation) bool { return s.onMismatch != Rerun }, Decision{Refuse, Mismatch}, Decision{Refuse, Mismatch}},
	{open, true, answered(NotAsked), Decision{Claim, Busy}, Decision{Probe, Interrupted}},
	{open, true, refusing(CannotTell), Decision{Claim, Busy}, Decision{Refuse, Interrupted}},
	{open, true, func(s situation) bool { return !s.asks() && s.onInterrupted != Rerun }, Decision{Claim, Busy}, Decision{Refuse, Interrupted}},
	{open, true, nil, Decision{Claim, Busy}, Decision{Execute, Interrupted}},
	{[]string{"retry"}, false, situation.exhausted, Decision{Refuse, Exhausted}, Decision{Refuse, Exhausted}},
	{[]string{"retry"}, false, nil, Decision{Claim, Retry}, Decision{Execute, Retry}},
	{open, false, answered(NotAsked), Decision{Claim, Busy}, Decision{Probe, Interrupted}},
	{open, false, answered(IsDone), Decision{Claim, Busy}, Decision{Settle, Probed}},
	{open, false, refusing(CannotTell), Decision{Claim, Busy}, Decision{Refuse, Interrupted}},
	{open, false, func(s situation) bool { return !s.asks() && s.onInterrupted != Rerun }, Decision{Claim, Busy}, Decision{Refuse, Interrupted}},
	{open, false, situation.exhausted, Decision{Claim, Busy}, Decision{Refuse, Exhausted}},
	{open, false, nil, Decision{Claim, Busy}, Decision{Execute, Interrupted}},
	{nil, false, func(s situation) bool { return s.force }, Decision{Claim, Forced}, Decision{Execute, Forced}},
	{[]string{"succeeded"}, false, func(s situation) bool { return s.probe.answer == IsDone }, Decision{Replay, Probed}, Decision{Replay, Probed}},
	{[]string{"succeeded"}, false, nil, Decision{Replay, Succeeded}, Decision{Replay, Succeeded}},
	{nil, false, func(s situation) bool { return finals[s.final] }, Decision{Replay, Final}, Decision{Replay, Final}},
	{nil, false, func(s situation) bool { return s.onFailure == ReplayIt }, Decision{Replay, FailedIt}, Decision{Replay, FailedIt}},
	{nil, false, func(s situation) bool { return s.onFailure == RefuseIt }, Decision{Refuse, FailedIt}, Decision{Refuse, FailedIt}},
	{nil, false, situation.exhausted, Decision{Refuse, Exhausted}, Decision{Refuse, Exhausted}},
	{[]string{"failed"}, false, nil, Decision{Claim, FailedIt}, Decision{Execute, FailedIt}},
}

var fresh, open = []string{"none", "forgotten"}, []string{"running", "interrupted"}

func answered(a Answer) func(situation) bool {
	return func(s situation) bool { return s.asks() && s.probe.answer == a }
}

func refusing(a Answer) func(situation) bool {
	return func(s situation) bool { return s.asks() && s.probe.answer == a && s.onInterrupted != Rerun }
}

func TestDecideIsTheTableOfTheDesign(t *testing.T) {
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
		if got := s.decide(false); got != design[row].without {
			t.Errorf("%+v, without the claim: got %v, want %v", s, got, design[row].without)
		}
		if got := s.decide(true); got != design[row].holding {
			t.Errorf("%+v, with the claim: got %v, want %v", s, got, design[row].holding)
		}
	}
	if i := slices.Index(used, 0); i >= 0 {
		t.Errorf("row %d of the design is never reached", i)
	}
}

func TestEveryDecisionIsSoundAndHasAReason(t *testing.T) {
	reasons := []Reason{NeverRun, Retry, Forced, Mismatch, Succeeded, FailedIt, Busy, Interrupted, Recursive, Expired, Final, Exhausted, Probed, Undecided}
	for s := range situations() {
		without, holding := s.decide(false), s.decide(true)
		for _, d := range []Decision{without, holding} {
			if !slices.Contains([]Action{Claim, Probe, Settle, Execute, Replay, Refuse}, d.Action) || !slices.Contains(reasons, d.Reason) {
				t.Errorf("%+v: got %v", s, d)
			}
		}
		if slices.Contains([]Action{Probe, Settle, Execute}, without.Action) {
			t.Errorf("%+v: got %s without the claim", s, without.Action)
		}
		if holding.Action == Claim {
			t.Errorf("%+v: claims what it holds", s)
		}
		if holding.Action == Probe && (!s.probe.given || s.probe.answer != NotAsked) {
			t.Errorf("%+v: asks a probe that is not there or has answered", s)
		}
		if holding.Action == Settle && s.probe.answer != IsDone {
			t.Errorf("%+v: records a success that the probe has not told of", s)
		}
	}
}

// What a probe says counts only where it would have been asked, but for the
// reason of a success.
func TestAnswersCountWhereTheyAreAskedFor(t *testing.T) {
	for s := range situations() {
		unasked := s
		unasked.probe.answer = NotAsked
		if unasked.decide(true).Action == Probe || s.probe.answer == NotAsked {
			continue
		}
		if got, want := s.decide(true), unasked.decide(true); got.Action != want.Action || got.Reason != want.Reason && got.Reason != Probed {
			t.Errorf("%+v: got %v, want %v", s, got, want)
		}
	}
}

// What was settled without inputs counts for any call, in every state.
func TestUnboundIsAnyCall(t *testing.T) {
	for s := range situations() {
		if s.state == "none" || s.state == "forgotten" || !s.same {
			continue
		}
		rec := recordIn(s.state, true)
		rec.Current.Fingerprint = ""
		for _, holding := range bools {
			if got, want := Decide(rec, ours, s.policy(), s.moment(holding)), s.decide(holding); got != want {
				t.Fatalf("%+v, holding %t: got %v, want %v", s, holding, got, want)
			}
		}
	}
}

// A key that was settled before it ever ran has a record all the same.
func TestMarkedForRetryBeforeTheFirstRun(t *testing.T) {
	rec := recordIn("retry", true)
	rec.Attempts = 0
	for fingerprint, want := range map[string]Decision{ours: {Claim, Retry}, theirs: {Refuse, Mismatch}} {
		if got := Decide(rec, fingerprint, Policy{Probe: true, ProbeFirst: true}, Moment{Now: began}); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

// What is decided without the claim holds: a caller that gets the claim finds
// nothing else to do, except that only the claim tells running from interrupted.
func TestOnlyTheClaimTellsInterrupted(t *testing.T) {
	for s := range situations() {
		without, holding := s.decide(false), s.decide(true)
		switch {
		case without.Action != Claim:
			if holding != without {
				t.Errorf("%+v: got %v without the claim and %v with it", s, without, holding)
			}
		case s.asks():
		case without.Reason == Busy:
			if holding != (Decision{Execute, Interrupted}) && holding != (Decision{Refuse, Interrupted}) && holding != (Decision{Refuse, Exhausted}) {
				t.Errorf("%+v: got %v with the claim", s, holding)
			}
		default:
			if holding != (Decision{Execute, without.Reason}) {
				t.Errorf("%+v: got %v without the claim and %v with it", s, without, holding)
			}
		}
	}
}

// Whether somebody is alive is for people to read: it may have changed since,
// which only the claim shows.
func TestDecideDoesNotLookAtWhoIsAlive(t *testing.T) {
	for s := range situations() {
		if s.state != "running" {
			continue
		}
		dead := s
		dead.state = "interrupted"
		for _, holding := range bools {
			if a, b := s.decide(holding), dead.decide(holding); a != b {
				t.Errorf("%+v, holding %t: got %v, and %v when nobody is alive", s, holding, a, b)
			}
		}
	}
}

func TestZeroPolicyIsTheDefault(t *testing.T) {
	for s := range situations() {
		for _, holding := range bools {
			if a, b := s.decide(holding), spelled(s).decide(holding); a != b {
				t.Fatalf("%+v, holding %t: got %v, spelled out %v", s, holding, a, b)
			}
		}
	}
}

// A success that this very call is about runs again only by force or by its age.
func TestSuccessRunsAgainOnlyByForceAgeOrAcceptedMismatch(t *testing.T) {
	for s := range situations() {
		if s.state == "succeeded" && s.decide(true).Action == Execute && !s.force && !s.age.expired && (s.same || s.onMismatch != Rerun) {
			t.Errorf("%+v: runs again", s)
		}
	}
}

// Only an exit status that the command (or its timeout) has ended with is one.
func TestFinalIsAboutExitStatuses(t *testing.T) {
	for reason, final := range map[ledger.Reason]bool{
		ledger.ReasonExit: true, ledger.ReasonTimeout: true,
		ledger.ReasonSignal: false, ledger.ReasonMarked: false, ledger.ReasonLost: false,
	} {
		rec := recordIn("failed", true)
		rec.Current.Reason = reason
		want := Decision{Claim, FailedIt}
		if final {
			want = Decision{Replay, Final}
		}
		if got := Decide(rec, ours, Policy{Final: Codes{{exit3, exit3}}}, Moment{Now: began}); got != want {
			t.Errorf("%s: got %v, want %v", reason, got, want)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	rec := recordIn("succeeded", true)
	for b.Loop() {
		Decide(rec, ours, Policy{}, Moment{Now: began})
	}
}
