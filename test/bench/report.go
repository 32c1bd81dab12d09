package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"idem/test/internal/rig"
)

// print writes the result as text.
func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n%s\n", r.Date.Format("2006-01-02 15:04 MST"), r.Machine)
	if r.Realtime {
		fmt.Fprintln(w, "all under SCHED_FIFO")
	}
	r.printTimes(w)
	r.printCounts(w)
	r.printBatches(w)
	fmt.Fprintln(w, "\nnot measured")
	var t rig.Table
	for _, row := range r.Rows {
		if row.Missing != "" {
			t.Add(row.Name, "%s", row.Missing)
		}
	}
	t.Print(w)
	r.printDemands(w)
}

// printTimes writes the table of the medians.
func (r *result) printTimes(w io.Writer) {
	fmt.Fprintln(w, "\nmilliseconds (ratio to the reference: flock FILE true; with output, command | tee FILE and cat FILE)")
	for _, race := range r.Races {
		loud := ""
		if race.Noise.Loud {
			loud = "; the machine was busy: only the quietest third"
		}
		fmt.Fprintf(w, "  %s: %d of %d rounds count%s\n", race.Work, race.Noise.Rounds-race.Noise.Dropped, race.Noise.Rounds, loud)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := []string{"", ""}
	for _, race := range r.Races {
		if race.Bytes > 0 || race.Work == "true" {
			head[0] += "\t" + race.Work + "\t"
			head[1] += "\tfirst\treplay"
		}
	}
	fmt.Fprintln(tw, strings.Join(head, "\n"))
	for _, row := range r.Rows {
		fmt.Fprint(tw, row.Name)
		for _, race := range r.Races {
			if race.Bytes > 0 || race.Work == "true" {
				fmt.Fprintf(tw, "\t%s\t%s", cell(r.figure(row.Name, race.Work, first)), cell(r.figure(row.Name, race.Work, replay)))
			}
		}
		fmt.Fprintln(tw)
	}
	_ = tw.Flush() // the only error is of w
}

// printBatches writes the times of batches and of runs with steps.
func (r *result) printBatches(w io.Writer) {
	if len(r.Batches) == 0 {
		return
	}
	fmt.Fprintln(w, "\nmilliseconds for a whole batch or run (ratio to the reference)")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range r.Batches {
		for _, f := range row.Figures {
			fmt.Fprintf(tw, "  %s\t%s\t%s\n", f.Work, row.Name, cell(&f))
		}
	}
	_ = tw.Flush()
}

func cell(f *figure) string {
	if f == nil || f.N == 0 {
		return "-"
	}
	s := digits(f.Median / 1000)
	if f.Ratio != 0 {
		s += " (" + digits(f.Ratio) + "x)"
	}
	return s
}

// printCounts writes the table of memory, page faults, fsyncs and crowds.
func (r *result) printCounts(w io.Writer) {
	callers := 0
	for _, c := range r.Crowds {
		callers = c.Callers
	}
	fmt.Fprintln(w, "\npeak memory in MB, page faults, fsyncs")
	if callers > 0 {
		fmt.Fprintf(w, "seconds for %d at once (p99): distinct keys, replays, one key with a command of 50 ms\n", callers)
	}
	largest := r.largest()
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "\tmemory: true\treplay\t%s\treplay\tfaults: true\treplay\tfsyncs: true\t100 MiB\tat once: distinct\treplay\tone\n", largest)
	for _, row := range r.Rows {
		fmt.Fprint(tw, row.Name)
		for _, c := range []struct {
			work, op string
			of       func(counts) *int64
			unit     float64
		}{
			{"true", first, peakOf, 1024},
			{"true", replay, peakOf, 1024},
			{largest, first, peakOf, 1024},
			{largest, replay, peakOf, 1024},
			{"true", first, faultsOf, 1},
			{"true", replay, faultsOf, 1},
			{"true", first, syncsOf, 1},
			{"100 MiB", first, syncsOf, 1},
		} {
			text := "-"
			if f := r.figure(row.Name, c.work, c.op); f != nil && c.of(f.counts) != nil {
				text = digits(float64(*c.of(f.counts)) / c.unit)
			}
			fmt.Fprint(tw, "\t", text)
		}
		for _, op := range []string{first, replay, one} {
			fmt.Fprint(tw, "\t", r.crowd(row.Name, op))
		}
		fmt.Fprintln(tw)
	}
	_ = tw.Flush()
	for _, row := range r.Rows {
		for _, f := range row.Figures {
			if f.Instructions != nil {
				fmt.Fprintf(w, "instructions by callgrind, %s, %s: %d\n", row.Name, f.Op, *f.Instructions)
			}
		}
	}
}

func peakOf(c counts) *int64   { return c.PeakKB }
func faultsOf(c counts) *int64 { return c.Faults }
func syncsOf(c counts) *int64  { return c.Syncs }

// largest returns the name of the work with the largest output.
func (r *result) largest() string {
	var most race
	for _, race := range r.Races {
		if race.Bytes >= most.Bytes {
			most = race
		}
	}
	return most.Work
}

func (r *result) crowd(name, op string) string {
	for _, c := range r.Crowds {
		if c.Name == name && c.Op == op {
			return fmt.Sprintf("%.2f (%.2f)", c.Total/1e6, c.P99/1e6)
		}
	}
	return "-"
}

// printDemands writes the table of the demands. The column before is of the earlier idem.
func (r *result) printDemands(w io.Writer) {
	fmt.Fprintln(w)
	if r.Old != "" {
		fmt.Fprintf(w, "before: %s\n", r.Old)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "figure\tdemand\tgoal\tbefore\tnow\t")
	for _, d := range r.Demands {
		fmt.Fprintln(tw, strings.Join(d.cells(), "\t"))
	}
	_ = tw.Flush()
}

// cells returns the row of a demand. A figure that is not known is "-".
func (d demand) cells() []string {
	sign, limit := "<=", d.Most
	switch {
	case d.Least != 0 && d.Least == d.Most:
		sign = "="
	case d.Least != 0:
		sign, limit = ">=", d.Least
	}
	goal, was, is, verdict := "-", "-", "-", d.Verdict
	if d.Goal != 0 {
		goal = digits(d.Goal)
	}
	if d.Before != 0 {
		was = digits(d.Before)
	}
	if verdict != rig.Unknown {
		is = digits(d.Figure)
	}
	switch {
	case verdict == met && d.Goal != 0 && d.reachesGoal():
		verdict = "reached, and the goal"
	case verdict == met:
		verdict = "reached"
	}
	return []string{d.What, strings.TrimSpace(fmt.Sprintf("%s %g %s", sign, limit, d.Unit)), goal, was, is, verdict}
}

// digits formats a figure with about three digits.
func digits(f float64) string {
	if math.Abs(f) >= 100 {
		return fmt.Sprintf("%.0f", f)
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.*f", max(0, 2-int(math.Floor(math.Log10(max(math.Abs(f), 0.1))))), f), "0"), ".")
}
