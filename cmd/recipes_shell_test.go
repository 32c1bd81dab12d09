package cmd_test

import (
	"os"
	"strings"
	"testing"
)

// This file tests the sections of docs/recipes.md about a shell around a call.

// A refused call leaves the report as it was.
func recipeRedirection(k *recipeBox) {
	report := k.nextBlock("sh").text
	k.setenv("DAY", "2026-11-22")
	k.script("report.sh", `echo x >>side; echo "report of $1"`)
	for range 2 {
		k.wantStatus(k.runRecipe(report), 0)
		if got := k.read("report.csv"); got != "report of 2026-11-22\n" {
			k.t.Errorf("report.csv: got %q, want the report", got)
		}
	}
	k.wantLines("side", 1)
	k.wantStatus(k.runRecipe(strings.Replace(report, `./report.sh "$DAY"`, `./report.sh "$DAY" --all`, 1)), 65)
	if got := k.read("report.csv"); got != "report of 2026-11-22\n" {
		k.t.Errorf("report.csv after a refusal: got %q, want it unchanged", got)
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
		k.t.Errorf("plans: got %q, want %q", got, "free\n")
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
			k.t.Errorf("mailed: got %q, want %q", got, "ada\ngrace\n")
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

// The server starts when the migration is done, and not before.
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
	requireRoot(k.t) // sudo asks root for no password
	payout := k.nextBlock("sh").text
	k.setenv("MONTH", "2026-11")
	k.script("payout.sh", `echo "$1 ${IDEM_TOKEN-none}" >>paid`)
	k.wantStatus(k.runRecipe(payout), 0)
	token := strings.TrimSpace(k.wantStatus(k.run("token", "payout:2026-11"), 0).out)
	if got := k.read("paid"); got != "2026-11 "+token+"\n" {
		k.t.Errorf("paid: got %q, want the token %s", got, token)
	}
	// By default, sudo removes the token from the environment.
	if err := os.Remove(k.path("paid")); err != nil {
		k.t.Fatal(err)
	}
	k.wantStatus(k.run("forget", "payout:2026-11"), 0)
	k.wantStatus(k.runRecipe(strings.Replace(payout, " --preserve-env=IDEM_TOKEN", "", 1)), 0)
	if got := k.read("paid"); got != "2026-11 none\n" {
		k.t.Errorf("paid: got %q, want no token", got)
	}
}

// The README's deployment is keyed by the pipeline. A rollback to an earlier
// commit is another deployment, and a second run of the same pipeline is not.
func TestE2EDeployOfTheREADMERollsBack(t *testing.T) {
	t.Parallel()
	k := newRecipeBox(t, nil)
	deploy := pageBlock(t, readmeFile, "CI_PIPELINE_ID")
	k.script("deploy.sh", `echo x >>side; echo "$2" >live; echo "deployed $2"`)
	for _, pipeline := range []string{"1 a", "1 a", "2 b", "3 a"} {
		id, commit, _ := strings.Cut(pipeline, " ")
		if r := k.wantStatus(k.runRecipe("CI_PIPELINE_ID="+id+" CI_COMMIT_SHA="+commit+"; "+deploy), 0); r.out != "deployed "+commit+"\n" {
			t.Errorf("pipeline %s: got %+v, want stdout %q", pipeline, r, "deployed "+commit+"\n")
		}
		if live := k.read("live"); live != commit+"\n" {
			t.Errorf("pipeline %s: got %q live, want %q", pipeline, live, commit+"\n")
		}
	}
	k.wantLines("side", 3)
}
