// Package rigtest helps to test the programs that use rig.
package rigtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"idem/internal/testkit"
	"idem/test/internal/rig"
)

// Program builds a program that starts itself as its children, such as ./test/load. It
// returns a function that runs the program in a directory of the test and returns its
// output.
func Program(t *testing.T, pkg string) func(args ...string) (string, error) {
	t.Helper()
	testkit.Slow(t, "the whole program runs, with --quick")
	if err := rig.Watch(); err != nil {
		t.Fatal(err)
	}
	program, err := rig.Build(pkg, filepath.Join(t.TempDir(), "program"))
	if err != nil {
		t.Fatal(err)
	}
	return func(args ...string) (string, error) {
		c := exec.Command(program, args...)
		c.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
		out, err := c.CombinedOutput()
		return string(out), err
	}
}
