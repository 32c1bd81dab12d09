package runner

import (
	"iter"
	"time"

	"idem/ledger"
)

// states are the records that Decide tells apart, by name. A forgotten key is
// one that was never run, but for its generation.
var states = []string{"none", "forgotten", "retry", "running", "interrupted", "succeeded", "failed"}

const ours, theirs = "h1:ours", "h1:theirs"

// recordIn returns a record in a state, recorded with our fingerprint or not.
func recordIn(state string, same bool) ledger.Record {
	r := ledger.Record{ID: ledger.ID{Key: "k"}, Generation: 1, Fence: 2, Attempts: 2}
	r.Current = ledger.Attempt{Number: 2, RunID: "r", Fingerprint: theirs, Started: began}
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
	case "failed":
		r.Current.State, r.Current.Reason, r.Current.ExitCode = ledger.Failed, ledger.ReasonExit, exit3
	default: // a status that --ok has made a success, so that --final must not look at it
		r.Current.State, r.Current.Reason, r.Current.ExitCode = ledger.Succeeded, ledger.ReasonExit, exit3
	}
	return r
}

// began is when the current attempt of every record began, exit3 how it ended if
// it failed.
var began = time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)

const exit3 = 3

// tried2 is how many attempts every record has had since its last success.
const tried2 = 2

// An age is a TTL and how long ago the attempt began.
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

// agesOf are those that are worth trying: only a success expires.
func agesOf(state string) []age {
	if state == "succeeded" {
		return ages
	}
	return []age{ages[0], ages[5]}
}

// finals are sets of statuses, with whether exit3 is in them.
var finals = map[string]bool{"": false, "3": true, "0-2,4-255": false, "1,2-4": true}

// limits are values of MaxAttempts, with whether two attempts are too many.
var limits = map[int]bool{0: false, 1: true, 2: true, 3: false}

// A situation is everything that Decide may look at, but for the claim.
type situation struct {
	state                                string
	same                                 bool
	age                                  age
	onFailure, onInterrupted, onMismatch Choice
	force, nested                        bool
	final                                string
	limit                                int
	probe                                probing
}

// A probing is what a policy says of a probe, and what the probe has said.
type probing struct {
	given, first bool
	answer       Answer
}

// probings are all there can be. An answer comes only with the claim.
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

// probingsOf are those that are worth trying: all where a probe may be asked, and
// of a success, which it may have told of.
func probingsOf(state string) []probing {
	if state == "failed" || state == "retry" {
		return []probing{probings[0], probings[6], probings[7]}
	}
	return probings
}

// asks tells whether the probe is given and may be asked about the key.
func (s situation) asks() bool {
	unknown := s.state == "running" || s.state == "interrupted" || s.probe.first && (s.state == "none" || s.state == "forgotten")
	return s.probe.given && unknown
}

func (s situation) policy() Policy {
	p := Policy{
		OnFailure: s.onFailure, OnInterrupted: s.onInterrupted, OnMismatch: s.onMismatch,
		Force: s.force, TTL: s.age.ttl, MaxAttempts: s.limit,
		Probe: s.probe.given, ProbeFirst: s.probe.first,
	}
	if s.final != "" {
		p.Final, _ = ParseCodes(s.final)
	}
	return p
}

func (s situation) moment(holding bool) Moment {
	m := Moment{Now: began.Add(s.age.age), Holding: holding, Tried: tried2, Answer: s.probe.answer}
	if s.nested {
		m.Around = []string{"another", recordIn("running", true).Current.RunID}
	}
	return m
}

func (s situation) decide(holding bool) Decision {
	return Decide(recordIn(s.state, s.same), ours, s.policy(), s.moment(holding))
}

var bools = []bool{false, true}

// situations walks every combination, with the choices spelled out and, as
// their zero value, not.
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
