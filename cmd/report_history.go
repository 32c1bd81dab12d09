package cmd

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"idem/hashkey"
	"idem/ledger"
	"idem/runner"
)

const (
	// maxHistory is how many attempts and marks idem show prints; --json has all.
	maxHistory = 20
	// historyIndent precedes the details of an attempt, below its state.
	historyIndent = "         "
	// historyWidth is the width of a terminal that the details fit into, unless a value
	// is longer.
	historyWidth = 80
)

// historyTable returns the latest part of the history of a key. Each attempt and mark has
// a row. Below it are its owner, its duration and the inputs that differ from those of the
// row before.
func historyTable(rec ledger.Record, attempts []ledger.Attempt) string {
	earlier := max(0, len(attempts)-maxHistory)
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ATTEMPT\tSTATE\tSTARTED\tHOW")
	for _, at := range attempts[earlier:] {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", attemptName(at), phaseOf(rec, at), stamp(at.Started), historyText(at))
	}
	_ = w.Flush() // into memory
	rows := strings.SplitAfter(b.String(), "\n")
	b.Reset()
	b.WriteString(rows[0])
	if earlier > 0 {
		fmt.Fprintf(&b, "(%d earlier, which --json lists)\n", earlier)
	}
	for i, at := range attempts[earlier:] {
		b.WriteString(rows[1+i])
		lines := []string{executionText(at)}
		if n := earlier + i; n > 0 {
			lines = append(lines, changesSince(attempts[n-1], at)...)
		}
		for _, line := range lines {
			b.WriteString(historyIndent + line + "\n")
		}
	}
	return b.String()
}

// executionText describes how an attempt was executed or a mark was made.
func executionText(at ledger.Attempt) string {
	text := ownerText(at.Owner)
	if at.Number > 0 && !at.Ended.IsZero() {
		text += ", took " + max(0, at.Ended.Sub(at.Started)).Round(time.Millisecond).String()
	}
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
	if old, new, ok := c.values(); ok && len(historyIndent)+len([]rune(text)) > historyWidth {
		name := escape(c.Name) + ": "
		return []string{name + "was " + old, strings.Repeat(" ", len([]rune(name))) + "now " + new}
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
