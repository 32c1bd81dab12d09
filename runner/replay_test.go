package runner

import (
	"errors"
	"os"
	"testing"
	"time"

	"idem/ledger"
	"idem/sidefile"
)

// A replay lacks only bytes of the streams that it writes.
func TestLacks(t *testing.T) {
	cut := ledger.Attempt{Truncated: true, OutputBytes: 100}
	for name, test := range map[string]struct {
		a              ledger.Attempt
		gaps           ledger.Gaps
		stdout, stderr bool
		want           Lacks
	}{
		"whole":                     {ledger.Attempt{OutputBytes: 100}, ledger.Gaps{}, true, true, Lacks{}},
		"stdout was cut":            {cut, ledger.Gaps{Stdout: 7}, true, true, Lacks{Stdout: true, Missing: 7}},
		"... and is not replayed":   {cut, ledger.Gaps{Stdout: 7}, false, true, Lacks{}},
		"stderr was cut":            {cut, ledger.Gaps{Stderr: 7}, true, true, Lacks{Stderr: true, Missing: 7}},
		"... but stdout is wanted":  {cut, ledger.Gaps{Stderr: 7}, true, false, Lacks{}},
		"one of them was":           {cut, ledger.Gaps{Unknown: 7}, true, true, Lacks{Stdout: true, Stderr: true, Missing: 7}},
		"all was given up":          {cut, ledger.Gaps{}, true, false, Lacks{Stdout: true, Missing: 100}},
		"of an earlier version, 0":  {cut, ledger.Gaps{Unwanted: true}, true, true, Lacks{NotStored: true}},
		"not wanted":                {ledger.Attempt{NoOutput: true, OutputBytes: 1}, ledger.Gaps{}, true, true, Lacks{NotStored: true}},
		"not wanted, and none came": {ledger.Attempt{NoOutput: true}, ledger.Gaps{}, true, true, Lacks{}},
		"removed":                   {cut, ledger.Gaps{Unknown: 100, Removed: time.Unix(1, 0)}, true, false, Lacks{Removed: true}},
		"removed, and not replayed": {cut, ledger.Gaps{Unknown: 100, Removed: time.Unix(1, 0)}, false, false, Lacks{}},
		"not known":                 {ledger.Attempt{Incomplete: true}, ledger.Gaps{}, true, false, Lacks{Incomplete: true}},
		"redacted":                  {ledger.Attempt{Redacted: true}, ledger.Gaps{}, false, true, Lacks{Redacted: true}},
		"nothing is replayed":       {ledger.Attempt{Redacted: true, Incomplete: true, NoOutput: true, OutputBytes: 1}, ledger.Gaps{}, false, false, Lacks{}},
	} {
		if got := lacksOf(test.a, test.gaps).onStreams(test.stdout, test.stderr); got != test.want {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
}

// ReplayPolicy.Exact also refuses a replay if an addition to a file is not recorded.
func TestExactLooksAtFiles(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.write("f", "before")
	c := k.shell("echo out; echo rewritten >f")
	c.Files = []sidefile.File{{Name: "f", Path: k.path("f")}}
	k.want(k.first(c), Decision{ActionExecute, ReasonNeverRun}, "out\n", "")
	k.want(k.first(c), Decision{ActionReplay, ReasonSucceeded}, "out\n", "")
	c.Replay.Exact = true
	o := k.first(c)
	var inexact *InexactError
	if !errors.As(o.err, &inexact) || !inexact.Lacks.Files || o.out != "" {
		t.Errorf("got %v, stdout %q", o.err, o.out)
	}
	c.Replayed.Stdout = os.Stdout
	c.Ledger = k.mem.Open()
	if _, err := c.Rehearse(t.Context(), c.Call, k.record()); !errors.As(err, &inexact) {
		t.Errorf("Rehearse: got %v", err)
	}
}
