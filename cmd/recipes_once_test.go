package cmd_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"idem/internal/testkit"
	"idem/ledger/postgres/pgtest"
)

// This file runs docs/exactly-once.md under kills.

func TestExactlyOnce(t *testing.T) {
	cookPage(t, "../docs/exactly-once.md", map[string]func(*recipeBox){
		"SQLite":            recipeOnceSQLite,
		"PostgreSQL":        recipeOncePostgres,
		"MySQL and MariaDB": recipeOnceMySQL,
	})
}

// onceRecipe is the section of one database.
type onceRecipe struct {
	*recipeBox
	call string
	sql  func(query string) string // asks the database
	real string                    // the client of the database
	n    int                       // the orders so far
}

// newOnceRecipe writes the files of the section, and makes its table and the one of the credits.
func newOnceRecipe(k *recipeBox, client string, sql func(query string) string) *onceRecipe {
	k.t.Helper()
	testkit.Slow(k.t, "the calls are killed at several points")
	k.setenv("AT", k.dir)
	table := k.nextBlock("sh").text
	o := &onceRecipe{recipeBox: k, call: k.nextBlock("sh").text, sql: sql, real: client}
	for _, b := range k.left {
		if b.lang == "sql" {
			k.write(b.file, b.text)
		} else {
			k.script(b.file, b.text)
		}
	}
	k.left = nil
	k.setenv("CENTS", "5")
	for range 2 {
		k.wantStatus(k.runRecipe(table), 0)
	}
	sql("create table credits (account integer not null, cents integer not null)")
	return o
}

// client replaces the client of the database with one that kills at a point that the file
// point names. The arguments of the transaction contain write, and those of the probe do not.
// inside runs the real client, and kills it after the statements and before their commit.
func (o *onceRecipe) client(write, inside string) {
	o.t.Helper()
	o.script(filepath.Base(o.real), fmt.Sprintf(`real=%s
case "$*" in *%s*) ;; *) exec $real "$@" ;; esac
read -r point victim <"$AT/point" || exec $real "$@"
if [ $point = meet ]; then
  echo x >>"$AT/met"
  until [ "$(grep -c x "$AT/met")" -ge 2 ]; do sleep 0.01; done
  exec $real "$@"
fi
: >"$AT/point"
die() {
  echo x >>"$AT/died"
  idem=$(cut -d' ' -f4 /proc/$PPID/stat)
  case $victim in
    idem) kill -9 $idem ;;
    command) kill -9 0 ;;
    both) kill -9 $idem; kill -9 0 ;;
  esac
}
case $point in
  before) die; exec $real "$@" ;;
  inside) %s
    die; exit 1 ;;
  after) $real "$@"; status=$?; die; exit $status ;;
esac`, o.real, write, inside))
}

// order names the next order, which no call had before.
func (o *onceRecipe) order() (line, key string) {
	o.n++
	return fmt.Sprintf("ORDER=%d ACCOUNT=%d; %s", o.n, o.n, o.call), fmt.Sprintf("credit:%d", o.n)
}

// settles makes the call again after a kill. The key is busy while the command of the killed
// idem lives.
func (o *onceRecipe) settles(what, line, key string) {
	o.t.Helper()
	var r result
	o.waitUntil(what+": an end of the killed call", func() bool {
		r = o.runRecipe(line)
		return r.code != 75
	})
	o.wantStatus(r, 0)
	o.wantStatus(o.run("check", key), 0)
	o.wantOnce(what)
}

// wantOnce checks that each order has its effect, once.
func (o *onceRecipe) wantOnce(what string) {
	o.t.Helper()
	got := o.sql("select count(*), count(distinct account), sum(cents), (select count(*) from idem_done) from credits")
	if want := fmt.Sprintf("%d|%d|%d|%d\n", o.n, o.n, 5*o.n, o.n); got != want {
		o.t.Fatalf("%s: got credits, accounts, cents and tokens %q, want %q", what, got, want)
	}
}

func (o *onceRecipe) underKills() {
	o.write("point", "")
	line, key := o.order()
	began := time.Now()
	o.settles("no kill", line, key)
	usual := time.Since(began)

	for _, point := range []string{"before", "inside", "after"} {
		for _, victim := range []string{"idem", "command", "both"} {
			what := fmt.Sprintf("%s killed %s the transaction", victim, point)
			line, key := o.order()
			o.write("point", point+" "+victim+"\n")
			o.write("died", "")
			if r := o.runRecipe(line); r.code == 0 {
				o.t.Fatalf("%s: got %+v, want a death", what, r)
			}
			o.wantLines("died", 1)
			o.settles(what, line, key)
		}
	}
	mark := o.env[slices.IndexFunc(o.env, func(kv string) bool { return strings.HasPrefix(kv, "IDEM_E2E=") })]
	for i := range 8 {
		line, key := o.order()
		c := o.startRecipe(strings.Replace(line, "idem run", "exec idem run", 1))
		// The moment is not what proves anything: at any moment, the effect happens once.
		after := time.Duration(rand.Int64N(int64(usual)))
		time.Sleep(after)
		if i%2 == 0 {
			_ = syscall.Kill(c.pid(), syscall.SIGKILL) // it may have ended
		} else {
			killMarked(mark)
		}
		c.wait()
		o.settles(fmt.Sprintf("killed after %v", after), line, key)
	}

	// Two hosts that do not share a ledger make the same call. Both probes say "not done" before
	// both transactions begin. A third host adopts what they did.
	line, _ = o.order()
	o.write("point", "meet\n")
	o.write("met", "")
	hosts := []*call{o.startRecipe(line), o.startRecipe("IDEM_LEDGER=$AT/other; " + line)}
	for _, c := range hosts {
		o.wantStatus(c.wait(), 0)
	}
	o.wantLines("met", 2)
	o.write("point", "")
	o.wantStatus(o.runRecipe("IDEM_LEDGER=$AT/third; "+line), 0)
	o.wantOnce("three ledgers")
	// A failure of the transaction is a failure.
	o.n++
	o.wantStatus(o.runRecipe(fmt.Sprintf("ORDER=x ACCOUNT=%d CENTS=x; %s", o.n, o.call)), 1)
	o.n--
	o.wantOnce("a failure")
	// A probe that cannot look refuses an unknown outcome.
	line, _ = o.order()
	o.write("point", "after both\n")
	o.runRecipe(line)
	o.waitUntil("an end of the killed call", func() bool { return o.run("wait", fmt.Sprintf("credit:%d", o.n)).code == 79 })
	o.wantStatus(o.runRecipe("export DB=/nonexistent/db PGPORT=1; "+line), 79)
	o.wantStatus(o.runRecipe(line), 0)
	o.wantOnce("a probe that could not look")
}

func recipeOnceSQLite(k *recipeBox) {
	requireTool(k.t, "sqlite3")
	k.setenv("DB", k.path("app.db"))
	real := strings.TrimSpace(k.wantStatus(k.sh("command -v sqlite3"), 0).out)
	o := newOnceRecipe(k, real, func(query string) string {
		return k.wantStatus(k.start([]string{real, k.path("app.db"), query}).wait(), 0).out
	})
	o.client("-bail", `{ grep -v ^commit; echo '.shell kill -9 $PPID'; } | $real "$@"`)
	o.underKills()

	// A kill during the commit leaves a journal that the probe must roll back.
	line, key := o.order()
	o.sql("create table pad (text)")
	o.write("point", "inside both\n")
	o.client("-bail", `{ echo "pragma cache_size = 1; pragma cache_spill = 1;"; grep -v ^commit
		echo "insert into pad with recursive n (i) as (select 1 union all select i + 1 from n where i < 200) select randomblob(4000) from n;"
		echo '.shell kill -9 $PPID'; } | $real "$@"`)
	o.runRecipe(line)
	if o.size("app.db-journal") == 0 {
		o.t.Error("got no journal after the kill, want one")
	}
	o.settles("a kill that leaves a journal", line, key)
}

func recipeOncePostgres(k *recipeBox) {
	requireTool(k.t, "psql")
	server := pgtest.Start(k.t, pgtest.Options{})
	k.setenv("PGHOST", filepath.Dir(server.Addr().String()))
	k.setenv("PGUSER", pgtest.Superuser)
	k.setenv("PGDATABASE", "postgres")
	real := strings.TrimSpace(k.wantStatus(k.sh("command -v psql"), 0).out)
	o := newOnceRecipe(k, real, func(query string) string {
		return k.wantStatus(k.start([]string{real, "-XAqtc", query}).wait(), 0).out
	})
	o.client("credit.sql", `{ cat credit.sql; echo '\! kill -9 $PPID'; } >killed.sql
    $real -X -q -v ON_ERROR_STOP=1 --single-transaction -v token="$IDEM_TOKEN" -v account=$ACCOUNT -v cents=5 -f killed.sql`)
	o.underKills()
	// The values are data, whatever they contain.
	o.wantStatus(o.runRecipe(`ORDER=q ACCOUNT="1'); drop table credits; --"; `+o.call), 1)
	o.wantOnce("a value that contains a statement")
}

func recipeOnceMySQL(k *recipeBox) {
	requireTool(k.t, "mariadbd")
	requireTool(k.t, "mysql")
	server := newBox(k.t) // its process is not killed with those of the calls
	testMust(k.t, os.Mkdir(server.path("data"), 0o700))
	socket := server.path("sock")
	options := []string{
		"--no-defaults", "--skip-networking", "--skip-grant-tables", "--innodb-log-file-size=4M", "--innodb-data-file-path=ibdata1:4M:autoextend",
		"--datadir=" + server.path("data"), "--pid-file=" + server.path("pid"), "--socket=" + socket,
	}
	if os.Geteuid() == 0 {
		options = append(options, "--user=root")
	}
	serving := server.start(append([]string{"mariadbd"}, options...))
	k.write(".my.cnf", "[client]\nsocket = "+socket+"\n") // of the HOME of the box
	k.setenv("DB", "app")
	real := strings.TrimSpace(k.wantStatus(k.sh("command -v mysql"), 0).out)
	k.waitUntil("the server", func() bool {
		if !serving.running() {
			k.t.Fatalf("got no server, want one: %s", k.read(serving.err))
		}
		return k.sh("mysql -e 'create database if not exists app'").code == 0
	})
	o := newOnceRecipe(k, real, func(query string) string {
		r := k.wantStatus(k.start([]string{real, "--batch", "--skip-column-names", "app", "-e", query}).wait(), 0)
		return strings.ReplaceAll(r.out, "\t", "|")
	})
	o.client("--skip-reconnect", `{ grep -v ^commit; echo '\! kill -9 $PPID'; } | $real "$@"`)
	o.underKills()
}
