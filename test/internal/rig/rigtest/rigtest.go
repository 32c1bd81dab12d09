// Package rigtest is for the tests of the programs that rig is for.
package rigtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"idem/internal/testkit"
	"idem/test/internal/rig"
)

// Program builds a program, such as ./test/load, whose children are the
// program itself. It returns what runs it, in a directory of the test, and
// gives what that prints.
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
