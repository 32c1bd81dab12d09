//go:build postgres

package cmd_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"idem/ledger/postgres/pgtest"
)

// TestSharedRefusals makes mistakes of a new user, whose messages must lead on.
func TestSharedRefusals(t *testing.T) {
	t.Parallel()
	k := newPageBox(t, nil)
	place := pgtest.URL(k.server.TCPAddr(), pgtest.CI, pgtest.Database, "")
	with := func(query string) string { return place + "?" + query }
	k.write("open", "*:*:*:*:x\n")
	k.wantStatus(k.sh("chmod 644 open"), 0)
	for name, c := range map[string]struct {
		env    string
		words  []string
		status int
		want   []string
		not    string
	}{
		"no regular file":   {"PGPASSFILE=/dev/null", []string{"run", "--ledger", place, "--key", "k", "--", "true"}, 69, []string{"password authentication failed", "hint: the password file is ignored: it is not a regular file"}, "idem ledger check"},
		"no password file":  {"PGPASSFILE=none", []string{"run", "--ledger", place, "--key", "k", "--", "true"}, 69, []string{"hint: no password was found: use ~/.pgpass"}, "idem ledger check"},
		"open file":         {"PGPASSFILE=open", []string{"ledger", "check", place}, 69, []string{"hint: the password file is ignored: other users can read it (chmod 600)"}, "idem ledger"},
		"wrong password":    {"PGPASSWORD=wrong", []string{"list", "--ledger", place}, 69, []string{place + ": password authentication failed for user", "hint: the log of the server has the reason"}, "idem ledger"},
		"unknown authority": {"X=", []string{"list", "--ledger", with("sslmode=verify-full&sslrootcert=system")}, 69, []string{"hint: name the file with the certificate of the authority in the URL: sslrootcert=FILE"}, "idem ledger"},
		"no database":       {"X=", []string{"list", "--ledger", pgtest.URL(k.server.TCPAddr(), pgtest.CI, "nothing", "")}, 69, []string{`database "nothing" does not exist`, "hint: create the database first"}, "idem ledger"},
		"no ledger":         {"X=", []string{"ledger", "confirm", with("schema=new")}, 69, []string{"there is no ledger", "idem ledger init '" + with("schema=new") + "'"}, k.ledger},
		"no server":         {"X=", []string{"ledger", "check", "--connect-timeout", "1", "postgres://u@127.0.0.1:1/d"}, 69, []string{"connection refused"}, "hint"},
		"long lease":        {"X=", []string{"run", "--ledger", with("lease=25h"), "--key", "k", "--", "true"}, 64, []string{"the lease in the URL is not from ", "hint: write it like lease=3m"}, "idem ledger"},
	} {
		t.Run(name, func(t *testing.T) {
			r := k.start(append([]string{"idem"}, c.words...), func(cmd *exec.Cmd) { cmd.Env = append(slices.Clone(cmd.Env), c.env) }).wait()
			if r.code != c.status || r.out != "" || c.not != "" && strings.Contains(r.err, c.not) {
				t.Errorf("got %+v, want status %d, no stdout and no %q", r, c.status, c.not)
			}
			if fault := messageFault(r.err, maxMessage); fault != "" {
				t.Error(fault)
			}
			for _, text := range c.want {
				if !strings.Contains(r.err, text) {
					t.Errorf("got\n%s\nwant %q in it", r.err, text)
				}
			}
		})
	}
}
