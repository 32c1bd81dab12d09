package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"idem/scripts/internal/rig"
)

// run builds chaos, since its children are the program itself, and runs it.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("chaos needs Linux")
	}
	if err := rig.Watch(); err != nil {
		t.Fatal(err)
	}
	program, err := rig.Build("./scripts/chaos", filepath.Join(t.TempDir(), "chaos"))
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program, args...)
	c.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, err := c.CombinedOutput()
	return string(out), err
}

func TestQuick(t *testing.T) {
	out, err := run(t, "--quick")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
}

// A program that breaks the promises must be found out, or the rest proves
// nothing.
func TestNaiveIsFoundOut(t *testing.T) {
	naive, err := rig.Build("./scripts/chaos/testdata/naive", filepath.Join(t.TempDir(), "naive"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "--keys", "8", "--kills", "60", "--idem", naive, "kill")
	if err == nil {
		t.Fatalf("nothing was found\n%s", out)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	verdict := lines[len(lines)-1]
	for _, promise := range []string{noOverlap, noUnreadable, noDisorder} {
		if !strings.Contains(verdict, " "+promise) {
			t.Errorf("%q was not found broken\n%s", promise, out)
		}
	}
	if !strings.Contains(out, "its journal, --on-interrupted ") {
		t.Errorf("no evidence\n%s", out)
	}
}

func TestUsage(t *testing.T) {
	out, err := run(t, "nonsense")
	if err == nil || !strings.Contains(out, `"nonsense" is no part`) {
		t.Errorf("%v\n%s", err, out)
	}
}
