//go:build postgres

package cmd_test

import (
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"idem/ledger/postgres/pgtest"
)

// TestDoneInTheTransactionOfTheCommand runs commands that record their success by psql.
func TestDoneInTheTransactionOfTheCommand(t *testing.T) {
	requireTool(t, "psql")
	f := sharedDirect(t)
	place, err := f.newLedger(t)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(place)
	if err != nil {
		t.Fatal(err)
	}
	schema, dir := u.Query().Get("schema"), t.TempDir()
	run := func(key, after string, flags ...string) (out, stderr string, status int) {
		psql := fmt.Sprintf(`psql -XAtqv ON_ERROR_STOP=1 -c "begin; select %s.done('$IDEM_TOKEN', $IDEM_FENCE); commit" '%s' >>run; `,
			schema, pgtest.URL(f.server.Addr(), pgtest.CI, pgtest.Database, ""))
		c := exec.Command(filepath.Join(binary(), "idem"), append(append([]string{"run", "--key", key}, flags...), "--", "sh", "-c", psql+after)...)
		c.Dir, c.Env = dir, append([]string{"HOME=" + dir, "STATE_DIRECTORY=" + filepath.Join(dir, "state"), "IDEM_LEDGER=" + place, "PATH=/usr/bin:/bin"}, f.env...)
		var o, e strings.Builder
		c.Stdout, c.Stderr = &o, &e
		_ = c.Run()
		return o.String(), e.String(), c.ProcessState.ExitCode()
	}
	for _, test := range []struct {
		key, after string
		flags      []string
		status     int
		warning    string // a part of stderr
	}{
		{"ends well", "echo late", nil, 0, ""},
		{"fails", "echo late; exit 3", []string{"--retries", "2"}, 3, "has succeeded, although the command exited with status 3"},
		{"dies", "echo late; kill -9 $$", nil, 137, "although the command died of"},
		{"takes too long", "echo late; sleep 100", []string{"--timeout", "2s"}, 124, "although the command was ended by --timeout"},
	} {
		out, stderr, status := run(test.key, test.after, test.flags...)
		if out != "late\n" || status != test.status || !strings.Contains(stderr, test.warning) || test.warning == "" && stderr != "" {
			t.Errorf("%s: got %q, %q, status %d, want status %d and %q", test.key, out, stderr, status, test.status, test.warning)
		}
		if out, stderr, status = run(test.key, test.after, test.flags...); out != "late\n" || status != 0 {
			t.Errorf("%s, again: got %q, %q, status %d, want a replay", test.key, out, stderr, status)
		}
		if got := f.server.Query(t, "select count(*) from "+schema+".record where state = 'succeeded' and attempts = 1 and key = '"+test.key+"'"); got != "1" {
			t.Errorf("%s: the record is not that of one success", test.key)
		}
	}
}
