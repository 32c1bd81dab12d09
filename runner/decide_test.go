package runner

import (
	"iter"
	"slices"
	"testing"

	"idem/ledger"
)

// states are the records that Decide tells apart, by name. A forgotten key is
// one that was never run, but for its generation.
var states = []string{"none", "forgotten", "retry", "running", "interrupted", "succeeded", "failed"}

const ours, theirs = "h1:ours", "h1:theirs"

// recordIn returns a record in a state, recorded with our fingerprint or not.
func recordIn(state string, same bool) ledger.Record {
	r := ledger.Record{ID: ledger.ID{Key: "k"}, Generation: 1, Fence: 2, Attempts: 2}
	r.Current = ledger.Attempt{Number: 2, RunID: "r", Fingerprint: theirs}
	if same {
		r.Current.Fingerprint = ours
	}
	switch state {
	case "none":
		return ledger.Record{ID: r.ID, Generation: 1}
	case "forgotten":
		return ledger.Record{ID: r.ID, Generation: 2, Fence: 2}
	case "retry":
		r.Current.Number, r.Current.Reason = 0, ledger.ReasonMarked
	case "running", "interrupted":
		r.Current.State, r.Alive = ledger.Running, state == "running"
	default:
		r.Current.State = ledger.State(state)
	}
	return r
}

// A situation is everything that Decide may look at, but for the claim.
type situation struct {
	state string
	same  bool
	Policy
}

func (s situation) decide(holding bool) Decision {
	return Decide(recordIn(s.state, s.same), ours, holding, s.Policy)
}

var bools = []bool{false, true}

// situations walks every combination, with the choices spelled out and, as
// their zero value, not.
func situations() iter.Seq[situation] {
	return func(yield func(situation) bool) {
		for _, state := range states {
			for _, same := range bools {
				for p := range policies() {
					if !yield(situation{state, same, p}) {
						return
					}
				}
			}
		}
	}
}

func policies() iter.Seq[Policy] {
	return func(yield func(Policy) bool) {
		for _, onFailure := range []Choice{"", Rerun, ReplayIt, RefuseIt} {
			for _, onInterrupted := range []Choice{"", RefuseIt, Rerun} {
				for _, onMismatch := range []Choice{"", RefuseIt, Rerun} {
					for _, force := range bools {
						for _, nested := range bools {
							if !yield(Policy{onFailure, onInterrupted, onMismatch, force, nested}) {
								return
							}
						}
					}
				}
			}
		}
	}
}

type designRow struct {
	states           []string
	differs          bool // only other inputs; false: whatever comes here
	policy           func(Policy) bool
	without, holding Decision
}

// design is the table of DESIGN 3, first matching row first. A nil field is any.
var design = []designRow{
	{[]string{"none", "forgotten"}, false, nil, Decision{Claim, NeverRun}, Decision{Execute, NeverRun}},
	{[]string{"running", "interrupted"}, false, func(p Policy) bool { return p.Nested }, Decision{Refuse, Recursive}, Decision{Refuse, Recursive}},
	{[]string{"succeeded", "failed", "retry"}, true, func(p Policy) bool { return p.OnMismatch == Rerun }, Decision{Claim, Mismatch}, Decision{Execute, Mismatch}},
	{nil, true, nil, Decision{Refuse, Mismatch}, Decision{Refuse, Mismatch}},
	{[]string{"retry"}, false, nil, Decision{Claim, Retry}, Decision{Execute, Retry}},
	{[]string{"running", "interrupted"}, false, func(p Policy) bool { return p.OnInterrupted == Rerun }, Decision{Claim, Busy}, Decision{Execute, Interrupted}},
	{[]string{"running", "interrupted"}, false, nil, Decision{Claim, Busy}, Decision{Refuse, Interrupted}},
	{nil, false, func(p Policy) bool { return p.Force }, Decision{Claim, Forced}, Decision{Execute, Forced}},
	{[]string{"succeeded"}, false, nil, Decision{Replay, Succeeded}, Decision{Replay, Succeeded}},
	{nil, false, func(p Policy) bool { return p.OnFailure == ReplayIt }, Decision{Replay, FailedIt}, Decision{Replay, FailedIt}},
	{nil, false, func(p Policy) bool { return p.OnFailure == RefuseIt }, Decision{Refuse, FailedIt}, Decision{Refuse, FailedIt}},
	{[]string{"failed"}, false, nil, Decision{Claim, FailedIt}, Decision{Execute, FailedIt}},
}

func TestDecideIsTheTableOfTheDesign(t *testing.T) {
	used := make([]int, len(design))
	for s := range situations() {
		row := slices.IndexFunc(design, func(r designRow) bool {
			return (r.states == nil || slices.Contains(r.states, s.state)) &&
				(!r.differs || !s.same) && (r.policy == nil || r.policy(s.Policy))
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
	reasons := []Reason{NeverRun, Retry, Forced, Mismatch, Succeeded, FailedIt, Busy, Interrupted, Recursive}
	for s := range situations() {
		without, holding := s.decide(false), s.decide(true)
		for _, d := range []Decision{without, holding} {
			if !slices.Contains([]Action{Claim, Execute, Replay, Refuse}, d.Action) || !slices.Contains(reasons, d.Reason) {
				t.Errorf("%+v: got %v", s, d)
			}
		}
		if without.Action == Execute {
			t.Errorf("%+v: executes without the claim", s)
		}
		if holding.Action == Claim {
			t.Errorf("%+v: claims what it holds", s)
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
		case without.Reason == Busy:
			if holding.Reason != Interrupted || holding.Action != Execute && holding.Action != Refuse {
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
	spelled := Policy{OnFailure: Rerun, OnInterrupted: RefuseIt, OnMismatch: RefuseIt}
	for _, state := range states {
		for _, same := range bools {
			for _, holding := range bools {
				a, b := situation{state, same, Policy{}}.decide(holding), situation{state, same, spelled}.decide(holding)
				if a != b {
					t.Errorf("%s, same %t, holding %t: got %v, spelled out %v", state, same, holding, a, b)
				}
			}
		}
	}
}

// A success that this very call is about runs again only by force.
func TestSuccessRunsAgainOnlyByForceOrAcceptedMismatch(t *testing.T) {
	for s := range situations() {
		if s.state == "succeeded" && s.decide(true).Action == Execute && !s.Force && (s.same || s.OnMismatch != Rerun) {
			t.Errorf("%+v: runs again", s)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	rec := recordIn("succeeded", true)
	for b.Loop() {
		Decide(rec, ours, false, Policy{})
	}
}
