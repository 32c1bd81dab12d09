package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
)

func recipePlan(k *recipeBox) {
	job := k.nextBlock("sh").text
	k.script("terraform", `echo "$1" >>side; case $1 in
plan) echo "a plan"; touch plan.tfplan; exit "$(cat plan.status)" ;;
apply) test "$2" = plan.tfplan && exit "$(cat apply.status)" ;;
esac`)
	k.script("announce.sh", "echo announced")
	for _, c := range []struct {
		pipeline, plan, apply string
		status                int
		out, side             string // out without the output of terraform
	}{
		{"1", "0", "0", 0, "no changes", "plan"},
		{"1", "0", "0", 0, "no changes", ""},
		{"2", "2", "0", 0, "announced", "plan apply"},
		{"2", "2", "0", 0, "applied before", ""},
		{"3", "1", "0", 1, "", "plan"},
		{"3", "2", "1", 1, "", "plan apply"},
		{"3", "2", "0", 0, "announced", "apply"},
		{"3", "2", "0", 0, "applied before", ""},
	} {
		k.write("plan.status", c.plan)
		k.write("apply.status", c.apply)
		k.write("side", "")
		r := k.wantStatus(k.runRecipe("PIPELINE="+c.pipeline+"; set -e; "+job), c.status)
		out := strings.TrimSpace(strings.ReplaceAll(r.out, "a plan\n", ""))
		if side := strings.Join(strings.Fields(k.read("side")), " "); out != c.out || side != c.side || !strings.Contains(r.out, "a plan") {
			k.t.Errorf("%+v: got stdout %q and the commands %q", c, r.out, side)
		}
	}
}

func recipeTool(k *recipeBox) {
	requireTool(k.t, "jq")
	tool := k.nextBlock("sh")
	k.script(tool.file, tool.text)
	call := func(args, want string) {
		k.t.Helper()
		if r := k.wantStatus(k.runRecipe("./tool.sh "+args), 0); !strings.HasPrefix(r.out, want) {
			k.t.Errorf("%s: got %q, want %q", args, r.out, want)
		}
	}
	// idem is killed after the outcome is recorded and before the answer.
	k.script("idem", "shift; exec "+filepath.Join(binary(), "idem")+` run --hook 'success=kill -9 $PPID' "$@"`)
	work := `sh -c 'echo x >>side; echo done; echo warning >&2'`
	call("1 "+work, "no answer: call again")
	if err := os.Remove(k.path("idem")); err != nil {
		k.t.Fatal(err)
	}
	call("1 "+work, "status 0\ndone\n\nwarning\n")
	call("1 "+work, "status 0\ndone\n\nwarning\n")
	call("1 touch other", "the id was used for another command")
	k.wantLines("side", 1)
	call("2 sh -c 'echo out; exit 3'", "status 3\nout\n")
	call("3 no-such-tool", "no-such-tool: command not found")
	call("'' true", "key \"tool:\" has an empty part")
	// idem is killed while the command runs.
	first := k.startRecipe(`./tool.sh 4 sh -c 'echo $PPID >pid; until [ -e go ]; do sleep 0.01; done'`)
	k.waitLines("pid", 1)
	running := `4 sh -c 'echo $PPID >pid; until [ -e go ]; do sleep 0.01; done'`
	call(running, "still running: call again")
	k.wantStatus(k.sh("kill -9 $(cat pid); touch go"), 0)
	if r := first.wait(); !strings.HasPrefix(r.out, "no answer") {
		k.t.Errorf("got %+v, want no answer", r)
	}
	k.waitUntil("the command has ended", func() bool { return k.run("check", "tool:4").code != 75 })
	call(running, "the outcome is unknown: find out whether it was done, then choose\nto see its output: idem logs ")
	// The outcome cannot be recorded.
	call(`5 sh -c 'rm -r "$IDEM_LEDGER"'`, "the command ran, but this is not recorded")
}
