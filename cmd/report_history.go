package cmd

import (
	"fmt"
	"io"
	"strings"
	"time"

	"idem/hashkey"
	"idem/ledger"
	"idem/runner"
)

const (
	// maxHistory is how many attempts and marks idem show prints; --json has all.
	maxHistory = 20
	// historyWidth is the width of a terminal that a change of an input fits into in one line.
	// A longer one has a line for each value.
	historyWidth = 80
)

// historyTable writes the latest part of the history of a key. Each attempt and mark has
// a row. Below it are its start, its owner and the inputs that differ from those of the
// row before.
func historyTable(to io.Writer, width int, now time.Time, rec ledger.Record, attempts []ledger.Attempt) error {
	t := &screenTable{to: to, width: width, whole: true, columns: []column{
		{"ATTEMPT", false, always},
		{"STATE", false, always},
		{"TOOK", true, always},
		{"STARTED", true, always},
		{"HOW", false, always},
	}}
	earlier := max(0, len(attempts)-maxHistory)
	if earlier > 0 {
		_ = t.add(screenRow{below: []string{fmt.Sprintf("(%d earlier, which --json lists)", earlier)}}) // held back
	}
	for i, at := range attempts[earlier:] {
		below := []string{executionText(at)}
		if n := earlier + i; n > 0 {
			below = append(below, changesSince(attempts[n-1], at)...)
		}
		phase := phaseOf(rec, at)
		_ = t.add(screenRow{below: below, texts: []string{
			attemptName(at), string(phase), attemptTook(at, phase, now), ageText(now.Sub(at.Started)), historyText(at),
		}})
	}
	return t.flush()
}

// executionText says when and by whom an attempt or a mark was made, and how large its
// output is.
func executionText(at ledger.Attempt) string {
	text := stamp(at.Started) + " " + ownerText(at.Owner)
	if at.Number > 0 || at.OutputBytes > 0 {
		text += ", output " + outputText(at)
	}
	return text
}

// changesSince lists the inputs of an attempt or a mark that differ from those of the one
// before.
func changesSince(was, is ledger.Attempt) []string {
	if is.Fingerprint == was.Fingerprint || was.Fingerprint == "" { // "": a mark for any inputs
		return nil
	}
	diff, err := differences(was, runner.Call{Inputs: runner.Inputs{Fingerprint: is.Fingerprint, Encoded: is.Inputs}})
	if err != nil {
		return []string{"the changed inputs are not recorded"}
	}
	var list []string
	for i, c := range diff {
		if i == maxChanges {
			return append(list, fmt.Sprintf("and %d more, which --json lists", len(diff)-i))
		}
		list = append(list, foldChange(c)...)
	}
	return list
}

// foldChange describes a change in one line, or in two if it has two values that do not
// fit into one.
func foldChange(c difference) []string {
	text := changeText(c, ":")
	if old, new, ok := c.values(); ok && len("ATTEMPT")+columnGap+cells(text) > historyWidth {
		name := escape(c.Name) + ": "
		return []string{name + "was " + old, strings.Repeat(" ", cells(name)) + "now " + new}
	}
	return []string{text}
}

// viewInputs returns the stored inputs of an attempt in JSON, masked. It returns none for
// a mark that counts for any inputs.
func viewInputs(stored []byte) []inputView {
	views := []inputView{}
	in, err := hashkey.Decode(stored)
	if err != nil {
		return views
	}
	for _, p := range in.Mask() {
		views = append(views, viewInput(p))
	}
	return views
}

// phaseOf returns the state of an attempt as it is printed.
func phaseOf(rec ledger.Record, at ledger.Attempt) ledger.Phase {
	switch {
	case at.State == ledger.Running:
		return rec.Phase() // only the current attempt can be running
	case at.State == ledger.None:
		return ledger.PhaseRetry
	}
	return ledger.Phase(at.State)
}

func attemptName(at ledger.Attempt) string {
	switch {
	case at.Reason == ledger.ReasonProbed:
		return "probe"
	case at.Reason == ledger.ReasonUnverified:
		return "verify"
	case at.Number == 0:
		return "mark"
	}
	return fmt.Sprint(at.Number)
}

func historyText(at ledger.Attempt) string {
	if at.State == ledger.Batch {
		return "the template of a batch"
	}
	if at.Reason == ledger.ReasonMarked {
		if at.Note == "" {
			return "by hand"
		}
		return "by hand: " + escape(at.Note)
	}
	return outcomeText(at)
}

func outputText(at ledger.Attempt) string {
	text := fmt.Sprintf("%d bytes", at.OutputBytes)
	if !at.OutputRemoved.IsZero() {
		return text + ", removed on " + stamp(at.OutputRemoved)
	}
	for _, fault := range []struct {
		set  bool
		text string
	}{{at.NoOutput, "not stored"}, {at.Truncated, "not all recorded"}, {at.Incomplete, "perhaps without its end"}, {at.Redacted, "redacted"}} {
		if fault.set {
			text += ", " + fault.text
		}
	}
	return text
}
