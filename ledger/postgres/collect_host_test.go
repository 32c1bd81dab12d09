package postgres

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"idem/ledger"
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
