package cmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"idem/cmd"
)

// runForm runs a line for a shell as a script, which requires that all variables are
// set. Neither the environment nor the ledger of root takes part in a call by sudo.
func (k *recipeBox) runForm(line string) result {
	k.t.Helper()
	shell, line, _ := strings.Cut(line, " ")
	if strings.HasPrefix(line, "sudo idem ") {
		requireTool(k.t, "sudo")
		requireRoot(k.t) // sudo asks root for no password
	}
	line = strings.Replace(line, "sudo idem run", "sudo "+filepath.Join(binary(), "idem")+" run --ledger "+k.ledger, 1)
	return k.start([]string{shell, "-u", "-c", line}).wait()
}

// Each line of idem help shell runs its commands once. It does not hide a failure, and
// the next call runs what failed again.
func TestE2EShellForms(t *testing.T) {
	for _, line := range cmd.ShellForms() {
		name := regexp.MustCompile(`\W+`).ReplaceAllString(line, "-") // also the name of a directory
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRecipeBox(t, nil)
			k.t = t
			k.setenv("FILE", "in  put; touch injected")
			k.write("ids", "1\n2\n")
			for _, name := range []string{"a", "b", "list"} {
				k.script(name, `[ "$0" = ./list ] || echo "$0 $*" >>side; echo out; [ "$0" = ./list ] && exit; cat >>in; touch tmp; [ ! -e fail ] || exit 3`)
			}
			if strings.Contains(line, "export -f f;") {
				line = strings.Replace(line, "export", `f() { ./a "$@"; }; export`, 1)
			}
			k.write("fail", "")
			if r := k.runForm(line); r.code != 3 {
				t.Errorf("a failure: got %+v, want status 3", r)
			}
			failed := strings.Count(k.read("side"), "\n")
			if err := os.Remove(k.path("fail")); err != nil {
				t.Fatal(err)
			}
			k.wantStatus(k.runForm(line), 0)
			ran := k.read("side")
			if n := strings.Count(ran, "\n"); failed == 0 || n <= failed {
				t.Errorf("after a failure: got %q, want all commands", ran)
			}
			for range 2 {
				k.wantStatus(k.runForm(line), 0)
			}
			if got := k.read("side"); got != ran {
				t.Errorf("a replay: got %q, want %q", got, ran)
			}
			if _, err := os.Stat(k.path("injected")); err == nil || strings.Contains(line, "$FILE") && !strings.Contains(ran, "./a in  put; touch injected\n") {
				t.Errorf("got %q, want the value of FILE as one argument", ran)
			}
			if strings.Contains(line, "<ids") && !strings.Contains(ran, "./a 2\n") {
				t.Errorf("got %q, want every item of the list", ran)
			}
			if _, err := os.Stat(k.path("tmp")); strings.Contains(line, "rm -f tmp") && err == nil {
				t.Error("got a file that the trap removes, want it removed")
			}
			if strings.Contains(line, "./list |") {
				k.script("list", "echo other")
				k.wantStatus(k.runForm(line), 65)
			}
			if file := k.path("a.log"); strings.Contains(line, "a.log") {
				if b, _ := os.ReadFile(file); !strings.Contains(string(b), "out\n") {
					t.Errorf("a.log: got %q, want the output", b)
				}
			}
		})
	}
}
