package runner

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"idem/ledger"
)

// given has the policies by their flag, each with the settings that the flag can have.
var given = map[string][]func(*situation){
	"--ttl":                           {func(s *situation) { s.age = older }, func(s *situation) { s.age = ages[2] }},
	"--on-failure replay":             {func(s *situation) { s.onFailure = ChoiceReplay }},
	"--on-failure refuse":             {func(s *situation) { s.onFailure = ChoiceRefuse }},
	"--on-interrupted":                {func(s *situation) { s.onInterrupted = ChoiceRerun }},
	"--on-mismatch":                   {func(s *situation) { s.onMismatch = ChoiceRerun }},
	"--final":                         {func(s *situation) { s.final = "3" }, func(s *situation) { s.final = "0-2,4-255" }},
	"--max-attempts":                  {func(s *situation) { s.limit = 2 }, func(s *situation) { s.limit = 3 }},
	"--wait=fresh":                    {func(s *situation) { s.freshness.asked = true }, func(s *situation) { s.freshness = freshness{true, true} }},
	"--force":                         {func(s *situation) { s.force = true }},
	"--probe":                         {func(s *situation) { s.probe.given = true }},
	"--probe --probe-on":              {func(s *situation) { s.probe.given, s.ending.on = true, allEnds }},
	"--rerun-within":                  {func(s *situation) { s.late = true }, func(*situation) {}},
	"--verify":                        {func(s *situation) { s.verify.given = true }},
	"--verify --on-unverified replay": {func(s *situation) { s.verify.given, s.verify.choice = true, ChoiceReplay }},
	"--verify --on-unverified rerun":  {func(s *situation) { s.verify.given, s.verify.choice = true, ChoiceRerun }},
	"--probe --probe-first":           {func(s *situation) { s.probe.given, s.probe.first = true, true }},
}

// grounds returns the situations of calls without a policy: every record with every
// answer of a probe.
func grounds() []situation {
	var all []situation
	for _, state := range states {
		for _, same := range bools {
			for _, answer := range []Answer{AnswerNone, AnswerDone, AnswerNotDone, AnswerUnknown} {
				s := situation{state: state, same: same, probe: probing{answer: answer}}
				all = append(all, s)
				s.ending.reason = ledger.ReasonTimeout
				all = append(all, s)
				all = append(all, situation{state: state, same: same, verify: verifying{answer: answer}})
			}
		}
	}
	return all
}

// effect reports whether a flag changes the action of any call with another flag.
func effect(flag, other []func(*situation)) bool {
	for _, s := range grounds() {
		for _, b := range other {
			for _, f := range flag {
				one := s
				b(&one)
				both := one
				f(&both)
				if one.decide(false).Action != both.decide(false).Action || one.decide(true).Action != both.decide(true).Action {
					return true
				}
			}
		}
	}
	return false
}

// A flag that has no effect next to another flag is refused by cmd.
func TestPoliciesWithoutEffect(t *testing.T) {
	without := map[string][]string{ // by flag: the flags next to which it has no effect
		"--on-failure replay":             {"--force"},
		"--on-failure refuse":             {"--force"},
		"--final":                         {"--force", "--on-failure replay"}, // it has an effect on retries
		"--max-attempts":                  {"--force"},
		"--rerun-within":                  {"--force"},
		"--wait=fresh":                    {"--force"},
		"--probe":                         {"--probe --probe-first", "--probe --probe-on"},                                  // --probe is already set
		"--verify":                        {"--force", "--verify --on-unverified replay", "--verify --on-unverified rerun"}, // or --verify is
		"--verify --on-unverified replay": {"--force"},
		"--verify --on-unverified rerun":  {"--force"},
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		for _, other := range slices.Sorted(maps.Keys(given)) {
			if name == other || strings.HasPrefix(name, "--on-failure") && strings.HasPrefix(other, "--on-failure") || strings.Contains(name, "--on-unverified") && strings.Contains(other, "--on-unverified") {
				continue
			}
			if got, want := effect(given[name], given[other]), !slices.Contains(without[name], other); got != want {
				t.Errorf("%s next to %s: got an effect %t, want %t", name, other, got, want)
			}
		}
	}
}
