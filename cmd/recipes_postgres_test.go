package cmd_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"idem/internal/testkit"
	"idem/ledger/postgres/pgtest"
)

// recipeBackfill migrates a database of a real server. Each statement has its effect once.
func recipeBackfill(k *recipeBox) {
	testkit.Slow(k.t, "the script is killed after each of its steps")
	blocks := slices.Clone(k.left)
	k.left = nil
	requireTool(k.t, "psql")
	dir := filepath.Dir(pgtest.Start(k.t, pgtest.Options{}).Addr().String())
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
			k.setenv("PGUSER", pgtest.Superuser)
			k.setenv("PGDATABASE", "postgres")
			real := strings.TrimSpace(k.wantStatus(k.sh("command -v psql"), 0).out)
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
