//go:build postgres

package cmd_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"idem/ledger/postgres/pgtest"
)

// pageBox runs the blocks of a page on a separate server, with the names of the page.
type pageBox struct {
	*recipeBox
	server *pgtest.Server
}

// newPageBox starts a server on which no role of the page exists yet. Logins need passwords,
// which the file of the user has.
func newPageBox(t *testing.T, blocks []block) *pageBox {
	k := &pageBox{newRecipeBox(t, blocks), pgtest.Start(t, pgtest.Options{TLS: true})}
	k.server.Exec(t, "drop owned by idem_owner; drop role idem_owner")
	k.setenv("IDEM_LEDGER", "")
	k.setenv("STATE_DIRECTORY", k.path("state"))
	k.setenv("PGPASSFILE", pgtest.PassFile(t))
	return k
}

// of returns a text with the server of the test in place of that of the page.
func (k *pageBox) of(text string) string {
	return strings.NewReplacer("db.example", k.server.TCPAddr().String(), "/etc/ssl/db-ca.pem", k.server.CA()).Replace(text)
}

// execute executes statements one by one: create database is not possible in a transaction.
func (k *pageBox) execute(text string) {
	k.t.Helper()
	for statement := range strings.SplitSeq(text, ";\n") {
		k.server.Exec(k.t, statement)
	}
}

// login gives the roles of the page the password of the file.
func (k *pageBox) login(roles ...string) {
	k.t.Helper()
	for _, role := range roles {
		k.server.Exec(k.t, "alter role "+role+" password '"+pgtest.Password+"'")
	}
}

// paste runs a block up to its first failure, and expects none.
func (k *pageBox) paste(text string) result {
	k.t.Helper()
	return k.wantStatus(k.runRecipe("set -e\n"+k.of(text)), 0)
}

// install runs the lines that build and install the programs, with the programs of the test
// in place of new ones.
func (k *pageBox) install(lines string) {
	k.t.Helper()
	k.script("go", `echo "$CGO_ENABLED $*" >>built
case "$*" in *postgres*) cp `+binary()+`/idem-postgres . ;; *) cp `+binary()+`/idem . ;; esac`)
	k.script("sudo", `exec "$@"`)
	k.wantStatus(k.sh("mkdir bin"), 0)
	k.paste(strings.ReplaceAll(lines, "/usr/local/bin/", "bin/"))
	want := "0 build -ldflags=-E=idem_start -o idem .\n0 build -ldflags=-E=idem_start -tags postgres -o idem-postgres .\n"
	if got := k.read("built"); got != want {
		k.t.Errorf("got the builds\n%swant\n%s", got, want)
	}
	k.wantStatus(k.sh("cmp idem bin/idem && cmp idem-postgres bin/idem-postgres"), 0)
}

// TestSharedREADME installs as README.md says, and then runs its section about several hosts
// on two of them at the same moment.
func TestSharedREADME(t *testing.T) {
	t.Parallel()
	k := newPageBox(t, nil)
	_, lines, _ := strings.Cut(pageBlock(t, readmeFile, "sudo install"), "(as root: installs the packages that they need)\n")
	k.install(lines)
	k.execute("create role owner login;\ncreate role ci login;\ncreate database ops owner owner")
	k.login("owner", "ci")
	k.script("deploy.sh", `echo deployed | tee -a log; until [ -e end ]; do sleep 0.01; done`)
	text := k.of(pageBlock(t, readmeFile, "ledger init"))
	init, job, _ := strings.Cut(text, "export")
	k.paste(init)
	host := func(name string) *call {
		return k.startRecipe("CI_PIPELINE_ID=7 STATE_DIRECTORY=" + k.path(name) + "; export STATE_DIRECTORY\nset -e\nexport" + job)
	}
	one := host("one")
	k.waitLines("log", 1)
	two := host("two")
	k.waitUntil("the second host waits", func() bool {
		said, err := os.ReadFile(two.err)
		return err == nil && strings.Contains(string(said), "waiting for key")
	})
	k.write("end", "")
	for _, c := range []*call{one, two} {
		if r := k.wantStatus(c.wait(), 0); r.out != "deployed\n" {
			t.Errorf("got %q, want the output of the deploy", r.out)
		}
	}
	k.wantLines("log", 1)
}

// TestSharedPage runs the blocks of docs/shared.md in their order, as an operator pastes them.
func TestSharedPage(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"psql", "python3"} {
		requireTool(t, tool)
	}
	k := newPageBox(t, readBlocks(t, sharedPage))
	k.install(k.nextBlock("sh").text)
	k.execute(k.nextBlock("sql").text)
	k.login("idem_owner", "ci")
	k.script("deploy.sh", `echo x >>deployed`)
	k.paste(k.nextBlock("sh").text)
	k.wantLines("deployed", 1)

	k.execute("create role team_a login")
	k.login("team_a")
	k.script("nightly.sh", `echo x >>nightly`)
	k.paste(k.nextBlock("sh").text) // roles and grants
	k.wantLines("nightly", 1)

	k.paste(k.nextBlock("sh").text + "idem ledger check | grep -q '^ok *tls *TLS'\nidem run --key tls -- true")
	k.script("aws", `echo "$*" >asked; echo '`+pgtest.Password+`'`)
	k.paste("export PGPASSFILE=/dev/null\n" + k.nextBlock("sh").text + "idem run --ledger postgres://ci@db.example/ops --key token -- true")
	if got, want := k.read("asked"), "rds generate-db-auth-token --hostname "; !strings.HasPrefix(got, want) {
		t.Errorf("got the call aws %s, want aws %s", got, want)
	}
	k.pool(k.nextBlock("ini").text, k.nextBlock("sh").text)
	k.paste(k.nextBlock("sh").text) // confirm
	k.pod(k.nextBlock("yaml").text)
	k.move(k.nextBlock("sh").text)
	k.once()
	k.inline()
	if len(k.left) > 0 {
		t.Errorf("got the unused blocks %+v, want none", k.left)
	}
}

// pool runs a PgBouncer with the settings of the page, and a call that goes through it.
func (k *pageBox) pool(ini, export string) {
	k.t.Helper()
	users := filepath.Join(filepath.Dir(k.server.CA()), "userlist.txt")
	testMust(k.t, os.WriteFile(users, []byte(`"ci" "`+pgtest.Password+"\"\n"), 0o644))
	conf := map[string]string{}
	_, section, _ := strings.Cut(ini, "[pgbouncer]\n")
	for line := range strings.Lines(section) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		conf[key] = value
	}
	if want := []string{"auth_file", "auth_type", "default_pool_size", "listen_addr", "max_client_conn", "pool_mode", "query_wait_timeout", "server_login_retry"}; !slices.Equal(slices.Sorted(maps.Keys(conf)), want) {
		k.t.Errorf("got the settings %v, want %v", conf, want)
	}
	conf["auth_file"] = users
	p := k.server.Pooler(k.t, pgtest.PoolerOptions{TCP: true, Conf: conf})
	k.paste(strings.Replace(export, "127.0.0.1:6432", p.TCPAddr().String(), 1) + "\nidem ledger check | grep 'a pooler is between'\nidem run --key pooled -- true")
}

// pod runs the command of the container with its environment, twice.
func (k *pageBox) pod(manifest string) {
	k.t.Helper()
	k.wantStatus(k.sh("mkdir db pod; cp "+k.server.CA()+" db/ca.crt; printf '"+pgtest.Password+"' >db/password"), 0)
	k.script("invoices", `echo x >>invoiced`)
	c := readManifest(k.t, manifest).Spec.JobTemplate.Spec.Template.Spec.Containers[0]
	at := strings.NewReplacer("pgbouncer.db.svc:6432", k.server.TCPAddr().String(), "/db/", k.path("db")+"/", "/state", k.path("pod"))
	line := "export PGPASSFILE=/dev/null\n"
	for _, e := range c.Env {
		line += "export " + e.Name + "='" + at.Replace(e.Value) + "'\n"
	}
	for range 2 {
		k.paste(line + strings.Join(c.Command, " "))
	}
	k.wantLines("invoiced", 1)
}

// move carries a ledger of a directory over to the server, and back to another directory. Then
// nothing that has succeeded runs again.
func (k *pageBox) move(text string) {
	k.t.Helper()
	requireTool(k.t, "jq")
	k.script("job", `echo "$*" >>jobs; echo "$*"; [ "$*" != bad ]`)
	k.script("job-steps", `x=$(idem step one -- job one); idem step deep -- sh -c 'idem step two -- job two'; echo "$x"; [ -e good ]`)
	jobs := `
idem run --key plain -- job plain
idem run --key 'odd key' --namespace other -- job other
idem run --key daily --per day --at 2026-11-22 --tz UTC -- job daily
idem run --key script --resumable -- job-steps
printf '%s\n' item bad | idem each --key batch -- job {} || :
`
	k.write("good", "")
	k.paste("export IDEM_LEDGER=$PWD/old" + jobs + "rm good\nidem run --key unfinished --resumable -- job-steps || :")
	want := k.lines("jobs")
	moved := func(place string) string {
		return k.paste("idem list --ledger '" + place + "' --json | jq -r '.[] | [.namespace, .key, .window, .state] | @tsv' | sort").out
	}
	shared := "postgres://ci@db.example/ops?schema=moved"
	owner := strings.Replace(shared, "ci@", "idem_owner@", 1)
	k.paste("export IDEM_LEDGER=$PWD/old NEW='" + owner + "'\n" + text)
	k.paste("idem ledger init --grant ci '" + owner + "' >&2")
	got := moved(shared)
	for _, want := range []string{"default\tplain\t", "other\todd key\t", "default\tdaily\t2", "default\tscript\t"} {
		if !strings.Contains(got, want) {
			k.t.Errorf("got the records\n%swant %q among them", got, want)
		}
	}
	_, back, _ := strings.Cut(text, "\n") // the first call creates a directory
	k.paste("export IDEM_LEDGER='" + shared + "' NEW=$PWD/new\n" + back)
	if back := moved("new"); back != got {
		k.t.Errorf("back in a directory: got\n%swant\n%s", back, got)
	}
	k.write("good", "")
	for _, place := range []string{shared, "$PWD/new"} {
		out := k.paste("export IDEM_LEDGER=\"" + place + "\"" + jobs + "idem run --key unfinished --resumable -- job-steps").out
		if want := "plain\nother\ndaily\ntwo\none\n"; !strings.HasPrefix(out, want) || !strings.HasSuffix(out, "two\none\n") {
			k.t.Errorf("%s: got %q, want %q, and the values of the unfinished script", place, out, want)
		}
		want++ // the item that failed
		k.wantLines("jobs", want)
	}
}
