package runner

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// given are the policies, each as one flag of a call gives it, in as many ways as
// there are.
var given = map[string][]func(*situation){
	"--ttl":                 {func(s *situation) { s.age = older }, func(s *situation) { s.age = ages[2] }},
	"--on-failure replay":   {func(s *situation) { s.onFailure = ChoiceReplay }},
	"--on-failure refuse":   {func(s *situation) { s.onFailure = ChoiceRefuse }},
	"--on-interrupted":      {func(s *situation) { s.onInterrupted = ChoiceRerun }},
	"--on-mismatch":         {func(s *situation) { s.onMismatch = ChoiceRerun }},
	"--final":               {func(s *situation) { s.final = "3" }, func(s *situation) { s.final = "0-2,4-255" }},
	"--max-attempts":        {func(s *situation) { s.limit = 2 }, func(s *situation) { s.limit = 3 }},
	"--force":               {func(s *situation) { s.force = true }},
	"--probe":               {func(s *situation) { s.probe.given = true }},
	"--probe --probe-first": {func(s *situation) { s.probe.given, s.probe.first = true, true }},
}

// grounds are the situations of calls without a policy: every record, and all
// that a probe may have said.
func grounds() []situation {
	var all []situation
	for _, state := range states {
		for _, same := range bools {
			for _, answer := range []Answer{AnswerNone, AnswerDone, AnswerNotDone, AnswerUnknown} {
				all = append(all, situation{state: state, same: same, probe: probing{answer: answer}})
			}
		}
	}
	return all
}

// effect reports whether a flag changes what any call does that has another one.
func effect(flag, beside []func(*situation)) bool {
	for _, s := range grounds() {
		for _, b := range beside {
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

// What has no effect on a decision beside another policy is refused by cmd.
func TestPoliciesThatDoNotGoTogether(t *testing.T) {
	without := map[string][]string{ // the flag, and beside what it has no effect
		"--on-failure replay": {"--force"},
		"--on-failure refuse": {"--force"},
		"--final":             {"--force", "--on-failure replay"}, // but for retries
		"--max-attempts":      {"--force"},
		"--probe":             {"--probe --probe-first"}, // it is there
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		for _, other := range slices.Sorted(maps.Keys(given)) {
			if name == other || strings.HasPrefix(name, "--on-failure") && strings.HasPrefix(other, "--on-failure") {
				continue
			}
			if got, want := effect(given[name], given[other]), !slices.Contains(without[name], other); got != want {
				t.Errorf("%s beside %s: got an effect %t, want %t", name, other, got, want)
			}
		}
	}
}
