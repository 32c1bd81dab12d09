//go:build postgres

package cmd_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"idem/internal/testkit"
)

// once runs the examples of commands that record their success in their transaction. The call
// of each is repeated, and one is killed after the commit.
func (k *pageBox) once() {
	k.t.Helper()
	k.execute("create role app login")
	k.login("app")
	k.paste(k.nextBlock("sh").text) // init --grant-done
	k.paste(`psql -q postgres://idem_owner@db.example/ops -c 'create table payment (order_id text, amount integer)' -c 'grant insert on payment to app'`)
	_, script, _ := strings.Cut(k.nextBlock("sh").text, "\n") // without #!
	k.script("pay.sh", strings.Replace(k.of(script), "exec psql", "psql", 1)+"[ ! -e kill ] || kill -9 $PPID")
	k.write("pay.sql", k.nextBlock("sql").text)
	call := "export IDEM_LEDGER=postgres://ci@db.example/ops\n" + k.nextBlock("sh").text
	k.paste("ORDER=1\n" + call)
	k.write("kill", "")
	k.runRecipe(k.of("ORDER=2\n" + call))
	for _, order := range []string{"1", "2"} {
		k.paste("ORDER=" + order + "\n" + call)
	}
	python := k.of(k.nextBlock("python").text)
	k.write("pay.py", python)
	k.write("main.go", "package main\n\nimport (\n\t\"context\"\n\t\"os\"\n\t\"strconv\"\n\n\t\"github.com/jackc/pgx/v5\"\n)\n\nfunc main() {\n"+
		"\tctx, order := context.Background(), os.Args[1]\n\tdb, err := pgx.Connect(ctx, os.Args[2])\n\tif err != nil {\n\t\tpanic(err)\n\t}\n"+
		strings.Replace(k.nextBlock("go").text, "err :=", "err =", 1)+"\tif err != nil {\n\t\tpanic(err)\n\t}\n}\n")
	build := exec.Command("go", "build", "-o", k.path("pay-go"), k.path("main.go"))
	if out, err := build.CombinedOutput(); err != nil {
		k.t.Fatalf("the example in Go: %v\n%s", err, out)
	}
	programs := map[string]string{"3": "./pay-go 3 postgres://app@db.example/ops"}
	if k.sh("/usr/bin/python3 -c 'import psycopg'").code == 0 {
		programs["4"] = "/usr/bin/python3 pay.py 4"
	} else {
		k.t.Run("psycopg", func(t *testing.T) { testkit.Missing(t, "psycopg (Debian package python3-psycopg)") })
	}
	want := "1 2"
	for order, program := range programs {
		for range 2 {
			k.paste("export IDEM_LEDGER=postgres://ci@db.example/ops\nidem run --key pay:" + order + " -- " + program)
		}
	}
	for _, order := range []string{"3", "4"} {
		if programs[order] != "" {
			want += " " + order
		}
	}
	rows := `psql -Atc "select string_agg(order_id, ' ' order by order_id) from payment" postgres://idem_owner@db.example/ops`
	if got := k.paste(rows).out; got != want+"\n" {
		k.t.Errorf("got rows of the orders %s, want %s", got, want)
	}
	killed := `psql -Atc "select reason from idem.record where key = 'pay:2'" postgres://idem_owner@db.example/ops`
	if got := k.paste(killed).out; got != "transaction\n" {
		k.t.Errorf("the killed call: got the reason %q, want transaction", got)
	}
}

// inline runs the commands in the text of the page.
func (k *pageBox) inline() {
	k.t.Helper()
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile("`(idem [a-z]+ [^`]*(?:URL|KEY)[^`]*)`").FindAllStringSubmatch(readFile(k.t, sharedPage), -1) {
		if !seen[m[1]] {
			k.paste("export IDEM_LEDGER=postgres://ci@db.example/ops\n" +
				strings.NewReplacer("URL", "postgres://idem_owner@db.example/ops", "KEY", "tls").Replace(m[1]))
		}
		seen[m[1]] = true
	}
	if len(seen) < 4 {
		k.t.Errorf("got the commands %v, want at least 4", seen)
	}
}

// TestSharedRecipes runs recipes of docs/recipes.md that several hosts may share on a shared
// ledger.
func TestSharedRecipes(t *testing.T) {
	testkit.Slow(t, "recipes on a server")
	blocks := readBlocks(t, "../docs/recipes.md")
	f := sharedDirect(t)
	for _, section := range []string{
		"A backup, once per day", "One deploy at a time for each target", "Three jobs at once, a migration alone", "A webhook that is delivered twice",
		"A payment, with the provider's help", "A result that can disappear", "A mail or a ping about the outcome", "An order that may be cancelled",
	} {
		t.Run(section, func(t *testing.T) {
			t.Parallel()
			if recipes[section] == nil {
				t.Fatalf("got no recipe %q, want one", section)
			}
			var own []block
			for _, b := range blocks {
				if b.section == section {
					own = append(own, b)
				}
			}
			k := newRecipeBox(t, own)
			place, err := f.newLedger(t)
			testMust(t, err)
			k.ledger = place
			k.setenv("IDEM_LEDGER", place)
			k.setenv("STATE_DIRECTORY", k.path("state"))
			recipes[section](k)
		})
	}
}
