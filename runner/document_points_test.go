package runner

import (
	"slices"
)

// A choicePoint is one condition of a decision, with its values in the order of the
// rows: special values first, the default last.
type choicePoint struct {
	column int // of the table: 1 fingerprint, 2 policy
	values []value
	states []string // in which it may matter; nil: in all
}

type value struct {
	text string // empty: not mentioned in the table
	set  func(*situation)
}

var choicePoints = slices.Concat([]choicePoint{nestedPoint(open, "a call inside the key's own command")}, callPoints, questionPoints, outcomePoints)

// nestedPoint is the choice point of a call that is made inside of what it would wait for.
func nestedPoint(states []string, text string) choicePoint {
	return choicePoint{2, []value{
		{text, func(s *situation) { s.nested = true }},
		{"", func(s *situation) { s.nested = false }},
	}, states}
}

func forcePoint(states ...string) choicePoint {
	return choicePoint{2, []value{
		{"`--force`", func(s *situation) { s.force = true }},
		{"", func(s *situation) { s.force = false }},
	}, states}
}

var callPoints = []choicePoint{
	{2, []value{
		{"older than `--ttl`", func(s *situation) { s.age = older }},
		{"", func(s *situation) { s.age = age{} }},
	}, nil},
	{1, []value{
		{"differs", func(s *situation) { s.same = false }},
		{"same", func(s *situation) { s.same = true }},
	}, nil},
	{2, []value{
		{"`--on-mismatch rerun`", func(s *situation) { s.onMismatch = ChoiceRerun }},
		{"`--on-mismatch refuse` (default)", func(s *situation) { s.onMismatch = ChoiceRefuse }},
	}, nil},
	forcePoint("succeeded", "failed", "retry"),
}

// questionPoints are the choice points of the probe and the verification.
var questionPoints = []choicePoint{
	{2, []value{
		{"`--probe`", func(s *situation) { s.probe.given = true }},
		{"", func(s *situation) { s.probe.given = false }},
	}, slices.Concat(fresh, open)},
	{2, []value{
		{"`--probe-first`", func(s *situation) { s.probe.first = true }},
		{"", func(s *situation) { s.probe.first = false }},
	}, nil},
	{2, []value{
		{"`--probe`, `--probe-on` with its end", func(s *situation) { s.probe.given, s.ending = true, timedOut }},
		{"", func(s *situation) { s.probe.given, s.ending = false, ending{} }},
	}, []string{"failed"}},
	{2, []value{
		{"`--wait=fresh`, began before the call", func(s *situation) { s.freshness = freshness{asked: true} }},
		{"", func(s *situation) { s.freshness = freshness{} }},
	}, []string{"succeeded", "failed"}},
	{2, []value{
		{"`--verify`", func(s *situation) { s.verify.given = true }},
		{"", func(s *situation) { s.verify.given = false }},
	}, []string{"succeeded"}},
	nestedPoint([]string{"succeeded", "failed"}, "a call inside its own question"),
}

// outcomePoints are the choice points that also count after a probe.
var outcomePoints = []choicePoint{
	{2, []value{
		{"`--on-interrupted rerun`", func(s *situation) { s.onInterrupted = ChoiceRerun }},
		{"`--on-interrupted refuse` (default)", func(s *situation) { s.onInterrupted = ChoiceRefuse }},
	}, nil},
	forcePoint(open...),
	{2, []value{
		{"a status of `--final`", func(s *situation) { s.final = "3" }},
		{"", func(s *situation) { s.final = "" }},
	}, nil},
	{2, []value{
		{"`--on-failure replay`", func(s *situation) { s.onFailure = ChoiceReplay }},
		{"`--on-failure refuse`", func(s *situation) { s.onFailure = ChoiceRefuse }},
		{"`--on-failure rerun` (default)", func(s *situation) { s.onFailure = ChoiceRerun }},
	}, nil},
	{2, []value{
		{"`--max-attempts` reached", func(s *situation) { s.limit = 2 }},
		{"", func(s *situation) { s.limit = 0 }},
	}, nil},
	{2, []value{
		{"older than `--rerun-within`", func(s *situation) { s.late = true }},
		{"", func(s *situation) { s.late = false }},
	}, nil},
}

// answerPoint is the choice point of a probe that has been asked.
var answerPoint = choicePoint{1, []value{
	{"0: it is done", func(s *situation) { s.probe.answer = AnswerDone }},
	{"1: it is not", func(s *situation) { s.probe.answer = AnswerNotDone }},
	{"anything else: it cannot tell", func(s *situation) { s.probe.answer = AnswerUnknown }},
}, nil}

// verifiedPoints are the choice points of a verification that has been asked.
var verifiedPoints = []choicePoint{
	{1, []value{
		{"0: it is there", func(s *situation) { s.verify.answer = AnswerDone }},
		{"1: it is gone", func(s *situation) { s.verify.answer = AnswerNotDone }},
		{"anything else: it cannot tell", func(s *situation) { s.verify.answer = AnswerUnknown }},
	}, nil},
	{2, []value{
		{"`--on-unverified rerun`", func(s *situation) { s.verify.choice = ChoiceRerun }},
		{"`--on-unverified replay`", func(s *situation) { s.verify.choice = ChoiceReplay }},
		{"`--on-unverified refuse` (default)", func(s *situation) { s.verify.choice = ChoiceRefuse }},
	}, nil},
}

// acceptedPoint is the choice point of an attempt with other inputs or with those of
// the call. For other inputs, a probe is asked only with --on-mismatch rerun.
var acceptedPoint = choicePoint{2, []value{
	{"other inputs, `--on-mismatch rerun`", func(s *situation) { s.same, s.onMismatch = false, ChoiceRerun }},
	{"", func(s *situation) { s.same = true }},
}, nil}
