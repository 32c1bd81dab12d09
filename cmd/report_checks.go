package cmd

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"idem/ledger"
)

// The beginnings of the message about the faults of a report.
const (
	checkedShared = "the shared ledger has"
	checkedLocal  = "the ledger has"
	checkedHost   = "idem doctor has found"
)

// levelError is the level of a fault in idem doctor, which ends with 1.
const levelError = "error"

// checksView is the JSON object of idem ledger check --json.
type checksView struct {
	Ledger string          `json:"ledger"`
	Sound  bool            `json:"sound"`
	Checks []checkLineView `json:"checks"`
}

type checkLineView struct {
	Name  string  `json:"name"`
	Level string  `json:"level"`
	Text  string  `json:"text"`
	Hint  *string `json:"hint"`
}

func checkLines(r ledger.Report) []checkLineView {
	lines := []checkLineView{}
	for _, l := range r.Lines {
		line := checkLineView{Name: l.Name, Level: l.Level, Text: l.Text}
		if l.Hint != "" {
			line.Hint = &l.Hint
		}
		lines = append(lines, line)
	}
	return lines
}

// addHints gives each line about an error the hints that the call would print that gets the
// error from the ledger at place.
func (a *app) addHints(r *ledger.Report, place string) {
	for i := range r.Lines {
		if l := &r.Lines[i]; l.Err != nil && l.Hint == "" {
			l.Hint = a.hintLines(failureOf(&ledger.Error{Place: place, Err: l.Err}).withoutLedgerHint("check").withoutFlagHints())
		}
	}
}

// hintLines returns the hints of a failure, one on each line.
func (a *app) hintLines(f *failure) string {
	var texts []string
	for _, h := range f.hints {
		texts = append(texts, a.ui.hintText(h))
	}
	return strings.Join(texts, "\n")
}

// reportChecks prints the report of a check of the ledger at place as text or as a JSON
// object. It returns err or the failure of a report with faults.
func (a *app) reportChecks(about, place string, r ledger.Report, err error, asJSON bool) error {
	if !asJSON {
		return a.printReport(about, r, err)
	}
	if err != nil {
		return err
	}
	if err := a.printJSON(checksView{Ledger: place, Sound: unsound(about, r) == nil, Checks: checkLines(r)}); err != nil {
		return err
	}
	return unsound(about, r)
}

// printReport prints a report, and returns err or the failure of a report with faults.
func (a *app) printReport(about string, r ledger.Report, err error) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, l := range r.Lines {
		fmt.Fprintf(w, "%s\t%s\t%s\n", l.Level, escape(l.Name), oneLine(l.Text))
		for hint := range strings.Lines(l.Hint) {
			fmt.Fprintf(w, "\t\thint: %s\n", oneLine(hint))
		}
	}
	_ = w.Flush() // into memory
	if fault := a.print(b.String()); err == nil {
		err = fault
	}
	if err == nil {
		err = unsound(about, r)
	}
	return err
}

// unsound returns the failure of a report with faults or errors, nil for one without.
func unsound(about string, r ledger.Report) error {
	code, what := exitLedger, "fault"
	n := 0
	var names []string
	for _, l := range r.Lines {
		switch l.Level {
		case levelError:
			code, what = exitError, "error"
		case ledger.LevelFault:
		default:
			continue
		}
		if n++; !slices.Contains(names, l.Name) {
			names = append(names, l.Name)
		}
	}
	if n == 0 {
		return nil
	}
	return fail(code, "%s %s: %s", about, plural(n, what), strings.Join(names, ", "))
}
