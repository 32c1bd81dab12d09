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
	ending                               ending
	verify                               verifying
	// late reports whether the first attempt is too old. If not, there is no limit.
	late bool
}

// An ending is the end of the current attempt and the value of --probe-on. asked reports
// whether --probe-on has the end.
type ending struct {
	reason ledger.Reason // of a failure; "": ReasonExit
	on     Ends
	asked  bool
}

const allEnds = EndInterrupted | EndTimeout | EndSignal

// timedOut is the ending of the document for the failures that the probe is asked about.
var timedOut = ending{ledger.ReasonTimeout, allEnds, true}

// repeated returns how many values of the situation have the meaning of another value.
func (s situation) repeated() int {
	n := 0
	for _, repeats := range []bool{
		s.onInterrupted == ChoiceRefuse, s.onMismatch == ChoiceRefuse, s.onFailure == ChoiceRerun,
		s.final != "" && s.final != "3", s.limit != 0 && s.limit != 2, s.age != ages[0] && s.age != ages[5],
	} {
		if repeats {
			n++
		}
	}
	return n
}

// repeats reports whether a value has the meaning of another value, so the dimensions
// after it add nothing.
func (s situation) repeats() bool { return s.repeated() > 0 }

// endingsOf returns the endings to try in a situation.
func endingsOf(s situation) []ending {
	if s.repeats() {
		return []ending{{asked: s.state == "running" || s.state == "interrupted"}}
	}
	switch s.state {
	case "failed":
		return []ending{
			{},
			{ledger.ReasonExit, allEnds, false},
			{ledger.ReasonMarked, allEnds, false},
			timedOut,
			{ledger.ReasonTimeout, EndTimeout, true},
			{ledger.ReasonTimeout, EndSignal, false},
			{ledger.ReasonTimeout, 0, false},
			{ledger.ReasonSignal, EndSignal, true},
			{ledger.ReasonSignal, EndTimeout, false},
		}
	case "running", "interrupted":
		return []ending{{asked: true}, {on: EndInterrupted, asked: true}, {on: EndTimeout}}
	default:
		return []ending{{}}
	}
}

// A verifying is the verification and its answer. other reports whether the answer is
// about another attempt.
type verifying struct {
	given  bool
	choice Choice // --on-unverified
	answer Answer
	other  bool
}

// verifyingsOf returns the verifyings to try in a situation.
func verifyingsOf(s situation) []verifying {
	all := []verifying{{}}
	if s.state != "succeeded" && s.state != "retry" || s.final != "" || s.repeats() {
		return all
	}
	for _, choice := range []Choice{"", ChoiceRefuse, ChoiceReplay, ChoiceRerun} {
		all = append(all, verifying{given: true, choice: choice})
		for _, answer := range []Answer{AnswerDone, AnswerNotDone, AnswerUnknown} {
			all = append(all, verifying{true, choice, answer, false})
		}
	}
	return append(all, verifying{given: true, answer: AnswerDone, other: true}, verifying{given: true, answer: AnswerNotDone, other: true})
}

// answered returns the answer that counts.
func (v verifying) answered() Answer {
	if v.other {
		return AnswerNone
	}
	return v.answer
}

// tooLate reports whether no further attempt may follow. An attempt before a success does
// not count.
func (s situation) tooLate() bool {
	return s.late && !s.force && s.state != "none" && s.state != "forgotten" && s.state != "succeeded"
}

// isFinal reports whether --final has the status of a failure.
func (s situation) isFinal() bool {
	return finals[s.final] && s.ending.reason != ledger.ReasonSignal && s.ending.reason != ledger.ReasonMarked
}

// A freshness says whether the call has Policy.Fresh, and whether the current attempt
// began after the call.
type freshness struct{ asked, later bool }

// freshnessesOf returns the freshnesses to try in a situation. Only a result can be
// fresh.
func freshnessesOf(s situation) []freshness {
	if s.repeats() {
		return []freshness{{}}
	}
	if s.state == "succeeded" || s.state == "failed" {
		return []freshness{{}, {asked: true}, {true, true}}
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
	if state == "retry" {
		return []probing{probings[0], probings[6], probings[7]}
	}
	return probings
}

// asks reports whether there is a probe and it may be asked about the key.
func (s situation) asks() bool {
	switch s.state {
	case "running", "interrupted":
		return s.probe.given && s.ending.asked
	case "failed":
		return s.probe.given && s.ending.asked && !s.force
	case "none", "forgotten":
		return s.probe.given && s.probe.first
	default:
		return false
	}
}

func (s situation) policy() Policy {
	p := Policy{
		OnFailure: s.onFailure, OnInterrupted: s.onInterrupted, OnMismatch: s.onMismatch,
		Force: s.force, Fresh: s.freshness.asked, TTL: s.age.ttl, MaxAttempts: s.limit,
		Probe: s.probe.given, ProbeFirst: s.probe.first, ProbeOn: s.ending.on,
		Verify: s.verify.given, OnUnverified: s.verify.choice,
	}
	if s.late {
		p.RerunWithin = time.Hour
	}
	if s.final != "" {
		p.Final, _ = ParseCodes(s.final)
	}
	return p
}

func (s situation) moment(holding bool) Moment {
	m := Moment{Now: began.Add(s.age.age), Holding: holding, Tried: tried2, Answer: s.probe.answer, Verified: s.verify.answer, VerifiedRun: "r"}
	m.Baseline = baselineOf(recordIn(s.state, s.same))
	if s.freshness.later {
		m.Baseline = Baseline{1, 1, "earlier"}
	}
	if s.verify.other {
		m.VerifiedRun = "another"
	}
	if s.tooLate() || s.force {
		m.Age = time.Hour
	}
	if s.nested {
		m.Around = []string{"another", recordIn("running", true).Current.RunID}
	}
	return m
}

func (s situation) record() ledger.Record {
	r := recordIn(s.state, s.same)
	if s.state == "failed" && s.ending.reason != "" {
		r.Current.Reason = s.ending.reason
	}
	return r
}

func (s situation) decide(holding bool) Decision {
	return Decide(s.record(), sameInputs, s.policy(), s.moment(holding))
}

var bools = []bool{false, true}

// situations returns every combination of values with different meanings. A value that
// has the meaning of another one, such as the name of a default choice, occurs with each
// of them, but not with a second such value.
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
									if s.repeated() > 1 {
										continue
									}
									for _, s.freshness = range freshnessesOf(s) {
										for _, s.probe = range probingsOf(s.state) {
											for _, s.ending = range endingsOf(s) {
												for _, s.verify = range verifyingsOf(s) {
													for _, s.late = range bools[:map[bool]int{true: 1, false: 2}[s.repeats()]] {
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
		}
	}
}
