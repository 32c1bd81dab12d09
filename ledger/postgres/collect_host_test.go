package postgres

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"idem/ledger"
	"idem/ledger/postgres/pgtest"
)

// A file of an output goes when neither an attempt nor a kept outcome needs it, and only if the server
// has what this host knows.
func TestOrphansOfAHost(t *testing.T) {
	k := newUnsentKit(t)
	l := k.host()
	const orphan, running, kept, young, open = "01900000-0000-7000-8000-000000000001", "01900000-0000-7000-8000-000000000002",
		"01900000-0000-7000-8000-000000000003", "01900000-0000-7000-8000-000000000004", "01900000-0000-7000-8000-000000000005"
	begin := func(key, runID string) (*claim, ledger.Execution) {
		c := k.claim(l, key)
		x, err := c.Begin(t.Context(), ledger.Start{RunID: runID, MaxOutput: 10 << 20})
		must(t, err)
		return c, x
	}
	k.run(l, "done", ledger.Succeeded) // a claim sends what is kept
	begin("running", running)
	c, x := begin("kept", kept)
	k.unsent(c, x, finalSuccess)
	k.mend()
	k.server.Exec(t, "delete from "+k.schema+".record where key = 'kept'") // so only the kept outcome needs the file
	old := time.Now().Add(-2 * time.Hour)
	path := func(name string) string { return filepath.Join(l.local.dir.Path(), "output", name) }
	for _, name := range []string{orphan, running, kept, young, open, "notes.txt"} {
		must(t, os.WriteFile(path(name), []byte("text"), 0o600))
		if name != young {
			must(t, os.Chtimes(path(name), old, old))
		}
	}
	f, err := os.OpenFile(path(open), os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()

	before := time.Now().Add(-time.Hour)
	found, unknown, err := l.Orphans(t.Context(), before)
	want := ledger.Orphan{RunID: orphan, Bytes: 4, Host: true}
	if err != nil || len(found) != 1 || found[0] != want || len(unknown) != 1 || unknown[0] != path("notes.txt") {
		t.Fatalf("got %+v, %q, %v", found, unknown, err)
	}
	all := []ledger.Orphan{want, {RunID: running, Host: true}, {RunID: kept, Host: true}}
	if removed, err := l.RemoveOrphans(t.Context(), all); err != nil || len(removed) != 1 || removed[0] != want {
		t.Errorf("got %+v removed, %v", removed, err)
	}
	for name, there := range map[string]bool{orphan: false, running: true, kept: true, young: true, open: true, "notes.txt": true} {
		if _, err := os.Stat(path(name)); (err == nil) != there {
			t.Errorf("%s: got %v, want that it is there: %t", name, err, there)
		}
	}

	// A server that has forgotten what it had acknowledged does not name all attempts.
	must(t, os.WriteFile(path(orphan), nil, 0o600))
	must(t, os.Chtimes(path(orphan), old, old))
	k.server.Exec(t, "delete from "+k.schema+".record where key = 'done'")
	found, unknown, err = k.host().Orphans(t.Context(), before)
	if err != nil || len(found) != 0 || len(unknown) != 4 {
		t.Errorf("got %+v, %q, %v from a server that has forgotten", found, unknown, err)
	}
	if removed, err := k.host().RemoveOrphans(t.Context(), []ledger.Orphan{want}); !errors.Is(err, ledger.ErrFailedOver) || len(removed) != 0 {
		t.Errorf("got %+v removed, %v", removed, err)
	}
}

// The attempts that need a file are found on all pages of the records, as current and as earlier ones.
func TestOrphansOfAHostOverManyPages(t *testing.T) {
	k := newUnsentKit(t)
	l := k.host()
	k.run(l, "done", ledger.Succeeded)
	fill(t, k.openAt("owner", k.server.URL(pgtest.Owner, pgtest.Database, k.schema), Options{}), 2*storedRecords+100)
	old := time.Now().Add(-2 * time.Hour)
	var needed []ledger.Orphan
	add := func() ledger.Orphan {
		o := ledger.Orphan{RunID: fmt.Sprintf("01900000-0000-7000-8000-%012d", len(needed)), Bytes: 4, Host: true}
		path := filepath.Join(l.local.dir.Path(), spoolName(o.RunID))
		must(t, os.WriteFile(path, []byte("text"), 0o600))
		must(t, os.Chtimes(path, old, old))
		return o
	}
	for i, at := range []int{0, storedRecords - 1, storedRecords, storedRecords + 1, 2 * storedRecords, 2*storedRecords + 99} {
		o := add()
		needed = append(needed, o)
		in := fmt.Sprintf("(select id from %s.record order by id offset %d limit 1)", k.schema, at)
		k.server.Exec(t, fmt.Sprintf("update %s.record set run_id = '%s', state = 'running' where id = %s", k.schema, o.RunID, in))
		if i%2 == 0 {
			k.server.Exec(t, fmt.Sprintf(`insert into %[1]s.attempt (id, seq, %[2]s) select id, seq, %[2]s from %[1]s.record where id = %[3]s;
				update %[1]s.record set run_id = 'later' where id = %[3]s`, k.schema, columnsOf("", attemptColumns), in))
		}
	}
	orphan := add()
	found, unknown, err := l.Orphans(t.Context(), time.Now().Add(-time.Hour))
	if err != nil || len(found) != 1 || found[0] != orphan || len(unknown) != 0 {
		t.Errorf("got %+v, %q, %v", found, unknown, err)
	}
	if removed, err := l.RemoveOrphans(t.Context(), append(needed, orphan)); err != nil || len(removed) != 1 || removed[0] != orphan {
		t.Errorf("got %+v removed, %v", removed, err)
	}
}

// A query for the attempts that need a file reads no whole table: with a large ledger, that takes longer
// than a query may.
func TestOrphansOfAHostByIndex(t *testing.T) {
	k := newUnsentKit(t)
	sql := strings.NewReplacer("$1", "array['x']", "$2", `'\x00'::bytea`).Replace(k.host().stmt(namedSQL()).SQL)
	plan, err := k.server.Try(pgtest.Superuser, "set local enable_seqscan = off; explain "+sql)
	if must(t, err); strings.Contains(plan, "Seq Scan") || !strings.Contains(plan, "record_pkey") || !strings.Contains(plan, "attempt_pkey") {
		t.Errorf("got the plan\n%s", plan)
	}
}
