package cmd

import (
	"fmt"
	"io"
	"iter"
	"time"

	"idem/ledger"
)

// glyphs precede the words of a phase on a terminal.
var glyphs = map[ledger.Phase]string{
	ledger.PhaseRunning: "●", ledger.PhaseInterrupted: "?", ledger.PhaseSucceeded: "✓", ledger.PhaseFailed: "×",
	ledger.PhaseRetry: "↻", ledger.PhaseBatch: "≡",
}

// listColumns are the columns of idem list on a terminal.
func listColumns() []column {
	return []column{
		{"STATE", false, always},
		{"TOOK", true, always},
		{"STARTED", true, always},
		{"NAMESPACE", false, several},
		{"WINDOW", false, filled},
		{"DONE", true, filled},
		{"KEY", false, always},
	}
}

// writeTable writes a table for a person. The key of an item that is a hash is shown as the
// item. The last line has the number of keys by state.
func (a *app) writeTable(to io.Writer, l ledger.Ledger, records iter.Seq2[listed, error], o *listOptions) error {
	t := &screenTable{to: to, width: widthOf(a.ui.stdout), columns: listColumns()}
	now, all, tally, paint := a.now(), 0, ledger.Tally{}, painter(a.ui.stdout)
	for r, err := range records {
		if err != nil {
			return err
		}
		key, err := shownKey(l, r.Record)
		if err != nil {
			return err
		}
		cur := r.Current
		phase := r.Phase()
		row := screenRow{paint: func(text string) string { return paint(text, phase) }, texts: []string{
			stateText(r.Record), attemptTook(cur, phase, now), startText(cur, func(at time.Time) string { return ageText(now.Sub(at)) }),
			escape(r.ID.Namespace), escape(r.ID.Window), r.doneText(), key,
		}}
		if err := t.add(row); err != nil {
			return err
		}
		all++
		tally[phase]++
	}
	if err := t.flush(); err != nil {
		return err
	}
	if all == 0 {
		return t.foot("no keys")
	}
	text, hint := plural(all, "key"), ""
	if all == o.limit {
		text = "the latest " + text
	}
	if tally[ledger.PhaseFailed] > 0 && len(o.phases()) == 0 {
		hint = "(--state failed)"
	}
	return t.foot(text+": "+tallyText(tally), hint)
}

// stateText returns the state of a record for a terminal, such as "✓ succeeded ×3" after
// three attempts and "× failed 139" for an exit status.
func stateText(r ledger.Record) string {
	phase, cur := r.Phase(), r.Current
	text := glyphs[phase] + " " + string(phase)
	switch {
	case phase == ledger.PhaseFailed && cur.Reason == ledger.ReasonTimeout:
		text = glyphs[phase] + " timeout"
	case (phase == ledger.PhaseFailed || phase == ledger.PhaseSucceeded) && cur.ExitCode != 0:
		text += fmt.Sprintf(" %d", cur.ExitCode)
	}
	if r.Attempts > 1 {
		text += fmt.Sprintf(" ×%d", r.Attempts)
	}
	return text
}

// attemptTook returns how long an attempt took, or has taken so far; "-" for a mark or an
// unknown end.
func attemptTook(at ledger.Attempt, phase ledger.Phase, now time.Time) string {
	switch {
	case at.Number == 0:
		return "-"
	case phase == ledger.PhaseRunning:
		return tookText(max(0, now.Sub(at.Started)))
	case at.Ended.IsZero():
		return "-"
	}
	return tookText(timeOf(at))
}

// doneText says how many of the records below r have succeeded, such as "97/100".
func (r listed) doneText() string {
	all := r.below.Total()
	if all == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", r.below[ledger.PhaseSucceeded], all)
}

// ageText returns a time before now in few cells, such as "41s ago".
func ageText(d time.Duration) string {
	if d < 0 { // clocks of hosts differ
		return "in " + briefly(-d)
	}
	return briefly(d) + " ago"
}

// briefly returns a duration in its largest unit.
func briefly(d time.Duration) string {
	const day = 24 * time.Hour
	for _, u := range []struct {
		from, unit time.Duration
		name       string
	}{{730 * day, 365 * day, "y"}, {60 * day, 30 * day, "mo"}, {day, day, "d"}, {time.Hour, time.Hour, "h"}, {time.Minute, time.Minute, "m"}} {
		if d >= u.from {
			return fmt.Sprintf("%d%s", d/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
