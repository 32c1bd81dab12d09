package cmd

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"idem/ledger"
)

const (
	// maxSteps is how many steps of each run and step idem show prints without --all.
	maxSteps = 50
	// barWidth is the length of a bar that stands for all of the time of the parent.
	barWidth = 20
)

// stepNode is a step in the tree of idem show.
type stepNode struct {
	rec   ledger.Record
	name  string // below its parent
	first time.Time
	took  time.Duration // by all attempts whose end is known
	// missed is the number of the last attempt of the parent if that attempt has not
	// executed the step, and the step is not done; else 0. A replay leaves no trace.
	missed int
	steps  stepTree
	counts ledger.Tally // of the items of a batch
}

// stepTree are the steps below a record, in the order of their first attempts.
type stepTree struct {
	nodes []stepNode
	left  ledger.Tally // of the steps that are left out
}

// treeOf returns the steps below a record. limit bounds the steps of each level; 0: none.
// If steps are left out, they are those that have succeeded, the last ones first.
func treeOf(ctx context.Context, l ledger.Ledger, parent ledger.Record, limit int) (stepTree, error) {
	t := stepTree{left: ledger.Tally{}}
	for rec, err := range l.List(ctx, ledger.Filter{Namespace: parent.ID.Namespace, Under: parent.ID}) {
		if err != nil {
			return t, err
		}
		n, err := nodeOf(ctx, l, parent, rec)
		if err != nil {
			return t, err
		}
		t.nodes = append(t.nodes, n)
	}
	slices.SortStableFunc(t.nodes, func(a, b stepNode) int { return a.first.Compare(b.first) })
	t.shorten(limit)
	below, err := parentsAmong(ctx, l, t.nodes)
	for i := range t.nodes {
		n := &t.nodes[i]
		counts, has := below[n.rec.ID]
		switch {
		case err != nil:
		case n.rec.Phase() == ledger.PhaseBatch:
			n.counts = counts
		case has:
			n.steps, err = treeOf(ctx, l, n.rec, limit)
		}
	}
	return t, err
}

// nodeOf returns the node of a step without the steps below it.
func nodeOf(ctx context.Context, l ledger.Ledger, parent, rec ledger.Record) (stepNode, error) {
	cur := rec.Current
	n := stepNode{rec: rec, name: strings.TrimPrefix(rec.ID.Key, parent.ID.Key+"/"), first: cur.Started, took: timeOf(cur)}
	if last := parent.Current; last.Number > 0 && cur.ParentRun != last.RunID && rec.Phase() != ledger.PhaseSucceeded && rec.Phase() != ledger.PhaseBatch {
		n.missed = last.Number
	}
	if rec.Attempts <= 1 && cur.Number == rec.Attempts {
		return n, nil
	}
	attempts, err := l.Attempts(ctx, rec.ID)
	if err == nil && len(attempts) > 0 {
		n.first, n.took = attempts[0].Started, timeOf(attempts...)
	}
	return n, err
}

// timeOf returns how long attempts took together, as far as their ends are known.
func timeOf(attempts ...ledger.Attempt) time.Duration {
	var sum time.Duration
	for _, at := range attempts {
		if at.Number > 0 && !at.Ended.IsZero() {
			sum += max(0, at.Ended.Sub(at.Started))
		}
	}
	return sum
}

// shorten leaves out and counts steps, if there are more than limit. The last ones that have
// succeeded go first.
func (t *stepTree) shorten(limit int) {
	over := len(t.nodes) - limit
	if limit == 0 || over <= 0 {
		return
	}
	for _, done := range []bool{true, false} { // a step that is not done is left out last
		for i := len(t.nodes) - 1; i >= 0 && over > 0; i-- {
			if phase := t.nodes[i].rec.Phase(); (phase == ledger.PhaseSucceeded) == done {
				t.left[phase]++
				t.nodes = slices.Delete(t.nodes, i, i+1)
				over--
			}
		}
	}
}

// parentsAmong returns counts of the steps or items below those of nodes that have any.
func parentsAmong(ctx context.Context, l ledger.Ledger, nodes []stepNode) (map[ledger.ID]ledger.Tally, error) {
	if len(nodes) == 0 {
		return nil, nil
	}
	ids := make([]ledger.ID, len(nodes))
	for i, n := range nodes {
		ids[i] = n.rec.ID
	}
	return talliesOf(ctx, l, ids...)
}

// talliesOf is Surveying.Tallies, also for a ledger without it.
func talliesOf(ctx context.Context, l ledger.Ledger, parents ...ledger.ID) (map[ledger.ID]ledger.Tally, error) {
	if s, ok := l.(ledger.Surveying); ok {
		return s.Tallies(ctx, parents...)
	}
	all := map[ledger.ID]ledger.Tally{}
	for _, parent := range parents {
		for rec, err := range l.List(ctx, ledger.Filter{Namespace: parent.Namespace, Under: parent}) {
			if err != nil {
				return nil, err
			}
			if all[parent] == nil {
				all[parent] = ledger.Tally{}
			}
			all[parent][rec.Phase()]++
		}
	}
	return all, nil
}

// write writes the tree as a table, nothing for an empty one. total is the time of the parent.
func (t stepTree) write(to io.Writer, width int, total time.Duration) error {
	if len(t.nodes) == 0 {
		return nil
	}
	if _, err := io.WriteString(to, "\n"); err != nil {
		return err
	}
	table := &screenTable{to: to, width: width, whole: true, columns: []column{
		{"STATE", false, always},
		{"ATTEMPTS", true, always},
		{"TOOK", true, always},
		{"SHARE", false, filled},
		{"STEP", false, always},
	}}
	if err := t.rows(table, "", total); err != nil {
		return err
	}
	return table.flush()
}

func (t stepTree) rows(table *screenTable, indent string, total time.Duration) error {
	for _, n := range t.nodes {
		phase, name := n.rec.Phase(), indent+escape(n.name)
		texts := []string{string(phase), fmt.Sprint(n.rec.Attempts), tookText(n.took), bar(n.took, total), name}
		switch {
		case phase == ledger.PhaseBatch:
			texts[1], texts[2], texts[3], texts[4] = "", "", "", name+"  "+tallyText(n.counts)
		case n.missed > 0:
			texts[3] = fmt.Sprintf("not run in attempt %d", n.missed)
		}
		if err := table.add(screenRow{texts: texts}); err != nil {
			return err
		}
		if err := n.steps.rows(table, indent+"  ", n.took); err != nil {
			return err
		}
	}
	if len(t.left) == 0 {
		return nil
	}
	return table.add(screenRow{texts: []string{"", "", "", "", fmt.Sprintf("%s(and %s, which --all shows)", indent, tallyText(t.left))}})
}

// tookText returns a duration as idem show prints it.
func tookText(d time.Duration) string {
	if d >= 10*time.Second {
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}

// bar returns a bar for the share of a time in a total.
func bar(part, total time.Duration) string {
	if part <= 0 || total <= 0 {
		return ""
	}
	return strings.Repeat("#", max(1, int(min(part, total)*barWidth/total)))
}

// tallyOrder is the order of phases in a text.
var tallyOrder = []ledger.Phase{
	ledger.PhaseSucceeded, ledger.PhaseFailed, ledger.PhaseInterrupted, ledger.PhaseRunning, ledger.PhaseRetry, ledger.PhaseBatch, ledger.PhaseNone,
}

// tallyText lists counts by phase.
func tallyText(t ledger.Tally) string {
	var list []string
	for _, phase := range tallyOrder {
		if t[phase] > 0 {
			list = append(list, fmt.Sprintf("%d %s", t[phase], phase))
		}
	}
	if list == nil {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

// stepView is a step in the JSON object of idem show.
type stepView struct {
	Name jsonBytes `json:"name"`
	keyView
	Count     int                  `json:"attempt_count"`
	TookMS    int64                `json:"took_ms"`
	NotCalled *int                 `json:"not_called_in_attempt"` // null: it is done, or the last attempt called it
	Items     map[ledger.Phase]int `json:"items"`                 // of a batch; else null
	Steps     []stepView           `json:"steps"`
}

func (t stepTree) views() []stepView {
	views := []stepView{}
	for _, n := range t.nodes {
		v := stepView{
			Name: jsonBytes(n.name), keyView: viewKey(n.rec), Count: n.rec.Attempts, TookMS: n.took.Milliseconds(),
			Items: n.counts, Steps: n.steps.views(),
		}
		if n.missed > 0 {
			v.NotCalled = ptr(n.missed)
		}
		views = append(views, v)
	}
	return views
}
