package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/goccy/go-yaml"
)

// recipes has the check of each section of docs/recipes.md.
var recipes = map[string]func(*recipeBox){
	"A plan and its changes, with terraform": recipePlan,
	"A tool of a coding agent":               recipeTool,
	"A backup, once per day":                 recipeBackup,
	"A job every 15 minutes":                 recipeQuarterHour,
	"Once per boot":                          recipeBoot,
	"Copying with rsync":                     recipeMirror,
	"A deploy, in GitHub Actions":            recipeDeploy,
	"The newest state wins":                  recipeNewest,
	"A target with rollbacks":                recipeRollback,
	"One deploy at a time for each target":   recipeTarget,
	"Three jobs at once, a migration alone":  recipePlaces,
	"A webhook that is delivered twice":      recipeWebhook,
	"A payment, with the provider's help":    recipePayment,
	"A migration that must never run twice":  recipeMigration,
	"A result that can disappear":            recipeVerify,
	"Trying again, with patience":            recipeRetry,
	"Output in a file":                       recipeRedirection,
	"Two commands":                           recipeTwoCommands,
	"A pipe":                                 recipePipe,
	"A here-document":                        recipeHereDocument,
	"A loop over lines":                      recipeLoop,
	"A function of a script":                 recipeFunction,
	"A script that stops at errors":          recipeStrict,
	"In the background":                      recipeBackground,
	"Cleaning up":                            recipeCleanup,
	"A time stamp":                           recipeTimeStamp,
	"The entrypoint of a container":          recipeEntrypoint,
	"sudo":                                   recipeSudo,
	"su":                                     recipeSu,
	"A mail or a ping about the outcome":     recipeHooks,
	"A chat message about every call":        recipeChat,
	"A systemd timer":                        recipeSystemd,
	"A Kubernetes CronJob":                   recipeKubernetes,
	"A Kubernetes Job":                       recipeJob,
	"The action and the workflow for GitHub": recipeGitHub,
	"A job template for GitLab":              recipeGitLab,
	"A deploy in steps":                      deploySteps.recipe,
	"An order that may be cancelled":         recipeOrder,
	"A migration with a backfill":            recipeBackfill,
	"A certificate, once a week":             certSteps.recipe,
	"Users who leave":                        recipeOffboard,
	"Files of a day":                         loadSteps.recipe,
	"A release in steps":                     releaseSteps.recipe,
	"A report by cron, in steps":             reportSteps.recipe,
}

func TestRecipes(t *testing.T) { cookPage(t, "../docs/recipes.md", recipes) }

func recipeBackup(k *recipeBox) {
	line := k.nextBlock("cron").text
	fields := strings.SplitN(line, " ", 6) // as crontab(5)
	if len(fields) != 6 || fields[5][:6] != " idem " {
		k.t.Fatalf("got %q, want a cron line", fields)
	}
	site, backups := k.t.TempDir(), k.t.TempDir()
	k.setenv("SITE", site)
	k.setenv("BACKUPS", backups)
	k.write(filepath.Join(site, "index.html"), "<p>hello")
	for range 3 {
		if r := k.wantStatus(k.runRecipe(fields[5]), 0); r.out != "" || r.err != "" {
			k.t.Errorf("got output %q, %q that cron would mail, want none", r.out, r.err)
		}
	}
	if got := k.sh("tar -xzOf " + backups + "/site.tgz ./index.html").out; got != "<p>hello" {
		k.t.Errorf("the backup: got %q, want %q", got, "<p>hello")
	}
	if n := k.show("backup").Attempt; n != 1 {
		k.t.Errorf("got %d attempts, want 1", n)
	}
	k.wantStatus(k.run("mark", "retry", "--force", "--latest", "backup"), 0)
	k.wantStatus(k.sh("rm -r "+site), 0)
	if r := k.runRecipe(fields[5]); r.code == 0 || !strings.Contains(r.err, "tar: ") {
		k.t.Errorf("a backup of nothing: got %+v, want tar's error", r)
	}
}

// A tick fails, the next one succeeds, one more replays, and then a new window begins.
// The run of that window lasts into the next one.
func recipeQuarterHour(k *recipeBox) {
	fields := strings.SplitN(k.nextBlock("cron").text, " ", 6)
	at := func(minute string) string {
		return strings.Replace(fields[5], "--per 15m", "--per 15m --tz UTC --at 2026-11-22T14:"+minute, 1)
	}
	k.script("sync.sh", `echo "$IDEM_WINDOW" >>side; echo out; [ -e good ]`)
	if r := k.wantStatus(k.runRecipe(at("15")), 1); r.out != "out\n" {
		k.t.Errorf("a failure: got %+v, want the output", r)
	}
	silent := func(minute string, status int) {
		k.t.Helper()
		if r := k.wantStatus(k.runRecipe(at(minute)), status); r.out != "" || r.err != "" {
			k.t.Errorf("minute %s: got output %q, %q that cron would mail, want none", minute, r.out, r.err)
		}
	}
	k.write("good", "")
	for _, minute := range []string{"20", "25", "29:59"} {
		silent(minute, 0)
	}
	k.wantLines("side", 2)
	k.script("sync.sh", `echo "$IDEM_WINDOW" >>side; until [ -e go ]; do sleep 0.01; done`)
	long := k.startRecipe(at("30"))
	k.waitLines("side", 3)
	silent("45", 0)
	k.write("go", "")
	k.wantStatus(long.wait(), 0)
	silent("50", 0)
	want := strings.Repeat("2026-11-22T14:15+00:00/PT15M\n", 2) + "2026-11-22T14:30+00:00/PT15M\n2026-11-22T14:45+00:00/PT15M\n"
	if got := k.read("side"); got != want {
		k.t.Errorf("got the windows %q, want %q", got, want)
	}
}

// cron starts twice during one boot.
func recipeBoot(k *recipeBox) {
	line, ok := strings.CutPrefix(k.nextBlock("cron").text, "@reboot ")
	if !ok {
		k.t.Fatalf("got %q, want a line for the start of cron", line)
	}
	k.script("warm-cache.sh", `echo x >>side`)
	for range 2 {
		k.wantStatus(k.runRecipe(line), 0)
	}
	k.wantLines("side", 1)
}

func recipeMirror(k *recipeBox) {
	requireTool(k.t, "rsync")
	mirror := k.nextBlock("sh").text
	site, to := k.t.TempDir(), k.t.TempDir()
	k.setenv("SITE", site)
	k.setenv("MIRROR", to)
	k.write(filepath.Join(site, "index.html"), "<p>hello")
	k.wantStatus(k.runRecipe(mirror), 0)
	if got := k.read(filepath.Join(to, "index.html")); got != "<p>hello" {
		k.t.Errorf("the mirror: got %q, want %q", got, "<p>hello")
	}
	// This stand-in copies and then ends as rsync does when files vanish.
	k.script("rsync", `PATH=/usr/bin:/bin rsync "$@"; exit 24`)
	k.wantStatus(k.run("forget", "--latest", "mirror"), 0)
	k.wantStatus(k.runRecipe(mirror), 0)
	if rec := k.wantState("mirror", "succeeded"); *rec.ExitCode != 24 {
		k.t.Errorf("got %+v, want status 24", rec)
	}
}

func recipeDeploy(k *recipeBox) {
	var doc struct {
		Concurrency string
		Steps       []struct {
			ID, If, Run string
			Env         map[string]string
		}
	}
	if err := yaml.UnmarshalWithOptions([]byte(k.nextBlock("yaml").text), &doc, yaml.DisallowUnknownField()); err != nil || len(doc.Steps) != 2 {
		k.t.Fatalf("got error %v and %+v, want two steps", err, doc)
	}
	k.script("deploy.sh", `echo x >>side; ln -sfn "$(cat commit)" live; echo "url=https://$1.example.com" >>"$GITHUB_OUTPUT"; echo deployed`)
	k.setenv("GITHUB_ACTIONS", "true")
	// These are runs of the workflow: commit a, the same run started again,
	// commit b, and back to commit a.
	runs := []struct{ id, commit, action string }{{"8471", "a", "executed"}, {"8471", "a", "replayed"}, {"8472", "b", "executed"}, {"8473", "a", "executed"}}
	for _, run := range runs {
		file := filepath.Join(k.t.TempDir(), "output")
		k.write(file, "before=1\n")
		k.write("commit", run.commit)
		r := k.wantStatus(k.runRecipe("export GITHUB_RUN_ID="+run.id+" GITHUB_OUTPUT="+file+"; "+doc.Steps[0].Run), 0)
		if r.out != "deployed\n" || strings.Contains(r.err, "::notice") != (run.action == "replayed") {
			k.t.Errorf("run %s: got %+v, want a deployment that is %s", run.id, r, run.action)
		}
		outputs := k.read(file)
		for _, want := range []string{"before=1\n", "url=https://prod.example.com\n", "idem_action=" + run.action + "\n", "idem_key=deploy:prod:" + run.id + "\n", "idem_exit_code=0\n", "idem_run_id="} {
			if strings.Count(outputs, want) != 1 {
				k.t.Errorf("run %s: got the outputs %q, want %q once", run.id, outputs, want)
			}
		}
		if live, _ := os.Readlink(k.path("live")); live != run.commit {
			k.t.Errorf("run %s: got %q live, want %q", run.id, live, run.commit)
		}
	}
	k.wantLines("side", 3)
	if want := "steps.deploy.outputs.idem_action == 'executed'"; doc.Steps[0].ID != "deploy" || doc.Steps[1].If != want || doc.Concurrency == "" {
		k.t.Errorf("got %+v, want a second step that is skipped, and no two deployments at once", doc)
	}
}

func recipeWebhook(k *recipeBox) {
	hook := k.nextBlock("sh").text
	k.script("handle.sh", `echo x >>side; until [ -e go ]; do sleep 0.01; done; cat; echo " handled"`)
	k.setenv("EVENT_ID", "evt_1")
	body := func(text, hook string) string { return "printf '" + text + "' | " + hook }
	first := k.startRecipe(body("paid", hook))
	k.waitLines("side", 1)
	second := k.startRecipe(body("paid", hook))
	k.wantStatus(k.runRecipe(body("unpaid", hook)), 65)
	k.write("go", "")
	for _, c := range []*call{first, second, k.startRecipe(body("paid", hook))} {
		if r := k.wantStatus(c.wait(), 0); r.out != "paid handled\n" {
			k.t.Errorf("got %+v, want stdout %q", r, "paid handled\n")
		}
	}
	k.wantLines("side", 1)
}

func recipeMigration(k *recipeBox) {
	requireTool(k.t, "sqlite3")
	migrate, probe := k.nextBlock("sh").text, k.nextBlock("sh")
	k.script(probe.file, probe.text)
	db := k.path("app.db")
	k.setenv("DB", db)
	// The migration is committed, and then the power fails.
	const key = "migrate:invoices-v2"
	powerFails := func(first *call) { // the command has a separate process group
		first.killAll()
		k.wantStatus(k.sh("kill -9 $(cat pids)"), 0)
		k.wantStatus(k.run("wait", key), 79)
	}
	wantProbed := func() {
		k.wantStatus(k.runRecipe(migrate), 0)
		if rec := k.wantState(key, "succeeded"); rec.Reason != "probed" || len(rec.Attempts) != 2 {
			k.t.Errorf("got %+v, want reason probed and two attempts", rec)
		}
	}
	k.write("migrate.sql", "create table invoices_v2 (id integer primary key);\n.shell echo $PPID $$ >pids; touch committed; until [ -e go ]; do sleep 0.01; done\n")
	first := k.startRecipe("exec " + migrate)
	k.waitUntil("the commit", func() bool { _, err := os.Stat(k.path("committed")); return err == nil })
	powerFails(first)
	k.wantStatus(k.runRecipe(migrate), 0)
	wantProbed()
	// The migration was not committed. The probe reports it, and the migration
	// runs.
	k.wantStatus(k.run("forget", key), 0)
	k.wantStatus(k.sh("rm app.db committed"), 0)
	k.write("migrate.sql", ".shell echo $PPID $$ >pids; touch committed; until [ -e go ]; do sleep 0.01; done\ncreate table invoices_v2 (id integer primary key);\n")
	first = k.startRecipe("exec " + migrate)
	k.waitUntil("the start", func() bool { _, err := os.Stat(k.path("committed")); return err == nil })
	powerFails(first)
	k.write("go", "")
	k.wantStatus(k.sh("sqlite3 app.db 'create table other (id)'"), 0)
	k.wantStatus(k.runRecipe(migrate), 0)
	if rec := k.wantState(key, "succeeded"); rec.Attempt != 2 {
		k.t.Errorf("got %+v, want attempt %d", rec, 2)
	}
	// The migration is committed, and then a signal kills it. It is done.
	k.wantStatus(k.run("forget", key), 0)
	k.wantStatus(k.sh("rm app.db"), 0)
	k.write("migrate.sql", "create table invoices_v2 (id integer primary key);\n.shell kill -9 $PPID\n")
	if r := k.runRecipe(migrate); r.sig != syscall.SIGKILL && r.code != 128+int(syscall.SIGKILL) {
		k.t.Errorf("got %+v, want a death by SIGKILL", r)
	}
	wantProbed()
	// It was killed before that. It is a failure.
	k.wantStatus(k.run("forget", key), 0)
	k.wantStatus(k.sh("rm app.db; sqlite3 app.db 'create table other (id)'"), 0)
	k.write("migrate.sql", ".shell kill -9 $PPID\ncreate table invoices_v2 (id integer primary key);\n")
	k.runRecipe(migrate)
	k.wantStatus(k.runRecipe(migrate), 80)
	// A failure is not repeated.
	k.wantStatus(k.run("forget", key), 0)
	k.write("migrate.sql", "create table other (id);\n")
	if r := k.runRecipe(migrate); r.code == 0 || r.code >= 64 { // the table exists already
		k.t.Errorf("got %+v, want the command's failure", r)
	}
	k.wantStatus(k.runRecipe(migrate), 80)
}

func recipeVerify(k *recipeBox) {
	build := k.nextBlock("sh").text
	k.setenv("SHA", "4f2c1e")
	k.script("build.sh", `echo x >>side; mkdir -p build; echo "$1" >"build/$1.tar"; echo built`)
	for i := range 4 {
		if r := k.wantStatus(k.runRecipe(build), 0); r.out != "built\n" {
			k.t.Errorf("got %+v, want stdout %q", r, "built\n")
		}
		k.wantLines("side", 1+i/2)
		if i == 1 {
			k.wantStatus(k.sh("rm -r build"), 0)
		}
	}
}
