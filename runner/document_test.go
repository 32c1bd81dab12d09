package runner

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"idem/internal/testkit"
)

const documentHead = `# The state machine

Generated from ` + "`runner.Decide`" + ` and the ledger by ` + "`go test ./runner -update`" + `; do not edit.

A key is one record in the ledger. The ledger stores the state of its current attempt: running, succeeded or failed.
Three more states follow from the record and the locks:

- *interrupted*: recorded as running, but no process holds the key. The outcome is unknown.
- *retry*: marked to run again.
- *forgotten*: as if the key had never run, but with another ` + "`IDEM_TOKEN`" + `.

`

const documentTable = `
## The decision

Every call asks one pure function for a decision. The first time it asks without the claim, so a replay or a refusal takes
no lock and writes nothing. If the answer is *claim*, it takes the claim and asks again.

- The first three cells of a row are its conditions; ` + "`-`" + ` fits everything. The first row that fits decides.
- The word after a decision is its reason. The number is the exit status.
- When another call holds the claim, the call is refused with 75. With ` + "`--wait`" + ` it waits and asks again.
- While a call that holds the claim waits to retry, its failure answers no other call with the same inputs. Another call
  is refused with 75, or waits.
- The probe before a key's first attempt may itself make a call for that key. Such a call is refused with 64.
- A key that was settled by hand for any inputs has the same fingerprint as every call.
- ` + "`--max-attempts`" + ` counts the attempts since the last success or mark of success. ` + "`--rerun-within`" + ` is about the
  age of the first of them.
- ` + "`--probe-on`" + ` names the ends after which the probe is asked: *interrupted* if it is not given.
- A call inside its own question is made by a probe or a verification of the same attempt.

`

const documentAnswers = `
After *probe*, idem runs the probe while it holds the claim. The probe's exit status decides. *settle* records a success
whose output is the output of the probe. After that, the record decides again.

`

const documentVerified = `
After *verify*, idem runs the verification without the claim, and asks again with its answer about that attempt. A call
that has the claim releases it first. *settle* records a mark that lets the key run again, so a later call does not
depend on the answer. After that, the record decides again: *execute* (unverified).

`

// TestDocumentIsGenerated checks that docs/state-machine.md describes the code.
// `go test ./runner -run DocumentIsGenerated -update` writes the page.
func TestDocumentIsGenerated(t *testing.T) {
	want := documentHead + diagram(t) + documentTable + table(allRows()) + documentAnswers + answersTable() + documentVerified + verifiedTable() + documentMutexes + mutexesTable() + documentSteps + stepsTable() + documentStepsEnd
	testkit.Golden(t, "../docs/state-machine.md", []byte(want))
}

var older = age{time.Hour, time.Hour, true}

// A row is a set of situations that lead to the same pair of decisions.
type row struct {
	states           []string
	cells            [3][]string // by column; text fills the first from states
	without, holding Decision
	shown            []func(*situation) // the values that the cells mention
}

// pairs are the decisions without and with the claim for all combinations of values of
// some points. Those with the first value of the first point come first.
func pairs(s situation, points []choicePoint) [][2]Decision {
	if len(points) == 0 {
		return [][2]Decision{{s.decide(false), s.decide(true)}}
	}
	var all [][2]Decision
	for _, v := range points[0].values {
		chosen := s
		v.set(&chosen)
		all = append(all, pairs(chosen, points[1:])...)
	}
	return all
}

// rows splits a row at the points that change its decisions, which all gives.
func rows(base row, points []choicePoint, all [][2]Decision) []row {
	if len(points) == 0 {
		base.without, base.holding = all[0][0], all[0][1]
		return []row{base}
	}
	parts := slices.Collect(slices.Chunk(all, len(all)/len(points[0].values)))
	if !slices.ContainsFunc(parts, func(part [][2]Decision) bool { return !slices.Equal(part, parts[0]) }) {
		return rows(base, points[1:], parts[0])
	}
	var out []row
	for i, v := range points[0].values {
		r := base
		if v.text != "" {
			c := points[0].column
			r.cells[c] = append(slices.Clone(r.cells[c]), v.text)
			r.shown = append(slices.Clone(base.shown), v.set)
		}
		out = append(out, rows(r, points[1:], parts[i])...)
	}
	return out
}

// allRows returns the rows of all states. It merges equal rows if the rows of each
// state keep their order.
func allRows() []row {
	return rowsOf([]string{"none", "forgotten", "succeeded", "failed", "retry", "running", "interrupted"}, situation{}, choicePoints)
}

// rowsOf returns the rows of states for situations that differ from s in the points.
func rowsOf(states []string, s situation, points []choicePoint) []row {
	var out []row
	for _, state := range states {
		next := 0
		s.state = state
		mine := slices.DeleteFunc(slices.Clone(points), func(p choicePoint) bool { return p.states != nil && !slices.Contains(p.states, state) })
		for _, r := range withoutRedundant(rows(row{states: []string{state}}, mine, pairs(s, mine))) {
			i := slices.IndexFunc(out[next:], func(o row) bool {
				return r.without == o.without && r.holding == o.holding && slices.EqualFunc(r.cells[:], o.cells[:], slices.Equal)
			})
			if i < 0 {
				out = append(out, r)
				next = len(out)
			} else {
				next += i + 1
				out[next-1].states = append(out[next-1].states, state)
			}
		}
	}
	return out
}

// withoutRedundant leaves out a row if the next one is more general and has the same
// decisions.
func withoutRedundant(all []row) []row {
	var out []row
	for i, r := range all {
		more := i+1 < len(all) && r.without == all[i+1].without && r.holding == all[i+1].holding
		for c := range r.cells {
			for _, shown := range all[min(i+1, len(all)-1)].cells[c] {
				more = more && slices.Contains(r.cells[c], shown)
			}
		}
		if !more {
			out = append(out, r)
		}
	}
	return out
}

// answerRows returns the rows of the keys about which a probe is asked.
func answerRows() []row {
	asked := situation{probe: probing{given: true, first: true}, ending: timedOut}
	return rowsOf([]string{"none", "forgotten", "interrupted", "failed"}, asked, append([]choicePoint{answerPoint, acceptedPoint}, outcomePoints...))
}

// statuses are the exit statuses of refusals, as in cmd/report_exit.go.
var statuses = map[Reason]int{ReasonRecursive: 64, ReasonMismatch: 65, ReasonBusy: 75, ReasonMutex: 75, ReasonInterrupted: 79, ReasonUndecided: 79, ReasonUnverified: 79, ReasonFailed: 80, ReasonExhausted: 80, ReasonTooLate: 80}

func (r row) cell(d Decision) string {
	action := string(d.Action)
	if d.Action == ActionRefuse {
		status := statuses[d.Reason]
		if d.Reason == ReasonTooLate && slices.Contains(r.states, "interrupted") {
			status = statuses[ReasonInterrupted]
		}
		action = fmt.Sprintf("refuse %d", status)
	}
	if d.Action != ActionClaim {
		action = "**" + action + "**"
	}
	return fmt.Sprintf("%s (%s)", action, d.Reason)
}

func table(all []row) string {
	var b strings.Builder
	b.WriteString("| record | fingerprint | policy | without the claim | with the claim |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range all {
		fmt.Fprintf(&b, "%s| %s | %s |\n", r.text(), r.cell(r.without), r.cell(r.holding))
	}
	return b.String()
}

func answersTable() string {
	var b strings.Builder
	b.WriteString("| record | the probe's exit status | policy | then |\n| --- | --- | --- | --- |\n")
	for _, r := range answerRows() {
		fmt.Fprintf(&b, "%s| %s |\n", r.text(), r.cell(r.holding))
	}
	return b.String()
}

func verifiedTable() string {
	asked := situation{same: true, verify: verifying{given: true}}
	var b strings.Builder
	b.WriteString("| record | the verification's exit status | policy | without the claim | with the claim |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range rowsOf([]string{"succeeded"}, asked, verifiedPoints) {
		fmt.Fprintf(&b, "%s| %s | %s |\n", r.text(), r.cell(r.without), r.cell(r.holding))
	}
	return b.String()
}

func (r row) text() string {
	var b strings.Builder
	r.cells[0] = r.states
	for _, c := range r.cells {
		if len(c) == 0 {
			c = []string{"-"}
		}
		fmt.Fprintf(&b, "| %s ", strings.Join(c, ", "))
	}
	return b.String()
}

// TestDocumentedRowsAreTheFunction checks for every situation that the first fitting
// row of the table has the decisions of Decide.
func TestDocumentedRowsAreTheFunction(t *testing.T) {
	all := allRows()
	for s := range situations() {
		if s.probe.answer != AnswerNone || s.verify.answer != AnswerNone {
			continue // in the tables of answers
		}
		n := normalized(s)
		i := slices.IndexFunc(all, func(r row) bool {
			if !slices.Contains(r.states, s.state) {
				return false
			}
			changed := n // a row fits if its values do not change n
			for _, set := range r.shown {
				set(&changed)
			}
			return normalized(changed) == n
		})
		if i < 0 {
			t.Fatalf("%+v: no row fits", s)
		}
		if d := [2]Decision{s.decide(false), s.decide(true)}; d != [2]Decision{all[i].without, all[i].holding} {
			t.Fatalf("%+v: got %v, row %d has other decisions", s, d, i)
		}
	}
}

// normalized returns a situation with equal decisions that has only values of the choice
// points.
func normalized(s situation) situation {
	or := func(c *Choice, d Choice) {
		if *c == "" {
			*c = d
		}
	}
	or(&s.onFailure, ChoiceRerun)
	or(&s.onInterrupted, ChoiceRefuse)
	or(&s.onMismatch, ChoiceRefuse)
	s.age = map[bool]age{true: older}[s.age.expired]
	s.limit = map[bool]int{true: 2}[limits[s.limit]]
	s.freshness = freshness{asked: s.freshness.stale()}
	if s.probe.given && !s.asks() && !slices.Contains(fresh, s.state) {
		s.probe.given = false
	}
	s.final = map[bool]string{true: "3"}[s.isFinal()]
	switch {
	case slices.Contains(open, s.state):
		s.ending = ending{asked: true}
	case s.state != "failed" || !s.asks():
		s.ending = ending{}
	default:
		s.ending = timedOut
	}
	or(&s.verify.choice, ChoiceRefuse)
	return s
}
