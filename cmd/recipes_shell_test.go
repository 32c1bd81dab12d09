package cmd_test

import (
	"os"
	"strings"
	"testing"
)

// What a shell does around a call, in the sections of docs/recipes.md.

// A call that is refused leaves the report as it was.
func recipeRedirection(k *recipeBox) {
	report := k.nextBlock("sh").text
	k.setenv("DAY", "2026-11-22")
	k.script("report.sh", `echo x >>side; echo "report of $1"`)
	for range 2 {
		k.wantStatus(k.runRecipe(report), 0)
		if got := k.read("report.csv"); got != "report of 2026-11-22\n" {
			k.t.Errorf("the report is %q", got)
		}
	}
	k.wantLines("side", 1)
	k.wantStatus(k.runRecipe(strings.Replace(report, `./report.sh "$DAY"`, `./report.sh "$DAY" --all`, 1)), 65)
	if got := k.read("report.csv"); got != "report of 2026-11-22\n" {
		k.t.Errorf("after a refusal, the report is %q", got)
	}
}

func recipeHereDocument(k *recipeBox) {
	requireTool(k.t, "sqlite3")
	seed := k.nextBlock("sh").text
	k.setenv("DB", k.path("app.db"))
	for range 2 {
		k.wantStatus(k.runRecipe(seed), 0)
	}
	if got := k.sh("sqlite3 app.db 'select name from plans'").out; got != "free\n" {
		k.t.Errorf("the plans are %q", got)
	}
	k.wantStatus(k.runRecipe(strings.Replace(seed, "'free'", "'paid'", 1)), 65)
}

func recipeLoop(k *recipeBox) {
	loop := k.nextBlock("sh").text
	k.write("users.txt", "ada\ngrace\n")
	k.script("mail.sh", `cat; echo "$1" >>mailed`)
	for range 2 {
		k.wantStatus(k.runRecipe(loop), 0)
		if got := k.read("mailed"); got != "ada\ngrace\n" {
			k.t.Errorf("mailed: %q", got)
		}
	}
}

func recipeFunction(k *recipeBox) {
	notify := k.nextBlock("bash").text
	k.setenv("ORDER", "4711")
	k.setenv("USER_NAME", "ada lovelace")
	k.script("mail.sh", `echo "$1" >>mailed`)
	for range 2 {
		if r := k.wantStatus(k.runRecipe(notify), 0); r.out != "told ada lovelace\n" {
			k.t.Errorf("got %+v, want stdout %q", r, "told ada lovelace\n")
		}
	}
	k.wantLines("mailed", 1)
	k.wantStatus(k.runRecipe("USER_NAME=grace; "+notify), 65)
}

func recipeTimeStamp(k *recipeBox) {
	k.setenv("DAY", "2026-11-22")
	k.script("export.sh", `test -n "$STAMP" && echo x >>exported`)
	k.script("upload.sh", `echo "$2" >>uploaded`)
	for _, file := range []string{"exported", "uploaded"} {
		text := k.nextBlock("sh").text
		for range 2 {
			k.wantStatus(k.runRecipe(text), 0)
		}
		k.wantLines(file, 1)
	}
}

// The server is started when the migration is done, and only then.
func recipeEntrypoint(k *recipeBox) {
	entry := k.nextBlock("sh")
	k.script(entry.file, entry.text)
	k.setenv("VERSION", "8")
	k.script("serve", "echo x >>served")
	k.script("migrate.sh", "echo x >>migrated; test -e good")
	k.wantStatus(k.runRecipe("./"+entry.file), 1)
	k.wantLines("served", 0)
	k.write("good", "")
	for range 2 {
		k.wantStatus(k.runRecipe("./"+entry.file), 0)
	}
	k.wantLines("served", 2)
	k.wantLines("migrated", 2)
}

func recipeSudo(k *recipeBox) {
	requireTool(k.t, "sudo")
	requireRoot(k.t) // who is asked for no password
	payout := k.nextBlock("sh").text
	k.setenv("MONTH", "2026-11")
	k.script("payout.sh", `echo "$1 ${IDEM_TOKEN-none}" >>paid`)
	k.wantStatus(k.runRecipe(payout), 0)
	token := strings.TrimSpace(k.wantStatus(k.run("token", "payout:2026-11"), 0).out)
	if got := k.read("paid"); got != "2026-11 "+token+"\n" {
		k.t.Errorf("paid %q, the token is %s", got, token)
	}
	// As sudo would do it unasked.
	if err := os.Remove(k.path("paid")); err != nil {
		k.t.Fatal(err)
	}
	k.wantStatus(k.run("forget", "payout:2026-11"), 0)
	k.wantStatus(k.runRecipe(strings.Replace(payout, " --preserve-env=IDEM_TOKEN", "", 1)), 0)
	if got := k.read("paid"); got != "2026-11 none\n" {
		k.t.Errorf("sudo keeps the token without being told: %q", got)
	}
}

// The README's deploy names the pipeline: a rollback to an earlier commit is a
// deployment of its own, and the same pipeline run again is not.
func TestE2EDeployOfTheREADMERollsBack(t *testing.T) {
	t.Parallel()
	k := newRecipeBox(t, nil)
	deploy := pageBlock(t, readmeFile, "CI_PIPELINE_ID")
	k.script("deploy.sh", `echo x >>side; echo "$2" >live; echo "deployed $2"`)
	for _, pipeline := range []string{"1 a", "1 a", "2 b", "3 a"} {
		id, commit, _ := strings.Cut(pipeline, " ")
		if r := k.wantStatus(k.runRecipe("CI_PIPELINE_ID="+id+" GIT_COMMIT="+commit+"; "+deploy), 0); r.out != "deployed "+commit+"\n" {
			t.Errorf("pipeline %s: %+v", pipeline, r)
		}
		if live := k.read("live"); live != commit+"\n" {
			t.Errorf("pipeline %s: %q is live", pipeline, live)
		}
	}
	k.wantLines("side", 3)
}
