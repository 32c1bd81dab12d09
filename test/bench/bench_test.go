package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"idem/internal/testkit"
	"idem/test/internal/rig"
	"idem/test/internal/rig/rigtest"
)

func TestQuick(t *testing.T) {
	run := rigtest.Program(t, "./test/bench")
	old, err := rig.Build(".", filepath.Join(t.TempDir(), "old"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bench.json")
	out, err := run("--quick", "--old", old, "--json", file)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
	r, err := (&options{from: file}).result()
	if err != nil {
		t.Fatal(err)
	}
	for _, work := range []string{"true", "1 MiB", "100 MiB"} {
		for _, op := range []string{first, replay} {
			for _, a := range []age{now, before} {
				f := r.figure(a.row(idem), work, op)
				if f == nil || f.N == 0 || f.Median <= 0 || f.PeakKB == nil || f.Faults == nil || f.Syncs == nil {
					t.Errorf("%s%s, %s: got %+v", work, a, op, f)
				}
			}
		}
	}
	var batches []string // of idem
	for _, row := range r.Batches {
		for _, f := range row.Figures {
			if f.N == 0 || f.Median <= 0 {
				t.Errorf("%s, %s: got %+v", row.Name, f.Work, f)
			}
			if row.Name == idem {
				batches = append(batches, f.Work)
			}
		}
	}
	if want := []string{"100 MiB, a small reader, first", "100 MiB, a small reader, replay", "each -j 2, 100 items", "each -j 8, 100 items"}; !slices.Equal(batches, want) {
		t.Errorf("got batches %q", batches)
	}
	if f := r.figure(idem, "true", replay); f != nil && f.Syncs != nil && *f.Syncs != 0 {
		t.Errorf("a replay makes %d fsyncs", *f.Syncs)
	}
	for _, d := range r.Demands {
		race := !strings.HasPrefix(d.What, "items of each") && !strings.HasPrefix(d.What, "fsyncs for each") && !strings.HasPrefix(d.What, "idem show")
		if (d.Before > 0) != (race && d.Verdict != rig.Unknown) {
			t.Errorf("%s: before %v, now %v, %s", d.What, d.Before, d.Figure, d.Verdict)
		}
	}
	again, err := run("--from", file)
	if err != nil || !strings.HasSuffix(out, again) {
		t.Errorf("from the JSON: %v\n%s", err, again)
	}
}

// A program that does not do its work is found, however fast it is.
func TestFaultsAreFound(t *testing.T) {
	run := rigtest.Program(t, "./test/bench")
	for _, test := range []struct{ work, script, want string }{
		{"true", `exit 3`, "ended with 3"},
		{"true", `echo hello`, "first: output differs: 6 bytes instead of 0"},
		{"1 MiB", `echo hello`, "first: output differs: 6 bytes instead of 1048576"},
		{"100 MiB, a small reader", `echo hello`, "output differs: 6 bytes instead of 104857600"},
		{"each", `exit 0`, "idem: 0 executions of 100 items"},
		{"true", `echo because >&2; kill -9 $$`, "died of killed: because"},
	} {
		program := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+test.script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		out, err := run("--quick", "--work", test.work, "--idem", program)
		if err == nil || !strings.Contains(out, test.want) {
			t.Errorf("%q: %v, want %q in\n%s", test.script, err, test.want, out)
		}
	}
}

// The committed chart is drawn from the committed figures.
func TestChartIsOfItsFigures(t *testing.T) {
	r, err := load("../../docs/figures/bench.json")
	if errors.Is(err, os.ErrNotExist) {
		return // before the first full run
	}
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, "../../docs/figures/bench.svg", r.chart())
}

func samples(ms ...int) (all []sample) {
	for _, n := range ms {
		all = append(all, sample{wall: time.Duration(n) * time.Millisecond})
	}
	return all
}

func TestRatiosAreMadeRoundByRound(t *testing.T) {
	a, b := samples(10, 30, 200, 0, 8), samples(5, 10, 100, 1, 0)
	keep := []bool{true, true, true, true, true}
	if got := ratio(a, b, keep); got != 2 {
		t.Errorf("got %v: a round in which one did not take part counts", got)
	}
	if got := ratio(a, b, []bool{false, true, false, true, true}); got != 3 {
		t.Errorf("got %v: a round that was dropped counts", got)
	}
	if got := ratio(a, nil, keep); !math.IsNaN(got) {
		t.Errorf("to nothing: got %v", got)
	}
}

func TestQuietRounds(t *testing.T) {
	for _, test := range []struct {
		a, b []sample
		keep string
		loud bool
	}{
		{samples(10, 20, 21, 15), nil, "++-+", false},
		{samples(10, 20, 21, 15), samples(1, 3, 1, 1), "+--+", false},
		{samples(0, 10, 10), nil, "+++", false},                                              // did not take part in the first
		{samples(10, 50, 25, 60, 70, 80, 90), nil, "+++----", true},                          // one round is too few
		{samples(90, 80, 70, 60, 25, 50, 10), samples(3, 3, 3, 1, 3, 3, 3), "----+++", true}, // never quiet for both
	} {
		keep, n := quietRounds(len(test.a), test.a, test.b)
		var got strings.Builder
		for _, k := range keep {
			got.WriteByte(map[bool]byte{true: '+', false: '-'}[k])
		}
		if got.String() != test.keep || n.Loud != test.loud || n.Dropped != strings.Count(test.keep, "-") {
			t.Errorf("got %s, %+v, want %s", got.String(), n, test.keep)
		}
	}
}

func TestDemands(t *testing.T) {
	for _, test := range []struct {
		demand
		want string
	}{
		{atMost("", 2, 2), met},
		{atMost("", 2, 2.01), missed},
		{atMost("", 2, math.NaN()), rig.Unknown},
		{atLeast("", 0.3, 0.3), met},
		{atLeast("", 0.3, 0.29), missed},
		{atLeast("", 0.3, math.NaN()), rig.Unknown},
		{count("", 24, whole(25<<10), 1024, "MB"), missed},
		{count("", 24, nil, 1024, "MB"), rig.Unknown},
	} {
		if test.Verdict != test.want {
			t.Errorf("%+v: want %s", test.demand, test.want)
		}
		if _, err := json.Marshal(test.demand); err != nil {
			t.Error(err) // a NaN
		}
	}
}

func TestDemandsShowTheEarlierIdem(t *testing.T) {
	b := &bench{options: options{old: "old"}, results: map[string]*raceResult{"true": {
		keep: []bool{true},
		racers: []*racer{
			{job: &job{contender: &contender{name: hello}}, op: first, samples: samples(10)},
			{job: &job{contender: &contender{name: idem}}, op: replay, samples: samples(15)},
			{job: &job{contender: &contender{name: before.row(idem)}}, op: replay, samples: samples(25)},
		},
	}}}
	for _, d := range b.demands() {
		want := demand{What: d.What, Most: d.Most, Least: d.Least, Goal: d.Goal, Unit: d.Unit, Verdict: rig.Unknown}
		if d.What == "replay of true / Go hello-world" {
			want = demand{What: d.What, Most: 1.8, Goal: 1.35, Before: 2.5, Figure: 1.5, Verdict: met}
		}
		if d != want {
			t.Errorf("got %+v, want %+v", d, want)
		}
	}
}

func TestCells(t *testing.T) {
	was := func(d demand, figure float64) demand {
		d.Before = figure
		return d
	}
	for _, test := range []struct {
		demand
		want string
	}{
		{atMost("a", 1.8, 1.9), "a|<= 1.8|-|-|1.9|missed"},
		{was(atMost("a", 1.8, 1.8).aim(1.35), 2.49), "a|<= 1.8|1.35|2.49|1.8|reached"},
		{atMost("a", 1.8, 1.35).aim(1.35), "a|<= 1.8|1.35|-|1.35|reached, and the goal"},
		{atLeast("a", 0.33, 0.4).aim(0.5), "a|>= 0.33|0.5|-|0.4|reached"},
		{atLeast("a", 0.33, 0.5).aim(0.5), "a|>= 0.33|0.5|-|0.5|reached, and the goal"},
		{atLeast("a", 0.33, math.NaN()).aim(0.5), "a|>= 0.33|0.5|-|-|" + rig.Unknown},
		{exactly("a", 4, 4), "a|= 4|-|-|4|reached"},
		{count("a", 24, whole(12<<10), 1024, "MB"), "a|<= 24 MB|-|-|12|reached"},
	} {
		if got := strings.Join(test.cells(), "|"); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func TestSyncsIn(t *testing.T) {
	log := `71 fsync(5)                = 0
71 fdatasync(7 <unfinished ...>
72 fsync(6)                = 0
71 <... fdatasync resumed>)           = 0
72 +++ exited with 0 +++
`
	if got := syncsIn([]byte(log)); got != 3 {
		t.Errorf("got %d", got)
	}
}

func TestChart(t *testing.T) {
	r := &result{Machine: rig.Machine{CPU: "<&>"}}
	for _, c := range []struct {
		name, op string
		ms       float64
	}{{flocked, first, 2}, {idem, replay, 4}, {before.row(idem), replay, 5}, {"turbo, cached", replay, 16}, {bare, first, 1}} {
		r.Rows = append(r.Rows, row{Name: c.name, Figures: []figure{{Work: "true", Op: c.op, N: 1, Median: c.ms * 1000}}})
	}
	svg := r.chart()
	widths := map[string]int{}
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			for _, a := range e.Attr {
				if a.Name.Local == "width" {
					widths[a.Value]++
				}
			}
		}
	}
	// The bars are to scale. The bare command has no bar: it remembers nothing. Nor has an
	// earlier idem.
	if len(widths) != 3 || widths["410.0"] != 1 || widths["102.5"] != 1 || widths["51.2"] != 1 {
		t.Errorf("got %v in\n%s", widths, svg)
	}
	if !strings.Contains(string(svg), "flock FILE 2, idem 4, turbo, cached 16</title>") {
		t.Errorf("the words are missing in\n%s", svg)
	}
}

func TestDigits(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 0.0123: "0.012", 0.4567: "0.457", 1: "1", 2.345: "2.35", 45.67: "45.7", 100: "100", 1234.5: "1234"} {
		if got := digits(f); got != want {
			t.Errorf("%v: got %s, want %s", f, got, want)
		}
	}
}
