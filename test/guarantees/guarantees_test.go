package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"idem/internal/testkit"
	"idem/test/internal/rig"
)

const root = "../.."

// The committed pages are generated from the committed figures.
func TestPages(t *testing.T) {
	r, err := read(filepath.Join(root, rig.Figures), false)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, readme))
	if err != nil {
		t.Fatal(err)
	}
	want, err := r.insert(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		name string
		want []byte
	}{{page, r.page()}, {readme, want}} {
		testkit.Golden(t, filepath.Join(root, p.name), p.want)
	}
	if err := r.lacking(); err != nil {
		t.Error(err)
	}
	for name, v := range r.of {
		if v.Quick {
			t.Errorf("%s: figures of a quick run in %s", name, rig.Figures)
		}
	}
}

// figures makes a directory with the figures of the quick run in testdata, edited. It
// returns its path.
func figures(t *testing.T, edit *strings.Replacer) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"chaos.jsonl", "load.jsonl", "bench.json", "bench-shared.json"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(edit.Replace(string(b))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// render returns the runs and the text of both pages.
func render(t *testing.T, dir string) (*runs, string) {
	t.Helper()
	r, err := read(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(r.page()) + string(r.block())
}

// warnings are the words of the pages for a part that is not proved.
var warnings = []string{"NOT RUN YET", "SKIPPED", "FAILED", "quick run only", "NOT COUNTED", "NOT MEASURED", "Not proved"}

var full = []string{`"quick":true`, `"quick":false`, `"quick": true`, `"quick": false`}

func TestFullRunsAreShown(t *testing.T) {
	r, text := render(t, figures(t, strings.NewReplacer(full...)))
	if err := r.lacking(); err != nil {
		t.Error(err)
	}
	for _, word := range warnings {
		if strings.Contains(text, word) {
			t.Errorf("%q in\n%s", word, text)
		}
	}
	for _, want := range []string{"0 overlapping executions", "met", "(`flock FILE true`: ", "times the rate of GNU parallel"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// Figures of an earlier idem have a column, and no other table changes.
func TestEarlierFiguresAreShown(t *testing.T) {
	const demand = `"what": "replay of true / Go hello-world",`
	edit := append([]string{demand, demand + `"goal": 1.35, "before": 2.49,`}, full...)
	r, text := render(t, figures(t, strings.NewReplacer(edit...)))
	for _, want := range []string{
		"| figure | demand | before | measured | |\n",
		"| replay of true / Go hello-world | at most 2.4, goal 1.35 | 2.49 | ",
		"| fsyncs of a first run, small output | at most 3 |  | 3 | met |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, r.demands("bench"))
		}
	}
	if shared := r.demands(sharedBench); strings.Contains(shared, "before") {
		t.Errorf("a column that is empty in\n%s", shared)
	}
}

func TestQuickRunsProveNothing(t *testing.T) {
	_, text := render(t, figures(t, strings.NewReplacer()))
	if n := strings.Count(text, "| **NOT RUN YET** |"); n < 2*len(expected) {
		t.Errorf("said %d times in\n%s", n, text)
	}
	if strings.Contains(text, "overlapping executions;") || strings.Contains(text, "no promise broken") {
		t.Errorf("figures in\n%s", text)
	}
}

func TestUnprovedPartsAreShown(t *testing.T) {
	for _, test := range []struct{ from, to, want string }{
		{`"ok":true`, `"ok":false,"error":"broken: 1 | 2\nand more"`, `**FAILED: broken: 1 \| 2**`},
		{`"ok":true`, `"ok":false,"skipped":"needs root"`, "**SKIPPED: needs root**"},
	} {
		_, text := render(t, figures(t, strings.NewReplacer(append([]string{test.from, test.to}, full...)...)))
		if !strings.Contains(text, test.want) || !strings.Contains(text, "Not proved by a full run: chaos kill") {
			t.Errorf("no %q in\n%s", test.want, text)
		}
		if strings.Contains(text, "no promise broken") {
			t.Errorf("also says that no promise is broken in\n%s", text)
		}
	}
}

func TestLostFigure(t *testing.T) {
	r, text := render(t, figures(t, strings.NewReplacer(append([]string{"overlapping executions", "renamed"}, full...)...)))
	if err := r.lacking(); err == nil || !strings.Contains(err.Error(), `chaos kill: "overlapping executions"`) {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(text, "**NOT COUNTED: overlapping executions**") {
		t.Errorf("not said in\n%s", text)
	}
}

func TestUnknownPart(t *testing.T) {
	if _, err := read(figures(t, strings.NewReplacer(`"part":"kill"`, `"part":"new"`)), false); err == nil {
		t.Error("no error for an unknown part")
	}
}

func TestInsert(t *testing.T) {
	r := &runs{}
	for _, text := range []string{"", begin, end + begin} {
		if _, err := r.insert([]byte(text)); err == nil {
			t.Errorf("no error for a README of %q", text)
		}
	}
	got, err := r.insert([]byte("a\n" + begin + "old\n" + end + "b\n"))
	if err != nil || string(got) != "a\n"+begin+string(r.block())+end+"b\n" {
		t.Errorf("%v: got %s", err, got)
	}
}

func TestDigits(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 0.126: "0.13", 12.5: "12.5", 1234.56: "1,235", -1: "-1"} {
		if got := digits(n); got != want {
			t.Errorf("%v: got %s, want %s", n, got, want)
		}
	}
}
