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
	file := filepath.Join(t.TempDir(), "bench.json")
	out, err := run("--quick", "--json", file)
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
			f := r.figure(idem, work, op)
			if f == nil || f.N == 0 || f.Median <= 0 || f.PeakKB == nil || f.Faults == nil || f.Syncs == nil {
				t.Errorf("%s, %s: got %+v", work, op, f)
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
	}{{flocked, first, 2}, {idem, replay, 4}, {"turbo, cached", replay, 16}, {bare, first, 1}} {
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
	// The bars are to scale. The bare command has no bar: it remembers nothing.
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
