package cmd_test

import (
	"os"
	"strings"
)

// This file tests the sections of docs/recipes.md about lines that a shell reads before
// idem does.

// stepScripts makes scripts that fail while the file fail exists, and add a line to side.
func (k *recipeBox) stepScripts(names ...string) {
	k.t.Helper()
	for _, name := range names {
		k.script(name, `echo "$0${*:+ $*}" >>side; echo "out of $0"; [ ! -e "fail$0" ]`)
	}
}

// failing makes a script fail, or not.
func (k *recipeBox) failing(name string, fails bool) {
	k.t.Helper()
	k.wantStatus(k.sh("rm -rf fail. && mkdir fail."), 0)
	if fails {
		k.write("fail./"+name, "")
	}
}

// wantSide runs a text as runRecipe does, and checks its status and the lines that it
// adds to side.
func (k *recipeBox) wantSide(text string, status int, want string) result {
	k.t.Helper()
	k.write("side", "")
	r := k.wantStatus(k.runRecipe(text), status)
	if got := strings.ReplaceAll(strings.TrimSpace(k.read("side")), "\n", ", "); got != want {
		k.t.Errorf("got the commands %q, want %q", got, want)
	}
	return r
}

func recipeTwoCommands(k *recipeBox) {
	two, one := k.nextBlock("sh").text, k.nextBlock("sh").text
	k.setenv("VERSION", "2; touch injected")
	k.stepScripts("build.sh", "publish.sh")
	const build, publish = "./build.sh 2; touch injected", "./publish.sh 2; touch injected"

	k.failing("publish.sh", true)
	k.wantSide(two, 1, build+", "+publish)
	k.wantSide(one, 1, build+", "+publish)
	k.failing("build.sh", true)
	k.wantSide(one, 1, build)
	k.failing("", false)
	k.wantSide(two, 0, publish)
	k.wantSide(one, 0, build+", "+publish)
	k.wantSide(two, 0, "")
	k.wantSide(one, 0, "")
	if _, err := os.Stat(k.path("injected")); err == nil {
		k.t.Error("got a value that was read as code, want an argument")
	}
	// The page warns of these lines: the second command runs at every replay, or after a
	// failure of the first.
	k.wantSide("idem run --key K -- ./build.sh && ./publish.sh", 0, "./build.sh, ./publish.sh")
	k.wantSide("idem run --key K -- ./build.sh && ./publish.sh", 0, "./publish.sh")
	k.failing("build.sh", true)
	k.wantSide("idem run --key semicolon -- sh -c './build.sh; ./publish.sh'", 0, "./build.sh, ./publish.sh")
}

func recipePipe(k *recipeBox) {
	inside, after, without, before := k.nextBlock("bash").text, k.nextBlock("bash").text, k.nextBlock("sh").text, k.nextBlock("sh").text
	k.setenv("DAY", "2026-11-22")
	k.stepScripts("dump.sh", "report.sh", "orders.sh")
	k.script("import.sh", `cat >>imported`)

	k.failing("dump.sh", true)
	k.wantSide(inside, 1, "./dump.sh")
	k.wantSide(strings.Replace(strings.Replace(inside, "dump:", "hidden:", 1), "-o pipefail ", "", 1), 0, "./dump.sh")
	k.failing("", false)
	k.wantSide(inside, 0, "./dump.sh")
	k.wantSide(inside, 0, "")
	if got := k.sh("gzip -dc dump.gz").out; got != "out of ./dump.sh\n" {
		k.t.Errorf("dump.gz: got %q, want the dump", got)
	}

	k.failing("report.sh", true)
	k.wantSide(after, 1, "./report.sh 2026-11-22")
	k.wantSide(strings.Replace(after, "set -o pipefail", "", 1), 0, "./report.sh 2026-11-22")
	k.wantSide(without, 1, "./report.sh 2026-11-22")
	k.failing("", false)
	k.wantSide(after, 0, "./report.sh 2026-11-22")
	for _, text := range []string{after, without} {
		k.write("report.log", "")
		k.wantSide(text, 0, "")
		if got := k.read("report.log"); got != "out of ./report.sh\n" {
			k.t.Errorf("report.log: got %q, want the output", got)
		}
	}

	for range 2 {
		k.wantSide(before, 0, "./orders.sh")
		if got := k.read("imported"); got != "out of ./orders.sh\n" {
			k.t.Errorf("imported: got %q, want it once", got)
		}
	}
	k.script("orders.sh", "echo more")
	k.wantStatus(k.runRecipe(before), 65)
	// The page warns of the call without the flag.
	counted := func(lines string) string {
		return "set -o pipefail; seq " + lines + " | idem run --key count -- wc -l"
	}
	k.wantStatus(k.runRecipe(counted("3")), 0)
	if r := k.wantStatus(k.runRecipe(counted("1000000")), 141); r.out != "3\n" {
		k.t.Errorf("got %+v, want the old result and a producer that died of SIGPIPE", r)
	}
}

func recipeStrict(k *recipeBox) {
	script := k.nextBlock("sh")
	k.script(script.file, script.text)
	k.setenv("DAY", "2026-11-22")
	k.stepScripts("fetch.sh", "load.sh")
	const fetch, load = "./fetch.sh 2026-11-22", "./load.sh 2026-11-22"
	k.failing("fetch.sh", true)
	k.wantSide("./"+script.file, 1, fetch)
	k.failing("load.sh", true)
	k.wantSide("./"+script.file, 1, fetch+", "+load)
	k.failing("", false)
	k.wantSide("./"+script.file, 0, load)
	k.wantSide("./"+script.file, 0, "")
	// The step runs elsewhere.
	k.wantStatus(k.run("forget", "load:2026-11-22"), 0)
	k.script("load.sh", "echo x >>loading; until [ -e go ]; do sleep 0.01; done")
	first := k.startRecipe("exec ./" + script.file)
	k.waitLines("loading", 1)
	k.wantStatus(k.runRecipe("./"+script.file), 0)
	k.wantLines("loading", 1)
	// Its outcome is unknown.
	first.killAll()
	k.write("go", "")
	if r := k.runRecipe("./" + script.file); r.code != 79 { // with the replayed output of the first step
		k.t.Errorf("got %+v, want status 79", r)
	}
	k.wantLines("loading", 1)
}

func recipeBackground(k *recipeBox) {
	background, before := k.nextBlock("sh").text, k.nextBlock("bash").text
	k.setenv("DAY", "2026-11-22")
	k.stepScripts("index.sh", "thumbs.sh", "rebuild.sh", "verify.sh")
	k.failing("index.sh", true)
	k.wantStatus(k.runRecipe(background), 1)
	k.failing("", false)
	k.wantSide(background, 0, "./index.sh 2026-11-22")
	k.wantSide(background, 0, "")

	k.failing("rebuild.sh", true)
	k.wantStatus(k.runRecipe(before), 1)
	k.failing("", false)
	k.wantSide(before, 0, "./rebuild.sh 2026-11-22")
	k.wantSide(before, 0, "")

	// The page warns of this line: a success is recorded while the job runs.
	k.script("index.sh", "exec >/dev/null 2>&1; until [ -e go ]; do sleep 0.01; done; echo x >>indexed")
	k.wantStatus(k.runRecipe("idem run --key early -- sh -c './index.sh >/dev/null 2>&1 &'"), 0)
	k.wantState("early", "succeeded")
	k.wantLines("indexed", 0)
	k.write("go", "")
	k.waitLines("indexed", 1)
}

func recipeCleanup(k *recipeBox) {
	pack := k.nextBlock("sh").text
	k.setenv("VERSION", "2")
	k.script("pack.sh", `echo "$1" >>side; touch work/file; [ ! -e fail ]`)
	cleaned := func() {
		k.t.Helper()
		if _, err := os.Stat(k.path("work")); err == nil {
			k.t.Error("got a directory that the trap removes, want it removed")
		}
	}
	k.write("fail", "")
	k.wantSide(pack, 1, "2")
	cleaned()
	if err := os.Remove(k.path("fail")); err != nil {
		k.t.Fatal(err)
	}
	k.wantSide(pack, 0, "2")
	cleaned()
	k.wantSide(pack, 0, "")
}

// The server starts when the migration is done, and not before. After a kill, the probe
// decides.
func recipeEntrypoint(k *recipeBox) {
	entry := k.nextBlock("sh")
	k.script(entry.file, entry.text)
	k.setenv("VERSION", "8")
	k.script("serve", "echo x >>served")
	k.script("migrate.sh", "echo x >>migrated; test -e good")
	k.script("migrated.sh", "exit $(cat answer)")
	k.wantStatus(k.runRecipe("./"+entry.file), 1)
	k.wantLines("served", 0)
	k.write("good", "")
	for range 2 {
		k.wantStatus(k.runRecipe("./"+entry.file), 0)
	}
	k.wantLines("served", 2)
	k.wantLines("migrated", 2)
	for _, c := range []struct{ answer, migrated string }{{"0", "1"}, {"1", "2"}, {"2", "1"}} {
		k.wantStatus(k.sh("rm -f migrated served go"), 0)
		k.wantStatus(k.run("forget", "migrate:8"), 0)
		k.script("migrate.sh", "echo x >>migrated; until [ -e go ]; do sleep 0.01; done")
		first := k.startRecipe("exec ./" + entry.file)
		k.waitLines("migrated", 1)
		first.killAll()
		k.write("go", "")
		k.wantLines("served", 0)
		k.write("answer", c.answer)
		status := 0
		if c.answer == "2" {
			status = 79
		}
		k.wantStatus(k.runRecipe("./"+entry.file), status)
		if got := k.sh("wc -l <migrated").out; strings.TrimSpace(got) != c.migrated {
			k.t.Errorf("the probe says %s: got %s migrations, want %s", c.answer, got, c.migrated)
		}
	}
	// The page warns of this flag: the server starts, whatever the probe says.
	k.wantLines("served", 0)
	k.script(entry.file, strings.Replace(entry.text, "--wait", "--exit-code interrupted=0 --wait", 1))
	k.wantStatus(k.runRecipe("./"+entry.file), 0)
	k.wantLines("served", 1)
}
