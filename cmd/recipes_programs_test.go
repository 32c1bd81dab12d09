package cmd_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// recipeWebhookServer sends deliveries to a real webhook.
func recipeWebhookServer(k *recipeBox) {
	requireTool(k.t, "webhook")
	hooks, script, serve := k.nextBlock("json"), k.nextBlock("sh"), k.nextBlock("sh").text
	k.write(hooks.file, strings.ReplaceAll(hooks.text, "/usr/local/bin", k.dir))
	k.script(script.file, strings.ReplaceAll(script.text, "/usr/local/bin", k.dir))
	k.script("handle", `cd "$AT"; echo "$1" >>side; until [ -e go ]; do sleep 0.01; done; [ "$1" != bad ] && { cat; echo " handled"; }`)
	const secret = `a"b\c`
	k.setenv("AT", k.dir)
	k.setenv("SECRET", secret)
	port := freePort(k.t)
	k.setenv("PORT", port)
	k.startRecipe(serve)
	k.waitPort(port)
	type answer struct {
		status int
		body   string
	}
	deliver := func(id, body, secret string) answer {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		req, err := http.NewRequest("POST", "http://127.0.0.1:"+port+"/hooks/paid", strings.NewReader(body))
		testMust(k.t, err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Event-Id", id)
		req.Header.Set("X-Signature", hex.EncodeToString(mac.Sum(nil)))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return answer{body: err.Error()}
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		testMust(k.t, err)
		return answer{resp.StatusCode, string(text)}
	}
	const body = `{"order":4711}`
	want := func(what string, got, want answer) {
		k.t.Helper()
		if got.status != want.status || !strings.HasPrefix(got.body, want.body) {
			k.t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	handled := answer{200, body + " handled\n"}
	both := make(chan answer, 2)
	for range 2 {
		go func() { both <- deliver("evt_1", body, secret) }()
	}
	k.waitLines("side", 1)
	k.write("go", "")
	want("a delivery", <-both, handled)
	want("a delivery at the same time", <-both, handled)
	want("a delivery again", deliver("evt_1", body, secret), handled)
	want("another body", deliver("evt_1", `{"order":4712}`, secret), answer{status: 500})
	if got := deliver("evt_2", body, "x"); strings.Contains(got.body, "handled") {
		k.t.Errorf("a wrong signature: got %+v, want a refusal", got)
	}
	for _, id := range []string{"", "a b", "$(touch in)", "../x"} {
		want("a wrong id", deliver(id, body, secret), answer{status: 500})
	}
	k.wantLines("side", 1)
	k.wantNoFile("in")
	for n := range 2 {
		want("a failure", deliver("bad", body, secret), answer{status: 500})
		k.wantLines("side", 2+n)
	}
}

// recipeNightly runs a backup whose warning is a success: of a directory with a file that
// cannot be read, since the user is not root.
func recipeNightly(k *recipeBox, tool, count string, warning int, prepare string) {
	requireTool(k.t, tool)
	k.useUnprivilegedUser()
	line := strings.SplitN(k.nextBlock("cron").text, " ", 6)[5]
	k.setenv("SITE", k.path("site"))
	k.setenv("XDG_CACHE_HOME", k.path("cache"))
	k.wantStatus(k.sh("mkdir site && echo hello >site/index.html && "+prepare), 0)
	archives := func(want string) {
		k.t.Helper()
		if got := strings.TrimSpace(k.wantStatus(k.sh(count), 0).out); got != want {
			k.t.Errorf("%s: got %s archives, want %s", tool, got, want)
		}
	}
	// The first attempt fails: there is no repository at this place.
	if r := k.runRecipe("export RESTIC_REPOSITORY=/nonexistent/r BORG_REPO=/nonexistent/r;" + line); r.code == 0 || r.err == "" {
		k.t.Errorf("without a repository: got %+v, want a failure that cron mails", r)
	}
	k.wantStatus(k.sh("echo secret >site/secret && chmod 000 site/secret"), 0)
	for range 2 {
		if r := k.wantStatus(k.runRecipe(line), 0); r.out != "" || r.err != "" {
			k.t.Errorf("got output %q, %q that cron would mail, want none", r.out, r.err)
		}
		archives("1")
	}
	if rec := k.wantState(tool, "succeeded"); *rec.ExitCode != warning || rec.Attempt != 2 {
		k.t.Errorf("got %+v, want status %d in attempt 2", rec, warning)
	}
	if log := k.run("logs", tool); !strings.Contains(log.out+log.err, "secret") {
		k.t.Errorf("got the log %+v, want the name of the file that was not read", log)
	}
	// The archive is complete again after the next success.
	k.wantStatus(k.sh("chmod 600 site/secret"), 0)
	k.wantStatus(k.run("mark", "retry", "--force", "--latest", tool), 0)
	k.wantStatus(k.runRecipe(line), 0)
	archives("2")
	if rec := k.wantState(tool, "succeeded"); *rec.ExitCode != 0 {
		k.t.Errorf("got %+v, want status 0", rec)
	}
}

func recipeRestic(k *recipeBox) {
	k.setenv("RESTIC_PASSWORD", "x")
	k.setenv("RESTIC_REPOSITORY", k.path("repo"))
	recipeNightly(k, "restic", "restic snapshots --json | jq length", 3, "restic init -q")
}

func recipeBorg(k *recipeBox) {
	k.setenv("BORG_REPO", k.path("repo"))
	k.setenv("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
	recipeNightly(k, "borg", "borg list --short | wc -l", 1, "borg init -e none")
}

// recipeCertificate calls the hook as certbot does.
func recipeCertificate(k *recipeBox) {
	hook, again := k.nextBlock("sh"), k.nextBlock("sh").text
	k.setenv("LETSENCRYPT", k.path("etc"))
	k.wantStatus(k.sh("mkdir -p etc/renewal-hooks/deploy etc/live/a.example etc/live/b.example && touch etc/live/README"), 0)
	k.script("etc/"+hook.file, strings.ReplaceAll(hook.text, "/usr/local/bin/", ""))
	k.script("install-cert", `echo "${1##*/} $(cat "$1/fullchain.pem")" >>side; [ ! -e broken ]`)
	certbot := func(status int) {
		k.t.Helper()
		k.wantStatus(k.sh(`RENEWED_DOMAINS=a.example RENEWED_LINEAGE="$LETSENCRYPT/live/a.example" "$LETSENCRYPT/renewal-hooks/deploy/install"`), status)
	}
	k.write("etc/live/a.example/fullchain.pem", "a1")
	k.write("etc/live/b.example/fullchain.pem", "b1")
	certbot(0)
	certbot(0)
	k.write("etc/live/a.example/fullchain.pem", "a2")
	k.write("broken", "")
	certbot(1)
	testMust(k.t, os.Remove(k.path("broken")))
	for range 2 {
		k.wantStatus(k.runRecipe(again), 0)
	}
	failed := strings.Repeat("a.example a2\n", 1+2) // two retries
	if got, want := k.read("side"), "a.example a1\n"+failed+"a.example a2\nb.example b1\n"; got != want {
		k.t.Errorf("got the installations\n%swant\n%s", got, want)
	}
}

func recipeAnacron(k *recipeBox) {
	requireTool(k.t, "anacron")
	own := func(text string) string { return strings.ReplaceAll(text, "/usr/local/bin", k.dir) }
	tab, cron := k.nextBlock("text"), own(strings.SplitN(k.nextBlock("cron").text, " ", 6)[5])
	k.write(tab.file, "PATH="+binary()+":/usr/bin:/bin\n"+own(tab.text))
	k.script("backup", `cd "$AT"; echo x >>side; [ -e good ]`)
	k.setenv("AT", k.dir)
	testMust(k.t, os.Mkdir(k.path("spool"), 0o755))
	anacron := func(runs int) {
		k.t.Helper()
		k.wantStatus(k.sh(`anacron -d -f -n -t "$AT/`+tab.file+`" -S "$AT/spool"`), 0)
		k.wantLines("side", runs)
	}
	anacron(1) // it fails, and anacron would wait for the next day
	k.write("good", "")
	for range 2 {
		if r := k.wantStatus(k.runRecipe(cron), 0); r.out != "" || r.err != "" {
			k.t.Errorf("got output %q, %q that cron would mail, want none", r.out, r.err)
		}
		k.wantLines("side", 2)
	}
	anacron(2)
}

const rulesTest = `rule_files: [idem.rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1h
    input_series:
      - series: 'idem_job_last_success_timestamp_seconds{namespace="default",job="backup"}'
        values: '0x80'
      - series: 'idem_job_running_since_timestamp_seconds{namespace="default",job="sync"}'
        values: '3600x80'
      - series: 'idem_keys{namespace="default",state="interrupted"}'
        values: '0x40 1x40'
      - series: 'node_textfile_mtime_seconds{file="/var/lib/prometheus/node-exporter/idem.prom"}'
        values: '0+3600x40 144000x40'
    alert_rule_test:
      - {eval_time: 26h, alertname: BackupMissing, exp_alerts: []}
      - eval_time: 27h
        alertname: BackupMissing
        exp_alerts: [{exp_labels: {namespace: default, job: backup}, exp_annotations: {summary: "No backup for more than a day. See: idem show --latest backup"}}]
      - {eval_time: 40h, alertname: BackupUnknown, exp_alerts: []}
      - {eval_time: 6h, alertname: RunsTooLong, exp_alerts: []}
      - eval_time: 8h
        alertname: RunsTooLong
        exp_alerts: [{exp_labels: {namespace: default, job: sync}, exp_annotations: {summary: "sync has run for more than six hours."}}]
      - {eval_time: 40h, alertname: OutcomeUnknown, exp_alerts: []}
      - eval_time: 41h
        alertname: OutcomeUnknown
        exp_alerts: [{exp_annotations: {summary: "Calls are refused until their outcome is known. See: idem list --state interrupted"}}]
      - {eval_time: 40h, alertname: IdemMetricsOld, exp_alerts: []}
      - eval_time: 42h
        alertname: IdemMetricsOld
        exp_alerts: [{exp_labels: {file: /var/lib/prometheus/node-exporter/idem.prom}, exp_annotations: {summary: "The timer of idem-metrics does not write its file. No other alert of idem can be trusted."}}]
  - interval: 1h
    input_series: [{series: up, values: '1x40'}]
    alert_rule_test:
      - {eval_time: 25h, alertname: BackupUnknown, exp_alerts: []}
      - eval_time: 27h
        alertname: BackupUnknown
        exp_alerts: [{exp_labels: {job: backup}, exp_annotations: {summary: "There never was a backup, or the metrics are missing."}}]
`

// recipePrometheus evaluates the alerts, and checks that the metrics that they name exist.
func recipePrometheus(k *recipeBox) {
	requireTool(k.t, "promtool")
	requireTool(k.t, "systemd-analyze")
	units := []block{k.nextBlock("ini"), k.nextBlock("ini")}
	rules := k.nextBlock("yaml")
	k.write(rules.file, rules.text)
	k.write("rules-test.yml", rulesTest)
	k.wantStatus(k.sh("promtool check rules "+rules.file+" 2>&1"), 0)
	if r := k.sh("promtool test rules rules-test.yml 2>&1"); r.code != 0 {
		k.t.Errorf("promtool test rules: got\n%s", r.out)
	}
	for _, u := range units {
		k.write(u.file, strings.NewReplacer("/usr/local/bin/idem", filepath.Join(binary(), "idem"), "/var/lib/idem", k.ledger,
			"/var/lib/prometheus/node-exporter", k.dir).Replace(u.text))
	}
	r := k.sh("systemd-analyze verify --man=no ./" + units[0].file + " ./" + units[1].file + " 2>&1")
	if strings.Contains(r.out, units[0].file) || strings.Contains(r.out, units[1].file) {
		k.t.Errorf("got %s, want it without %q and %q", r.out, units[0].file, units[1].file)
	}
	k.wantStatus(k.run("run", "--key", "backup", "--per", "day", "--", "true"), 0)
	k.idem("run", "--key", "running", "--", "sleep", "300")
	k.waitUntil("a running key", func() bool { return k.listedState("running") == "running" })
	_, start, ok := strings.Cut(k.read(units[0].file), "\nExecStart=")
	if !ok {
		k.t.Fatal("got no ExecStart, want one")
	}
	k.wantStatus(k.runRecipe(start), 0)
	metrics := k.read("idem.prom")
	for _, want := range []string{
		"idem_job_last_success_timestamp_seconds{namespace=\"default\",job=\"backup\"} ", "idem_keys{namespace=\"default\",state=\"interrupted\"} 0\n",
		"idem_job_running_since_timestamp_seconds{namespace=\"default\",job=\"running\"} ",
	} {
		if !strings.Contains(metrics, want) {
			k.t.Errorf("got the metrics\n%swant %s", metrics, want)
		}
	}
}

// recipeLogs checks that each call adds one line, also calls at the same time.
func recipeLogs(k *recipeBox) {
	requireTool(k.t, "jq")
	requireTool(k.t, "flock")
	line := k.nextBlock("sh").text
	k.setenv("LOG", k.dir)
	k.script("nightly.sh", "echo x >>side; exit $(cat status)")
	k.write("status", "1")
	k.wantStatus(k.runRecipe(line), 1)
	k.write("status", "0")
	k.wantStatus(k.runRecipe(line), 0)
	var calls []*call
	for range 5 {
		calls = append(calls, k.startRecipe(line))
	}
	for _, c := range calls {
		k.wantStatus(c.wait(), 0)
	}
	got := ""
	for l := range strings.Lines(k.read("idem.jsonl")) {
		var o struct {
			Key, Action string
			Status      int
		}
		if err := json.Unmarshal([]byte(l), &o); err != nil || o.Key != "nightly" {
			k.t.Fatalf("got %q (%v), want an object about the key", l, err)
		}
		got += o.Action + " "
	}
	if want := "executed executed " + strings.Repeat("replayed ", 5); got != want {
		k.t.Errorf("got the actions %q, want %q", got, want)
	}
}
