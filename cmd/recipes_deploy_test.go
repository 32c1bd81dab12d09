package cmd_test

import (
	"fmt"
	"strings"
)

func recipeNewest(k *recipeBox) {
	requireTool(k.t, "git")
	deploy, newest := k.nextBlock("sh").text, k.nextBlock("sh")
	k.script(newest.file, newest.text)
	k.setenv("CHECKOUT", k.path("checkout"))
	k.setenv("AT", k.dir)
	k.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
	push := func(version int) {
		k.wantStatus(k.sh(fmt.Sprintf(`cd origin && echo %d >version && git add . && git -c user.name=a -c user.email=a@example.com commit -qm %d`, version, version)), 0)
	}
	k.wantStatus(k.sh(`git init -q origin`), 0)
	k.script("origin/deploy.sh", `cat "$CHECKOUT/version" >>"$AT/live"; until [ -e "$AT/go" ]; do sleep 0.01; done`)
	push(0)
	k.wantStatus(k.sh(`git clone -q origin checkout`), 0)

	calls := []*call{k.startRecipe(deploy)}
	k.waitLines("live", 1)
	for version := 1; version <= 10; version++ {
		push(version)
		said := fmt.Sprintf("said.%d", version)
		calls = append(calls, k.startRecipe("{ "+deploy+"\n} 2>"+said))
		k.waitLines(said, 1)
		if text := k.read(said); !strings.HasPrefix(text, `idem: note: waiting for key "deploy:prod" to run it again: attempt 1 is running`) {
			k.t.Errorf("push %d: got %q, want a note that it waits", version, text)
		}
	}
	k.write("go", "")
	for _, c := range calls {
		k.wantStatus(c.wait(), 0)
	}
	if got := k.read("live"); got != "0\n10\n" {
		k.t.Errorf("deployed: got %q, want the first commit and the newest one", got)
	}
	// After a failure, each call tries again.
	k.wantStatus(k.sh(`rm -rf checkout`), 0)
	k.wantStatus(k.runRecipe(deploy), 128)
	k.wantStatus(k.sh(`git clone -q origin checkout`), 0)
	k.wantStatus(k.runRecipe(deploy), 0)
}

func recipeRollback(k *recipeBox) {
	deploy, show := k.nextBlock("sh").text, k.nextBlock("sh").text
	k.script("deploy.sh", `echo "$2" >>live; echo "deployed $2"`)
	const a, b = "4f2c1e88a1b1d0f7c2c9c6f0a1f0f6b3f3b0a9d2", "b7d0c5a2e1f4a3b6c9d8e7f0a1b2c3d4e5f6a7b8"
	for _, version := range []string{a, b, a, a} {
		if r := k.wantStatus(k.runRecipe("VERSION="+version+"\n"+deploy), 0); r.out != "deployed "+version+"\n" {
			k.t.Errorf("%s: got %q, want its output", version, r.out)
		}
	}
	if got := k.read("live"); got != a+"\n"+b+"\n"+a+"\n" {
		k.t.Errorf("deployed: got %q, want A, B and A", got)
	}
	text := k.wantStatus(k.runRecipe(show), 0).out
	for _, want := range []string{
		"         argument 2: was \"" + a + "\"\n                     now \"" + b + "\"\n3        succeeded ",
		"         argument 2: was \"" + b + "\"\n                     now \"" + a + "\"\n",
	} {
		if !strings.Contains(text, want) {
			k.t.Errorf("show: got\n%s\nwant in it\n%s", text, want)
		}
	}
	_, history, _ := strings.Cut(text, "\n\n")
	for line := range strings.Lines(history) {
		if n := len(line) - 1; n > 80 {
			k.t.Errorf("show: got a line of %d characters, want at most 80: %s", n, line)
		}
	}
	k.checkKeyPerDeployment(deploy)
}

// checkKeyPerDeployment checks why the recipe prefers a key for each deployment in CI: a
// job that is started again rolls back here.
func (k *recipeBox) checkKeyPerDeployment(deploy string) {
	const job = `idem run --key "deploy:prod:$JOB" -- ./deploy.sh prod "$VERSION"`
	for _, c := range []struct{ job, version string }{{"1", "A"}, {"2", "B"}, {"1", "A"}} {
		k.wantStatus(k.runRecipe("JOB="+c.job+" VERSION="+c.version+"\n"+deploy), 0)
	}
	if got := k.read("live"); !strings.HasSuffix(got, "A\nB\nA\n") {
		k.t.Errorf("a key for the target: got %q, want a rollback by the job that is started again", got)
	}
	for _, c := range []struct{ job, version string }{{"1", "A"}, {"2", "B"}, {"1", "A"}} {
		k.wantStatus(k.runRecipe("JOB="+c.job+" VERSION="+c.version+"\n"+job), 0)
	}
	if got := k.read("live"); !strings.HasSuffix(got, "A\nB\nA\nA\nB\n") {
		k.t.Errorf("a key for each deployment: got %q, want no rollback", got)
	}
}
