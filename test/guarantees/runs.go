package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"idem/test/internal/rig"
)

// expected lists the parts in the order of the page. `go run ./test/chaos --help`
// describes the parts of chaos.
var expected = []string{
	"chaos kill", "chaos mutex", "chaos triggers", "chaos each-kill", "chaos step-kill", "chaos steps", "chaos copies", "chaos collect", "chaos power", "chaos full", "chaos damage", "chaos syscalls", "chaos signals",
	"chaos shared", "chaos shared-pauses", "chaos shared-commits", "chaos shared-outages", "chaos shared-done",
	"load onekey", "load manykeys", "load fresh", "load soak", "load reader", "load sizes", "load each", "load held", "load operators",
	"bench", sharedBench,
}

// sharedBench is the part that measures a shared ledger. It requires PostgreSQL, so the part bench
// leaves it out.
const sharedBench = "bench --work shared"

// runs has the last run of each part.
type runs struct {
	of      map[string]rig.Verdict // by name: "chaos kill" or "bench"
	benches map[string]*bench      // "bench" and sharedBench
	chart   bool                   // docs/figures/bench.svg exists
	missing []string               // figures that a template uses but no run has
}

// bench is the part of the JSON of test/bench that the pages need.
type bench struct {
	Quick   bool `json:"quick"`
	Demands []struct {
		What    string  `json:"what"`
		Most    float64 `json:"at_most"`
		Least   float64 `json:"at_least"`
		Goal    float64 `json:"goal"`
		Before  float64 `json:"before"` // of an earlier idem; 0 without one
		Figure  float64 `json:"figure"`
		Unit    string  `json:"unit"`
		Verdict string  `json:"verdict"`
	} `json:"demands"`
	Rows []struct {
		Name    string `json:"name"`
		Missing string `json:"missing"`
		Figures []struct {
			Work   string  `json:"work"`
			Op     string  `json:"op"`
			Median float64 `json:"median_us"`
		} `json:"figures"`
	} `json:"rows"`
}

// read reads the full runs from the directory of figures. With quick it also reads the
// quick run of each part without a full run.
func read(dir string, quick bool) (*runs, error) {
	r := &runs{of: map[string]rig.Verdict{}, benches: map[string]*bench{}}
	for _, program := range []string{"chaos", "load"} {
		all, err := rig.Verdicts(filepath.Join(dir, program+".jsonl"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, v := range all {
			name := program + " " + v.Part
			if !slices.Contains(expected, name) {
				return nil, fmt.Errorf("%s is not a part of the page", name)
			}
			if _, ok := r.of[name]; !v.Quick || quick && !ok {
				r.of[name] = v
			}
		}
	}
	_, err := os.Stat(filepath.Join(dir, "bench.svg"))
	r.chart = err == nil
	return r, errors.Join(r.readBench("bench", filepath.Join(dir, "bench.json"), quick), r.readBench(sharedBench, filepath.Join(dir, "bench-shared.json"), quick))
}

func (r *runs) readBench(name, file string, quick bool) error {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var v rig.Verdict // date and machine
	figures := new(bench)
	if err = errors.Join(err, json.Unmarshal(b, &v), json.Unmarshal(b, figures)); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if figures.Quick && !quick {
		r.chart = r.chart && name != "bench"
		return nil
	}
	// A missed demand is not a broken promise. The page shows it.
	v.OK = true
	r.of[name], r.benches[name] = v, figures
	return nil
}

// fault returns, in bold, the reason why the last run of a part proves nothing, or "". The
// pages show it, because a part without proof must be visible.
func (r *runs) fault(name string) string {
	v, ok := r.of[name]
	switch {
	case !ok:
		return "**NOT RUN YET**"
	case v.Skipped != "":
		return "**SKIPPED: " + v.Skipped + "**"
	case !v.OK:
		first, _, _ := strings.Cut(v.Error, "\n")
		return "**FAILED: " + escape(first) + "**"
	case v.Quick:
		return "**a quick run only**"
	}
	return ""
}

// proved reports whether a part has figures that may be shown.
func (r *runs) proved(name string) bool {
	v, ok := r.of[name]
	return ok && v.OK
}

// count returns a figure of a part. A * in the name matches any text. If several figures
// match, it returns the last one, which is for the largest size.
func (r *runs) count(name, figure string) (rig.Count, bool) {
	for _, c := range slices.Backward(r.of[name].Counts) {
		if same, _ := path.Match(figure, c.Name); same || c.Name == figure {
			return c, true
		}
	}
	r.missing = append(r.missing, fmt.Sprintf("%s: %q", name, figure))
	return rig.Count{}, false
}

// lacking returns an error with the names of the figures that a template uses but no run
// has. This happens if a part renames a figure.
func (r *runs) lacking() error {
	if len(r.missing) == 0 {
		return nil
	}
	slices.Sort(r.missing)
	return fmt.Errorf("no such figures: %s", strings.Join(slices.Compact(r.missing), "; "))
}
