//go:build postgres

package cmd_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"idem/ledger/postgres/pgtest"
)

// TestSharedRoundTrips counts the round trips of calls: what a call costs on a slow network.
func TestSharedRoundTrips(t *testing.T) {
	f := sharedDirect(t)
	p := pgtest.Proxy(t, f.server.TCPAddr())
	f.url = func(user, schema string) string {
		return pgtest.URL(p.Addr(), user, pgtest.Database, schema, "sslmode=disable")
	}
	place, err := f.newLedger(t)
	testMust(t, err)
	state := t.TempDir()
	call := func(want int, words ...string) int {
		t.Helper()
		c := exec.Command(filepath.Join(binary(), "idem"), append([]string{"run", "--key"}, words...)...)
		c.Env = []string{"HOME=" + state, "STATE_DIRECTORY=" + state, "IDEM_LEDGER=" + place, "PATH=/usr/bin:/bin"}
		before := p.Counts()
		out, err := c.CombinedOutput()
		if got := c.ProcessState.ExitCode(); got != want {
			t.Fatalf("%q: got status %d (%v), want %d\n%s", words, got, err, want, out)
		}
		after := p.Counts()
		return after.Syncs - before.Syncs + after.Queries - before.Queries
	}
	call(0, "first", "--", "true") // this host learns which ledger it is
	for _, test := range []struct {
		what   string
		status int
		words  []string
		most   int
	}{
		{"a first run", 0, []string{"a", "--", "echo", "hello"}, 4},
		{"a replay", 0, []string{"a", "--", "echo", "hello"}, 1},
		{"a failed run", 3, []string{"b", "--", "sh", "-c", "exit 3"}, 4},
		{"a replay of a failure", 3, []string{"b", "--on-failure", "replay", "--", "sh", "-c", "exit 3"}, 1},
	} {
		if got := call(test.status, test.words...); got != test.most {
			t.Errorf("%s: got %d round trips, want %d", test.what, got, test.most)
		}
	}
}
