package runner

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"idem/ledger"
	"idem/ledger/ledgertest"
)

// reach returns a ledger and a key in a state, reached by real calls of the ledger.
func reach(t *testing.T, state string) (ledger.Ledger, ledger.ID) {
	mem, id := ledgertest.NewMem(), ledger.ID{Namespace: "default", Key: "k"}
	l := mem.Open()
	ctx := t.Context()
	if state == "none" {
		return l, id
	}
	claim, err := l.Claim(ctx, id)
	must(t, err)
	e, err := claim.Begin(ctx, ledger.Start{RunID: "r", Fingerprint: sameInputs})
	must(t, err)
	switch state {
	case "running":
		return mem.Open(), id
	case "interrupted":
		mem.Crash(l)
		return l, id
	case "failed":
		_, err = e.Finish(ctx, ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: 1})
	default:
		_, err = e.Finish(ctx, ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit})
	}
	must(t, err)
	must(t, claim.Release())
	switch state {
	case "retry":
		must(t, mark(ctx, l, id, ledger.None))
	case "forgotten":
		must(t, l.Forget(ctx, id))
	}
	return l, id
}

func mark(ctx context.Context, l ledger.Ledger, id ledger.ID, state ledger.State) error {
	_, err := Mark(ctx, l, id, Settlement{State: state, RunID: "m", Force: true})
	return err
}

// nameOf returns the name in states of a record's state.
func nameOf(rec ledger.Record) string {
	if rec.Phase() == ledger.PhaseNone && rec.Generation > 1 {
		return "forgotten"
	}
	return string(rec.Phase())
}

// labels are the labels of the edges to running, by the reason of the execution and in
// the order of the text.
var labels = []struct {
	reason Reason
	text   string
}{
	{ReasonNeverRun, "run"},
	{ReasonRetry, "run"},
	{ReasonFailed, "run"},
	{ReasonMismatch, "run --on-mismatch rerun"},
	{ReasonInterrupted, "run --on-interrupted rerun / run --probe, which says 1"},
	{ReasonForced, "run --force"},
	{ReasonExpired, "run, --ttl over"},
	{ReasonStale, "run --wait=fresh"},
}

var markNames = []struct {
	name  string
	state ledger.State
}{{"done", ledger.Succeeded}, {"failed", ledger.Failed}, {"retry", ledger.None}}

// diagram draws the transitions between states. It finds them by trying them.
func diagram(t *testing.T) string {
	ctx := t.Context()
	edges := map[string]map[string][]string{} // from, to, labels
	edge := func(from, to, label string) {
		if from != to {
			if edges[from] == nil {
				edges[from] = map[string][]string{}
			}
			edges[from][to] = append(edges[from][to], label)
		}
	}
	now := func(l ledger.Ledger, id ledger.ID) string {
		rec, err := l.Get(ctx, id)
		must(t, err)
		return nameOf(rec)
	}
	for _, from := range states {
		l, id := reach(t, from)
		if got := now(l, id); got != from {
			t.Fatalf("got a record in state %s, want %s", got, from)
		}
		if claim, err := l.Claim(ctx, id); err == nil { // otherwise no call can run it
			must(t, claim.Release())
			for _, label := range labels {
				if executes(from, label.reason) {
					edge(from, "running", label.text)
				}
			}
			if to, label := settles(from); label != "" {
				edge(from, to, label)
			}
		}
		for _, m := range markNames {
			for _, force := range bools {
				l, id := reach(t, from)
				if _, err := Mark(ctx, l, id, Settlement{State: m.state, RunID: "m", Force: force}); err != nil {
					continue
				}
				edge(from, now(l, id), "mark "+m.name+map[bool]string{true: " --force"}[force])
				break
			}
		}
		if l, id := reach(t, from); l.Forget(ctx, id) == nil {
			edge(from, now(l, id), "forget")
		}
	}
	// The ends of a running attempt, which reach has tried.
	edge("running", "succeeded", "exit 0")
	edge("running", "failed", "another exit, or a signal")
	edge("running", "interrupted", "idem and the command are killed")

	var b strings.Builder
	b.WriteString("```mermaid\nstateDiagram-v2\n")
	for _, from := range states {
		for _, to := range slices.Sorted(maps.Keys(edges[from])) {
			fmt.Fprintf(&b, "    %s --> %s: %s\n", strings.Replace(from, "none", "[*]", 1), to, strings.Join(edges[from][to], " / "))
		}
	}
	b.WriteString("```\n\nThe diagram omits calls that change nothing: a replay, a refusal, a command that cannot be started.\n")
	return b.String()
}

// executes reports whether any policy executes a key in a state for a reason.
func executes(state string, why Reason) bool {
	for s := range situations() {
		if s.state == state && s.decide(true) == (Decision{ActionExecute, why}) {
			return true
		}
	}
	return false
}

// settles returns the state to which the answer of a probe or a verification takes a key
// in a state, and the label of the call, or "".
func settles(state string) (to, label string) {
	done := probing{given: true, answer: AnswerDone}
	for _, p := range []struct {
		situation
		to, text string
	}{
		{situation{probe: done}, "succeeded", "run --probe, which says 0"},
		{situation{probe: probing{given: true, first: true, answer: AnswerDone}}, "succeeded", "run --probe-first, which says 0"},
		{situation{probe: done, ending: timedOut}, "succeeded", "run --probe-on, which says 0"},
		{situation{verify: verifying{given: true, answer: AnswerNotDone}}, "retry", "run --verify, which says 1"},
	} {
		p.state, p.same = state, true
		if p.decide(true).Action == ActionSettle {
			return p.to, p.text
		}
	}
	return "", ""
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
