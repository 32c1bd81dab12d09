package cmd_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"idem/internal/testkit"
)

// postgres starts a server for the test and returns the directory of its socket. The server
// refuses to run as root, so it then runs as an unprivileged user.
func postgres(t *testing.T) string {
	t.Helper()
	requireTool(t, "psql")
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			bins = append(bins, filepath.Dir(path))
		}
	}
	if len(bins) == 0 {
		skipMissing(t, "initdb")
	}
	bin := bins[len(bins)-1]
	dir, err := os.MkdirTemp("/tmp", "idem-pg")
	testMust(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	attr := &syscall.SysProcAttr{Setsid: true}
	if os.Geteuid() == 0 {
		nobody, err := user.Lookup("nobody")
		testMust(t, err)
		uid, _ := strconv.Atoi(nobody.Uid)
		gid, _ := strconv.Atoi(nobody.Gid)
		testMust(t, os.Chown(dir, uid, gid))
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	run := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, name), args...)
		c.Dir, c.SysProcAttr, c.Env = dir, attr, []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
		return c
	}
	if out, err := run("initdb", "-D", dir+"/data", "-U", "idem", "-A", "trust", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	server := run("postgres", "-D", dir+"/data", "-k", dir, "-c", "listen_addresses=", "-F")
	testMust(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGQUIT) // at once
		_ = server.Wait()
	})
	return dir
}

func testMust(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// recipeBackfill migrates a database of a real server. Each statement has its effect once.
func recipeBackfill(k *recipeBox) {
	testkit.Slow(k.t, "the script is killed after each of its steps")
	blocks := slices.Clone(k.left)
	k.left = nil
	dir := postgres(k.t)
	databases := 0
	effects := `expand.sql
part=0 backfill.sql
part=1 backfill.sql
part=2 backfill.sql
contract.sql
`
	stepRecipe{
		run: `./migrate-steps.sh`, effects: effects, out: "0\n",
		prepare: func(k *recipeBox) {
			databases++
			k.setenv("PGHOST", dir)
			k.setenv("PGUSER", "idem")
			k.setenv("PGDATABASE", "postgres")
			real := strings.TrimSpace(k.wantStatus(k.sh("command -v psql"), 0).out)
			k.waitUntil("the server", func() bool { return k.sh("psql -Atc 'select 1'").code == 0 })
			k.wantStatus(k.sh(fmt.Sprintf(`psql -qc 'create database d%d'`, databases)), 0)
			k.setenv("PGDATABASE", fmt.Sprintf("d%d", databases))
			k.wantStatus(k.sh(`psql -qc "create table customers (id int primary key, first text, last text, filled int default 0);
				insert into customers select n, 'f' || n, 'l' || n from generate_series(1, 250) n"`), 0)
			k.write("expand.sql", "alter table customers add name text;\n")
			k.write("backfill.sql", "update customers set name = first || ' ' || last, filled = filled + 1 where id / 100 = :part;\n")
			k.write("contract.sql", "alter table customers drop first, drop last;\n")
			k.script("psql", fmt.Sprintf(`case "$*" in *.sql) echo "$*" | sed 's/.*transaction //; s/-[vf] //g' >>"$AT/effects" ;; esac
exec %s "$@"`, real))
		},
		check: func(k *recipeBox) {
			r := k.wantStatus(k.sh(`psql -Atc "select count(*), min(filled), max(filled), max(name) from customers"`), 0)
			if want := "250|1|1|f99 l99\n"; r.out != want {
				k.t.Errorf("the table: got %q, want %q", r.out, want)
			}
		},
	}.resumes(blocks, k.t)
}
