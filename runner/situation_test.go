package runner

import (
	"iter"
	"time"

	"idem/ledger"
)

// states are the names of the states of a record. A forgotten key differs from one
// that never ran only in its generation.
var states = []string{"none", "forgotten", "retry", "running", "interrupted", "succeeded", "failed"}

const sameInputs, otherInputs = "h1:ours", "h1:theirs"

// recordIn returns a record in a state. same says whether it has the fingerprint of
// the call.
func recordIn(state string, same bool) ledger.Record {
	r := ledger.Record{ID: ledger.ID{Key: "k"}, Generation: 1, Fence: 2, Attempts: 2}
	r.Current = ledger.Attempt{Number: 2, RunID: "r", Fingerprint: otherInputs, Started: began}
	if same {
		r.Current.Fingerprint = sameInputs
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
	case "failed":
		r.Current.State, r.Current.Reason, r.Current.ExitCode = ledger.Failed, ledger.ReasonExit, exit3
	default: // succeeded with a status of --ok, which --final must ignore
		r.Current.State, r.Current.Reason, r.Current.ExitCode = ledger.Succeeded, ledger.ReasonExit, exit3
	}
	return r
}

// began is the start of the current attempt of every record.
var began = time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)

// exit3 is the exit status of the current attempt, if it has ended.
const exit3 = 3

// tried2 is the number of attempts of every record since its last success.
const tried2 = 2

// An age is a TTL and the time since the attempt began.
type age struct {
	ttl, age time.Duration
	expired  bool
}

var ages = []age{
	{0, 0, false},
	{0, 1000 * time.Hour, false},
	{time.Hour, 0, false},
	{time.Hour, time.Hour - 1, false},
	{time.Hour, time.Hour, true},
	{time.Hour, 1000 * time.Hour, true},
	{time.Hour, -1, false}, // the clock was set back
	{time.Hour, -1000 * time.Hour, false},
}

// agesOf returns the ages to try in a state. Only a success expires.
func agesOf(state string) []age {
	if state == "succeeded" {
		return ages
	}
	return []age{ages[0], ages[5]}
}

// finals maps sets of statuses to whether they contain exit3.
var finals = map[string]bool{"": false, "3": true, "0-2,4-255": false, "1,2-4": true}

// limits maps values of MaxAttempts to whether tried2 attempts reach them.
var limits = map[int]bool{0: false, 1: true, 2: true, 3: false}

// A situation is the input of Decide without the claim.
type situation struct {
	state                                string
	same                                 bool
	age                                  age
	onFailure, onInterrupted, onMismatch Choice
	force, nested                        bool
	freshness                            freshness
	final                                string
	limit                                int
	probe                                probing
}

// A freshness says whether the call has Policy.Fresh, and whether the current attempt
// began after the call.
type freshness struct{ asked, later bool }

// freshnessesOf returns the freshnesses to try in a state. Only a result can be
// fresh.
func freshnessesOf(state string) []freshness {
	if state == "succeeded" || state == "failed" {
		return []freshness{{}, {later: true}, {asked: true}, {true, true}}
	}
	return []freshness{{}, {asked: true}}
}

// stale reports whether the call does not replay the current attempt.
func (f freshness) stale() bool { return f.asked && !f.later }

// A probing is the probe policy and the answer of the probe.
type probing struct {
	given, first bool
	answer       Answer
}

// probings are all possible probings. An answer exists only with the claim.
var probings = []probing{
	{},
	{first: true},
	{given: true},
	{given: true, answer: AnswerDone},
	{given: true, answer: AnswerNotDone},
	{given: true, answer: AnswerUnknown},
	{given: true, first: true},
	{given: true, first: true, answer: AnswerDone},
	{given: true, first: true, answer: AnswerNotDone},
	{given: true, first: true, answer: AnswerUnknown},
}

// probingsOf returns the probings to try in a state: all of them if a probe may be
// asked, or may have reported the success.
func probingsOf(state string) []probing {
	if state == "failed" || state == "retry" {
		return []probing{probings[0], probings[6], probings[7]}
	}
	return probings
}

// asks reports whether there is a probe and it may be asked about the key.
func (s situation) asks() bool {
	unknown := s.state == "running" || s.state == "interrupted" || s.probe.first && (s.state == "none" || s.state == "forgotten")
	return s.probe.given && unknown
}

func (s situation) policy() Policy {
	p := Policy{
		OnFailure: s.onFailure, OnInterrupted: s.onInterrupted, OnMismatch: s.onMismatch,
		Force: s.force, Fresh: s.freshness.asked, TTL: s.age.ttl, MaxAttempts: s.limit,
		Probe: s.probe.given, ProbeFirst: s.probe.first,
	}
	if s.final != "" {
		p.Final, _ = ParseCodes(s.final)
	}
	return p
}

func (s situation) moment(holding bool) Moment {
	m := Moment{Now: began.Add(s.age.age), Holding: holding, Tried: tried2, Answer: s.probe.answer}
	m.Asked = askedOn(recordIn(s.state, s.same))
	if s.freshness.later {
		m.Asked = Asked{1, 1, "earlier"}
	}
	if s.nested {
		m.Around = []string{"another", recordIn("running", true).Current.RunID}
	}
	return m
}

func (s situation) decide(holding bool) Decision {
	return Decide(recordIn(s.state, s.same), sameInputs, s.policy(), s.moment(holding))
}

var bools = []bool{false, true}

// situations returns every combination. A default choice occurs both as its zero
// value and by name.
func situations() iter.Seq[situation] {
	return func(yield func(situation) bool) {
		for _, state := range states {
			for _, same := range bools {
				for _, age := range agesOf(state) {
					for s := range choices(situation{state: state, same: same, age: age}) {
						if !yield(s) {
							return
						}
					}
				}
			}
		}
	}
}

func choices(s situation) iter.Seq[situation] {
	return func(yield func(situation) bool) {
		for _, s.onFailure = range []Choice{"", ChoiceRerun, ChoiceReplay, ChoiceRefuse} {
			for _, s.onInterrupted = range []Choice{"", ChoiceRefuse, ChoiceRerun} {
				for _, s.onMismatch = range []Choice{"", ChoiceRefuse, ChoiceRerun} {
					for _, s.force = range bools {
						for _, s.nested = range bools {
							for s.final = range finals {
								for s.limit = range limits {
									for _, s.freshness = range freshnessesOf(s.state) {
										for _, s.probe = range probingsOf(s.state) {
											if !yield(s) {
												return
											}
										}
									}
								}
							}
						}
					}
				}
			}
		}
	}
}
