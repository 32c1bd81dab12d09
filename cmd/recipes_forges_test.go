package cmd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// hostileBranch is the name of a branch that runs a command wherever it becomes the text of a script.
const hostileBranch = "x'\"$(>pwned)`>pwned`"

// goTool returns the path of a tool that the module in dir pins. It downloads nothing: scripts/test does.
func goTool(t *testing.T, dir, name string) string {
	t.Helper()
	c := exec.Command("go", "-C", dir, "tool", "-n", name)
	c.Env = append(os.Environ(), "GOPROXY=off", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		skipMissing(t, name+" ("+strings.TrimSpace(stderr.String())+")")
	}
	return strings.TrimSpace(string(out))
}

// repository makes the box a repository on a hostile branch, with files of this one.
func (k *recipeBox) repository(files map[string]string) {
	k.t.Helper()
	requireTool(k.t, "git")
	for to, from := range files {
		text, err := os.ReadFile(from)
		if err != nil {
			k.t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(k.path(to)), 0o755); err != nil {
			k.t.Fatal(err)
		}
		if err := os.WriteFile(k.path(to), text, 0o755); err != nil {
			k.t.Fatal(err)
		}
	}
	k.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
	k.setenv("BRANCH", hostileBranch)
	k.wantStatus(k.sh(`git init -q . && git remote add origin https://example.com/group/app.git && git checkout -q -b "$BRANCH"`), 0)
	k.commit()
}

func (k *recipeBox) commit() {
	k.t.Helper()
	k.wantStatus(k.sh(`git add -A . && git -c user.name=a -c user.email=a@example.com commit -q -m x --allow-empty`), 0)
}

// wantSafe checks that no text of the branch was run.
func (k *recipeBox) wantSafe() {
	k.t.Helper()
	if r := k.sh("find . \"$HOME\" -name pwned"); r.out != "" {
		k.t.Errorf("got the file %s, want the name of the branch to be data", r.out)
	}
}

// recipeGitHub runs the workflows of the page, each twice. act is a runner of GitHub Actions without a forge.
func recipeGitHub(k *recipeBox) {
	act := goTool(k.t, "../scripts/tools/forges", "act")
	lint := goTool(k.t, "../scripts/tools", "actionlint")
	deploy, nightly := k.nextBlock("yaml"), k.nextBlock("yaml")
	for _, b := range []block{deploy, nightly} {
		if err := os.MkdirAll(filepath.Dir(k.path(b.file)), 0o755); err != nil {
			k.t.Fatal(err)
		}
		k.write(b.file, strings.NewReplacer("/var/lib/deploys", k.ledger, "github.run_id }}", "github.run_id }}:${{ github.ref_name }}").Replace(b.text))
	}
	k.script("deploy.sh", `echo x >>"`+k.dir+`/side"; echo "url=https://$1.example.com" >>"$GITHUB_OUTPUT"; echo deployed`)
	k.script("announce.sh", `echo "$1" >>"`+k.dir+`/announced"`)
	k.script("backup.sh", `echo x >>"`+k.dir+`/backups"`)
	k.repository(map[string]string{
		".github/actions/idem/action.yml": "../action.yml",
		".github/actions/idem/idem":       filepath.Join(binary(), "idem"),
		".github/workflows/idem.yml":      "../.github/workflows/idem.yml",
	})
	k.wantStatus(k.start([]string{lint, deploy.file, nightly.file}).wait(), 0)
	const action = ".github/actions/idem/action.yml"
	text := k.read(action)
	k.write(action, strings.Replace(text, "using: composite", "using: compsite", 1))
	if r := k.wantStatus(k.start([]string{lint, deploy.file}).wait(), 1); !strings.Contains(r.out, "compsite") {
		k.t.Errorf("a misspelt word in the action: got %+v, want it in the output", r)
	}
	k.write(action, text)

	k.setenv("HOME", k.t.TempDir()) // act copies the repository to a cache below it
	run := func(event, workflow string, status int, want ...string) {
		k.t.Helper()
		r := k.wantStatus(k.start([]string{act, event, "--workflows", workflow, "--platform", "self-hosted=-self-hosted"}).wait(), status)
		for _, text := range want {
			if !strings.Contains(r.out+r.err, text) {
				k.t.Errorf("%s: got %s%s, want it with %q", workflow, r.out, r.err, text)
			}
		}
	}
	run("push", deploy.file, 0, "deployed")
	run("push", deploy.file, 0, "deployed", "title=idem::")
	k.wantLines("side", 1)
	if got := k.read("announced"); got != "https://prod.example.com\n" {
		k.t.Errorf("announced: got %q, want the output of the command once", got)
	}
	k.wantSafe()
	k.wantState("deploy:prod:1:"+hostileBranch, "succeeded")

	// Another command with the same key is refused.
	k.write(deploy.file, strings.Replace(k.read(deploy.file), "./deploy.sh prod", "./deploy.sh stage", 1))
	k.commit()
	run("push", deploy.file, 1, "title=idem::", "was recorded with different inputs")
	k.wantLines("side", 1)

	// The reusable workflow finds idem in PATH.
	run("schedule", nightly.file, 0, "backup ")
	run("schedule", nightly.file, 0, "title=idem::")
	k.wantLines("backups", 1)
}

// ciStep is a step of a workflow or of an action.
type ciStep struct {
	ID, Shell, Uses, Run string
	Env                  map[string]string
	With                 map[string]any
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	testMust(t, err)
	testMust(t, yaml.Unmarshal(text, into))
}

// The action and the workflow have the same step, because a workflow cannot use an action that is next to it when another
// repository calls it.
func TestActionAndWorkflowHaveTheSameStep(t *testing.T) {
	t.Parallel()
	var action struct {
		Inputs map[string]any
		Runs   struct{ Steps []ciStep }
	}
	var workflow struct {
		On struct {
			Call struct{ Inputs map[string]any } `yaml:"workflow_call"`
		}
		Jobs struct{ Idem struct{ Steps []ciStep } }
	}
	readYAML(t, "../action.yml", &action)
	readYAML(t, "../.github/workflows/idem.yml", &workflow)
	steps := workflow.Jobs.Idem.Steps
	if len(action.Runs.Steps) != 1 || len(steps) != 2 {
		t.Fatalf("got the steps %+v and %+v, want one and two", action.Runs.Steps, steps)
	}
	if diff := cmp.Diff(action.Runs.Steps[0], steps[1]); diff != "" {
		t.Errorf("the step of the workflow differs (-action +workflow):\n%s", diff)
	}
	for name := range action.Inputs {
		if workflow.On.Call.Inputs[name] == nil {
			t.Errorf("the workflow has no input %s, want those of the action", name)
		}
		want := "${{ inputs." + name + " }}"
		if got := steps[1].Env["IDEM_INPUT_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))]; got != want {
			t.Errorf("the variable of the input %s: got %q, want %q", name, got, want)
		}
	}
}

// An expression in a script would make code of the text of an input, also in the recipes.
func TestNoScriptHasAnExpression(t *testing.T) {
	t.Parallel()
	pasted := func(text string) (scripts int, faults []string) {
		var doc any
		testMust(t, yaml.Unmarshal([]byte(text), &doc))
		eachScript(doc, func(script string) {
			scripts++
			if strings.Contains(script, "${{") {
				faults = append(faults, script)
			}
		})
		return scripts, faults
	}
	if _, faults := pasted("steps:\n  - run: |\n      echo\n      echo ${{ inputs.key }}\n"); len(faults) != 1 {
		t.Errorf("a script with an expression: got the faults %q, want it", faults)
	}
	texts := map[string]string{}
	for _, b := range readBlocks(t, "../docs/recipes.md") {
		if b.lang == "yaml" && strings.Contains(b.section, "GitHub") {
			texts["docs/recipes.md: "+b.section+" "+b.file] = b.text
		}
	}
	for _, file := range []string{"action.yml", ".github/workflows/idem.yml"} {
		text, err := os.ReadFile("../" + file)
		testMust(t, err)
		texts[file] = string(text)
	}
	for name, text := range texts {
		if scripts, faults := pasted(text); scripts == 0 || len(faults) > 0 {
			t.Errorf("%s: got %d scripts, of which these have an expression: %q; want a variable", name, scripts, faults)
		}
	}
}

// eachScript calls f with each script of a workflow or an action.
func eachScript(doc any, f func(string)) {
	switch d := doc.(type) {
	case map[string]any:
		if steps, ok := d["steps"].([]any); ok {
			for _, s := range steps {
				if s, ok := s.(map[string]any); ok {
					if run, ok := s["run"].(string); ok {
						f(run)
					}
				}
			}
		}
		for _, value := range d {
			eachScript(value, f)
		}
	case []any:
		for _, value := range d {
			eachScript(value, f)
		}
	}
}

// recipeGitLab runs the pipeline of the page twice. gitlab-ci-local is a runner of GitLab without a forge.
func recipeGitLab(k *recipeBox) {
	requireTool(k.t, "node")
	requireTool(k.t, "rsync")
	local, err := filepath.Abs("../scripts/tools/forges/node_modules/.bin/gitlab-ci-local")
	testMust(k.t, err)
	if _, err := os.Stat(local); err != nil {
		skipMissing(k.t, "gitlab-ci-local (npm ci in scripts/tools/forges)")
	}
	pipeline := k.nextBlock("yaml")
	k.write(pipeline.file, pipeline.text)
	k.script("deploy.sh", `echo x >>"`+k.dir+`/side"; echo "URL=https://$1.example.com" >>deploy.env; env | grep IDEM_INPUT_ || echo deployed`)
	k.script("announce.sh", `echo "announced $1"`)
	k.repository(map[string]string{"templates/idem.gitlab-ci.yml": "../templates/idem.gitlab-ci.yml"})
	for range 2 {
		r := k.wantStatus(k.start([]string{local, "--variable", "CI_PIPELINE_ID=8471", "--variable", "CI_COMMIT_REF_NAME=" + hostileBranch}).wait(), 0)
		for _, want := range []string{"deploy   > deployed\n", "deployed " + hostileBranch + "\n", "announced https://prod.example.com\n"} {
			if !strings.Contains(r.out, want) {
				k.t.Errorf("got %s%s, want it with %q", r.out, r.err, want)
			}
		}
		k.wantSafe()
		k.wantStatus(k.sh("rm deploy.env"), 0) // a job of GitLab begins without the files of the job before it
	}
	k.wantLines("side", 1)
}

// wantManifest checks that the objects of a block are what Kubernetes takes, and that the check finds a misspelt field, one in
// another case, and one that is there twice.
func wantManifest(t *testing.T, text, field, kinds string) {
	t.Helper()
	check := goTool(t, "../scripts/tools/forges", "manifests")
	decode := func(text string) (string, error) {
		c := exec.Command(check)
		c.Stdin = strings.NewReader(text)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := decode(text); err != nil || out != kinds {
		t.Errorf("got %v and %q, want %q", err, out, kinds)
	}
	line := regexp.MustCompile(`(?m)^ *` + field + `:.*\n`).FindString(text)
	for name, fault := range map[string]string{
		"misspelt":      strings.Replace(line, field, field+"s", 1),
		"in lower case": strings.ToLower(line),
		"twice":         line + line,
	} {
		if out, err := decode(strings.Replace(text, line, fault, 1)); err == nil {
			t.Errorf("%s %s: got %q, want an error", field, name, out)
		}
	}
}

// recipeJob runs the pod as a Job does: a failure starts another pod, and a pod that was killed ends the Job.
func recipeJob(k *recipeBox) {
	text := k.nextBlock("yaml").text
	var job struct {
		Spec struct {
			PodFailurePolicy struct {
				Rules []struct {
					OnExitCodes struct{ Values []int } `yaml:"onExitCodes"`
				}
			} `yaml:"podFailurePolicy"`
			Template struct {
				Spec struct{ Containers []struct{ Command []string } }
			}
		}
	}
	testMust(k.t, yaml.Unmarshal([]byte(text), &job))
	ends := job.Spec.PodFailurePolicy.Rules[0].OnExitCodes.Values
	command := job.Spec.Template.Spec.Containers[0].Command
	k.script("migrate.sh", `echo "$1" >>side; [ -e good ]`)
	if r := k.start(command).wait(); slices.Contains(ends, r.code) {
		k.t.Errorf("a failure: got %+v, which ends the job; want another pod", r)
	}
	k.script("migrate.sh", `echo "$1" >>side; kill -9 $PPID; kill -9 $$`)
	k.start(command).wait()
	if r := k.start(command).wait(); r.code != 79 || !slices.Contains(ends, r.code) {
		k.t.Errorf("after a kill: got %+v, want status 79 among %v", r, ends)
	}
	k.wantLines("side", 2)
	k.wantStatus(k.run("mark", "done", "migrate:v7"), 0)
	k.wantStatus(k.start(command).wait(), 0)
	k.wantLines("side", 2)
	wantManifest(k.t, text, "backoffLimit", "batch/v1 Job\n")
}
