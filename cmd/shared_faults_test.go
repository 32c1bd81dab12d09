//go:build postgres

package cmd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"idem/ledger/postgres/pgtest"
)

// sharedHost calls idem on one host. Its local directory is empty at first.
type sharedHost struct {
	*testing.T
	dir string
	env []string
}

func newSharedHost(t *testing.T, place string) *sharedHost {
	dir := t.TempDir()
	h := &sharedHost{t, dir, []string{"HOME=" + dir, "STATE_DIRECTORY=" + filepath.Join(dir, "state"), "IDEM_LEDGER=" + place, "PATH=" + binary() + ":/usr/bin:/bin"}}
	testMust(t, os.Mkdir(filepath.Join(dir, "state"), 0o700))
	return h
}

// ledgerAndHost makes a ledger, and a host that uses it.
func (f sharedForm) ledgerAndHost(t *testing.T) (schema string, h *sharedHost) {
	t.Helper()
	place, err := f.newLedger(t)
	testMust(t, err)
	schema, err = schemaOf(place)
	testMust(t, err)
	return schema, newSharedHost(t, place)
}

// sh runs a line of a shell. It checks the exit status, and returns what was printed.
func (h *sharedHost) sh(want int, line string) string {
	h.Helper()
	return h.shAs(nil, want, line)
}

func (h *sharedHost) shAs(user *syscall.Credential, want int, line string) string {
	h.Helper()
	c := exec.Command("sh", "-c", line)
	c.Dir, c.Env = h.dir, h.env
	c.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	out, _ := c.CombinedOutput()
	if got := c.ProcessState.ExitCode(); got != want {
		h.Fatalf("%s: got status %d, want %d\n%s", line, got, want, out)
	}
	return string(out)
}

// hints checks that want occurs in a text, and that each of not does not occur.
func (h *sharedHost) hints(text, want string, not ...string) {
	h.Helper()
	for _, part := range not {
		if strings.Contains(text, part) {
			h.Errorf("got %q, want no %q", text, part)
		}
	}
	if !strings.Contains(text, want) {
		h.Errorf("got %q, want %q", text, want)
	}
}

// local returns the directory that the host has for its ledger.
func (h *sharedHost) local() string {
	h.Helper()
	found, err := filepath.Glob(filepath.Join(h.dir, "state/idem/shared/*-*"))
	if err != nil || len(found) != 1 {
		h.Fatalf("got %v, %v, want one directory", found, err)
	}
	return found[0]
}

// TestSharedFaultsOfThisHost: a message about the files of this host has no hint about the server.
func TestSharedFaultsOfThisHost(t *testing.T) {
	f := sharedDirect(t)
	place, err := f.newLedger(t)
	testMust(t, err)
	h := newSharedHost(t, place)
	h.sh(0, "idem run --key first -- true")
	server := []string{"ledger check", "restore the database", "--ledger"}
	const call = "idem run --key new -- touch side"

	testMust(t, os.Chmod(h.local(), 0o755))
	h.hints(h.sh(69, call), "hint: chmod 0700 "+h.local(), server...)
	testMust(t, os.Chmod(h.local(), 0o700))

	if os.Geteuid() == 0 {
		testMust(t, os.Chown(h.local(), 1, 1))
		h.hints(h.sh(69, call), `chown -R "$(id -u)" `+h.local(), server...)
		testMust(t, os.Chown(h.local(), 0, 0))
		testMust(t, os.Chmod(filepath.Dir(h.dir), 0o755))
		testMust(t, os.Chmod(h.dir, 0o755))
		h.hints(h.shAs(&syscall.Credential{Uid: 1, Gid: 1}, 69, call), "STATE_DIRECTORY chooses it", server...)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "side")); err == nil {
		t.Error("a refused call has started its command")
	}
	h.sh(0, call)
}

// TestSharedDamagedOutcome: the hints about a kept outcome that cannot be read settle its key.
func TestSharedDamagedOutcome(t *testing.T) {
	f := sharedDirect(t)
	schema, h := f.ledgerAndHost(t)
	call := "idem run --finish-timeout 1 --key k --replay-file log -- sh -c 'echo effect >>log'"
	f.server.Exec(t, "revoke insert on "+schema+".file from "+pgtest.CI)
	h.sh(125, call)
	kept, _ := filepath.Glob(h.local() + "/pending/*")
	if len(kept) != 1 {
		t.Fatalf("got kept outcomes %v, want one", kept)
	}
	content, err := os.ReadFile(kept[0])
	testMust(t, err)
	testMust(t, os.WriteFile(kept[0], append(content, 'x'), 0o600)) // while it cannot be sent
	var text string
	for _, refused := range []string{call, "idem mark done k", "idem show k", "idem ledger sync", "idem ledger sync"} {
		text = h.sh(69, refused)
		h.hints(text, "settled: mv "+kept[0]+" ", "restore the database")
		if refused == "idem show k" { // by now no keeper sends what it has read before the damage
			f.server.Exec(t, "grant insert on "+schema+".file to "+pgtest.CI)
		}
	}
	_, mv, _ := strings.Cut(text, "settled: ")
	h.sh(0, mv)
	h.sh(79, call)
	h.sh(0, "idem mark done k && "+call+" && test $(wc -l <log) = 1")
}

// TestSharedOutcomeIsKeptWithoutItsDirectory: an outcome is kept although the directory for it was
// removed while the command ran.
func TestSharedOutcomeIsKeptWithoutItsDirectory(t *testing.T) {
	f := sharedDirect(t)
	schema, h := f.ledgerAndHost(t)
	call := "idem run --finish-timeout 1 --key k --replay-file log -- sh -c 'rmdir state/idem/shared/*/pending; echo x >>ran; echo effect >>log'"
	f.server.Exec(t, "revoke insert on "+schema+".file from "+pgtest.CI)
	h.sh(125, call)
	f.server.Exec(t, "grant insert on "+schema+".file to "+pgtest.CI)
	h.sh(0, "idem ledger sync && "+call+" && test $(wc -l <ran) = 1")
}

// TestSharedKeysAreSettledBeforeConfirm: a standby that lacks the last success is promoted. The
// key can be marked before any host may start it again.
func TestSharedKeysAreSettledBeforeConfirm(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{})
	f := sharedForm{server: s, url: func(user, schema string) string { return s.URL(user, pgtest.Database, schema) }}
	schema, h := f.ledgerAndHost(t)
	h.sh(0, "idem run --key kept -- echo kept")
	r := s.Standby(t, pgtest.StandbyOptions{})
	s.CaughtUp(t, r)
	r.StopReceiver(t)
	h.sh(0, "idem run --key lost -- touch effect && rm effect")
	s.Stop(t, pgtest.Immediate)
	r.Promote(t)
	h.env = append(h.env, "IDEM_LEDGER="+r.URL(pgtest.CI, pgtest.Database, schema))
	lost := "idem run --key lost -- touch effect"
	h.hints(h.sh(69, lost), "idem mark done KEY")
	h.sh(0, "idem run --key kept -- echo kept")
	h.sh(69, "idem forget kept")
	h.sh(0, "idem mark done lost")
	h.sh(69, "idem run --key other -- touch effect")
	h.sh(0, lost)
	h.sh(0, "idem ledger confirm '"+r.URL(pgtest.Owner, pgtest.Database, schema)+"'")
	h.sh(0, lost+" && test ! -e effect && idem run --key other -- touch effect && test -e effect")
}

// TestSharedHintsNameTheURL that a call of idem ledger is about, whatever IDEM_LEDGER is.
func TestSharedHintsNameTheURL(t *testing.T) {
	h := newSharedHost(t, "")
	const url = "postgres://ci@/idem?host=/nowhere&schema=x"
	h.hints(h.sh(69, "idem ledger sync --connect-timeout 1s '"+url+"'"), ": idem ledger check '"+url+"'\n")
}
