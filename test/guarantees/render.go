package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

//go:embed guarantees.md.tmpl
var pageText string

//go:embed readme.md.tmpl
var blockText string

// The markers around the generated block in README.md.
const (
	begin = "<!-- figures: written by go run ./test/guarantees -->\n"
	end   = "<!-- /figures -->\n"
)

// page returns docs/guarantees.md.
func (r *runs) page() []byte { return r.render(pageText) }

// block returns the figures for README.md.
func (r *runs) block() []byte { return r.render(blockText) }

// insert returns the README with its block replaced.
func (r *runs) insert(text []byte) ([]byte, error) {
	before, rest, ok := bytes.Cut(text, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !ok || !closed {
		return nil, errors.New("README.md lacks the markers " + strings.TrimSpace(begin) + " and " + strings.TrimSpace(end))
	}
	return slices.Concat(before, []byte(begin), r.block(), []byte(end), after), nil
}

// render executes a template with these functions:
//
//	row PART FIGURE...   a table row with figures of a part, each as "12 kills"
//	n PART FIGURE        one figure
//	part PART            the section about the last run of a part
//	measured DEMAND      the figure of a demand on speed, or "" before it was measured
//	overview, machines, alarm, demands, milliseconds ROW WORK OP, chart, minutes,
//	expected, proved PART, fault PART
func (r *runs) render(text string) []byte {
	t := template.Must(template.New("").Funcs(template.FuncMap{
		"row": r.row, "n": r.number, "part": r.part, "overview": r.overview, "machines": r.machines, "alarm": r.alarm,
		"demands": r.demands, "measured": r.measured, "milliseconds": r.milliseconds, "chart": func() bool { return r.chart },
		"proved": r.proved, "fault": r.fault, "minutes": r.minutes, "expected": func() []string { return expected },
	}).Parse(text))
	var b bytes.Buffer
	if err := t.Execute(&b, nil); err != nil {
		panic(err) // the template is wrong
	}
	return b.Bytes()
}

// row returns a table row with a link to the part and its figures.
func (r *runs) row(name string, figures ...string) string {
	said := r.fault(name)
	if r.proved(name) {
		var list []string
		for _, f := range figures {
			list = append(list, r.figure(name, f))
		}
		if said != "" {
			list = append(list, said)
		}
		said = strings.Join(list, "; ")
	}
	return fmt.Sprintf("| [%s](#%s) | %s |", name, anchor(name), said)
}

// figure returns a figure with its name: "12 kills" or "p50: 1.5 ms".
func (r *runs) figure(name, figure string) string {
	c, ok := r.count(name, figure)
	what, time := strings.CutSuffix(c.Name, " ms")
	switch {
	case !ok:
		return "**NOT COUNTED: " + figure + "**"
	case time:
		return what + ": " + digits(c.N) + " ms"
	case strings.Contains(what, "/"):
		return what + ": " + digits(c.N)
	}
	return digits(c.N) + " " + what
}

// number returns a figure without its name, or the fault of its part.
func (r *runs) number(name, figure string) string {
	if !r.proved(name) {
		return r.fault(name)
	}
	c, ok := r.count(name, figure)
	if !ok {
		return "**NOT COUNTED: " + figure + "**"
	}
	return digits(c.N)
}

func anchor(name string) string { return strings.ReplaceAll(name, " ", "-") }

func command(name string) string { return "go run ./test/" + name }

// part returns the section about a part: heading, command, and the figures of the
// last run.
func (r *runs) part(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n`%s`", name, command(name))
	if said := r.fault(name); said != "" {
		fmt.Fprintf(&b, ": %s", said)
	}
	v, ok := r.of[name]
	if !ok || v.Skipped != "" {
		return b.String()
	}
	fmt.Fprintf(&b, "\n\nLast run: %s, commit %s", v.Date.Format("2006-01-02 15:04 MST"), v.Machine.Commit)
	if v.Seed != 0 {
		fmt.Fprintf(&b, ", seed %d", v.Seed)
	}
	if v.Seconds != 0 {
		fmt.Fprintf(&b, ", %s seconds", digits(v.Seconds))
	}
	fmt.Fprintf(&b, ", on a %s.", v.Machine.Kind())
	if len(v.Counts) > 0 {
		b.WriteString("\n\n| counted | |\n| --- | --: |")
		for _, c := range v.Counts {
			fmt.Fprintf(&b, "\n| %s | %s |", escape(c.Name), digits(c.N))
		}
	}
	return b.String()
}

// overview returns the table of all parts.
func (r *runs) overview() string {
	var b strings.Builder
	b.WriteString("| part | command | last full run | commit | minutes | verdict |\n| --- | --- | --- | --- | --: | --- |")
	for _, name := range expected {
		v, ok := r.of[name]
		date, minutes, verdict := "", "", "no promise broken"
		if ok {
			date = v.Date.Format("2006-01-02")
		}
		if v.Seconds != 0 {
			minutes = digits(v.Seconds / 60)
		}
		if b := r.benches[name]; b != nil {
			verdict = b.met()
		}
		if said := r.fault(name); said != "" {
			verdict = said
		}
		fmt.Fprintf(&b, "\n| [%s](#%s) | `%s` | %s | %s | %s | %s |", name, anchor(name), command(name), date, v.Machine.Commit, minutes, verdict)
	}
	return b.String()
}

// minutes returns the duration of all runs.
func (r *runs) minutes() string {
	all := 0.0
	for _, v := range r.of {
		all += v.Seconds / 60
	}
	return digits(math.Round(all))
}

// machines returns the kinds of machine that the runs used, as a list, or "".
func (r *runs) machines() string {
	var kinds []string
	for _, name := range expected {
		if v, ok := r.of[name]; ok && !slices.Contains(kinds, v.Machine.Kind()) {
			kinds = append(kinds, v.Machine.Kind())
		}
	}
	var list strings.Builder
	for _, kind := range kinds {
		list.WriteString("- " + kind + "\n")
	}
	return list.String()
}

// alarm returns, in bold, the parts without a successful full run, or "".
func (r *runs) alarm() string {
	var faults []string // in the order of the parts
	named := map[string][]string{}
	for _, name := range expected {
		if fault := strings.Trim(r.fault(name), "*"); fault != "" {
			if named[fault] == nil {
				faults = append(faults, fault)
			}
			named[fault] = append(named[fault], name)
		}
	}
	for i, fault := range faults {
		faults[i] = strings.Join(named[fault], ", ") + " (" + fault + ")"
	}
	if faults == nil {
		return ""
	}
	return "**Not proved by a full run: " + strings.Join(faults, "; ") + ".**"
}

// demands returns the table of the demands on speed of a part. If an earlier idem was
// measured in the same rounds, it has a column.
func (r *runs) demands(name string) string {
	if r.benches[name] == nil {
		return r.fault(name)
	}
	all := r.benches[name].Demands
	old := false
	for _, d := range all {
		old = old || d.Before != 0
	}
	var b strings.Builder
	if old {
		b.WriteString("| figure | demand | before | measured | |\n| --- | --- | --: | --: | --- |")
	} else {
		b.WriteString("| figure | demand | measured | |\n| --- | --- | --: | --- |")
	}
	for _, d := range all {
		limit, verdict := "at most "+digits(d.Most), d.Verdict
		if d.Least != 0 && d.Least == d.Most {
			limit = "exactly " + digits(d.Least)
		} else if d.Least != 0 {
			limit = "at least " + digits(d.Least)
		}
		limit = strings.TrimSpace(limit + " " + d.Unit)
		if d.Goal != 0 {
			limit += ", goal " + digits(d.Goal)
		}
		measured := strings.TrimSpace(digits(d.Figure) + " " + d.Unit)
		switch verdict {
		case "met":
		case "missed":
			verdict = "**missed**"
		default:
			measured, verdict = "", "**"+verdict+"**"
		}
		if old && d.Before != 0 {
			measured = strings.TrimSpace(digits(d.Before)+" "+d.Unit) + " | " + measured
		} else if old {
			measured = " | " + measured
		}
		fmt.Fprintf(&b, "\n| %s | %s | %s | %s |", escape(d.What), limit, measured, verdict)
	}
	return b.String()
}

// measured returns the figure of a demand, or "" if no run has measured it.
func (r *runs) measured(what string) string {
	if b := r.benches["bench"]; b != nil {
		for _, d := range b.Demands {
			if d.What == what && (d.Verdict == "met" || d.Verdict == "missed") {
				return digits(d.Figure)
			}
		}
	}
	return ""
}

// met returns the number of demands that are met.
func (b *bench) met() string {
	n := 0
	for _, d := range b.Demands {
		if d.Verdict == "met" {
			n++
		}
	}
	return fmt.Sprintf("%d of %d demands met", n, len(b.Demands))
}

// milliseconds returns the median time of a row of the bench for a kind of work.
func (r *runs) milliseconds(row, work, op string) string {
	if r.benches["bench"] == nil {
		return r.fault("bench")
	}
	for _, w := range r.benches["bench"].Rows {
		for _, f := range w.Figures {
			if w.Name == row && f.Work == work && f.Op == op {
				return digits(math.Round(f.Median/10) / 100)
			}
		}
	}
	r.missing = append(r.missing, fmt.Sprintf("bench: %s, %s, %s", row, work, op))
	return "**NOT MEASURED**"
}

// digits formats a number: 12,345 or 1.25.
func digits(n float64) string {
	if n >= 1000 {
		n = math.Round(n)
	}
	s := strconv.FormatFloat(math.Round(n*100)/100, 'f', -1, 64)
	if n < 1000 {
		return s
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// escape escapes a text for the cell of a table.
func escape(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(s)
}
