//go:build postgres

package cmd_test

import (
	"path/filepath"
	"strings"
	"testing"

	"idem/ledger/postgres/pgtest"
)

// TestSharedPageDone runs the example of docs/shared.md for a command that records its success
// in its transaction. Its call is repeated, and killed after the commit.
func TestSharedPageDone(t *testing.T) {
	t.Parallel()
	f := sharedDirect(t)
	place, err := f.newLedger(t)
	if err != nil {
		t.Fatal(err)
	}
	_, schema, _ := strings.Cut(place, "schema=")
	schema, _, _ = strings.Cut(schema, "&")
	f.server.Exec(t, "create table "+schema+".payment (order_id text, amount integer)")
	f.server.Exec(t, "grant select, insert on "+schema+".payment to "+pgtest.CI)
	k := newRecipeBox(t, nil)
	k.setenv("IDEM_LEDGER", place)
	k.setenv("STATE_DIRECTORY", k.path("state"))
	for i, kv := range k.env {
		if path, ok := strings.CutPrefix(kv, "PATH="); ok {
			k.env[i] = "PATH=" + k.dir + ":" + binary() + ":" + filepath.Join(path)
		}
	}
	of := strings.NewReplacer("postgres://app@db.example/ops", "'"+f.server.URL(pgtest.CI, pgtest.Database, "")+"'",
		"idem.done", schema+".done", "into payment", "into "+schema+".payment")
	k.write("pay.sql", of.Replace(pageBlock(t, sharedPage, "select idem.done(:")))
	_, script, _ := strings.Cut(of.Replace(pageBlock(t, sharedPage, "exec psql")), "\n") // without #!
	k.script("pay.sh", strings.Replace(script, "exec psql", "psql", 1)+"[ ! -e kill ] || kill -9 $PPID")
	call := pageBlock(t, sharedPage, "-- ./pay.sh")
	rows := func() string {
		return f.server.Query(t, "select string_agg(order_id, ' ' order by order_id) from "+schema+".payment")
	}
	for range 2 {
		k.wantStatus(k.runRecipe("ORDER=1\n"+call), 0)
	}
	k.write("kill", "")
	k.runRecipe("ORDER=2\n" + call)
	k.wantStatus(k.runRecipe("ORDER=2\n"+call), 0)
	if got := rows(); got != "1 2" {
		t.Errorf("got rows of the orders %s, want 1 2", got)
	}
}
