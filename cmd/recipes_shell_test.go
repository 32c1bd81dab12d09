package cmd_test

import (
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
	files := k.nextBlock("sh").text
	k.wantStatus(k.sh("mkdir inbox && touch inbox/1.csv 'inbox/2 b.csv' inbox/3.csv"), 0)
	k.script("import.sh", `echo "$1" >>imported; [ "$1" != inbox/1.csv ] || [ -e good ]`)
	k.wantStatus(k.runRecipe(files), 1)
	k.wantLines("imported", 3)
	k.write("good", "")
	for range 2 {
		k.wantStatus(k.runRecipe(files), 0)
		k.wantLines("imported", 4)
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
