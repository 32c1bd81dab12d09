package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A disk without room for a copy is found before anything is copied, and nothing is left on it.
// The ledger is on another disk and goes on.
func TestE2EBackupDiskFull(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	ledger := b.ledger
	dir := b.mountLedger("1m")
	b.setLedger(ledger)
	b.wantStatus(b.run("run", "--key", "big", "--", "seq", "1", "200000"), 0)
	for _, to := range []string{"copy", "copy.tar"} {
		r := b.wantStatus(b.run("ledger", "backup", filepath.Join(dir, to)), 69)
		if !strings.Contains(r.err, "the copy needs about") {
			t.Errorf("got %s, want the space that is needed", r.err)
		}
		b.wantStatus(b.run("--ledger", ledger, "ledger", "move", filepath.Join(dir, "moved")), 69)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("got %v, %v, want an empty disk", entries, err)
	}
	b.wantStatus(b.run("run", "--key", "big", "--", "seq", "1", "200000"), 0)
	b.wantStatus(b.run("run", "--key", "small", "--", "true"), 0)
	if r := b.wantStatus(b.sh("idem ledger backup - >"+filepath.Join(dir, "stream.tar")), 69); !strings.Contains(r.err, "space") {
		t.Errorf("got %s, want that the disk is full", r.err)
	}
	backup := b.path("backup.tar")
	b.wantStatus(b.run("ledger", "backup", backup), 0)
	b.wantStatus(b.sh("rm "+filepath.Join(dir, "stream.tar")), 0)
	b.wantStatus(b.run("--ledger", filepath.Join(dir, "restored"), "ledger", "restore", backup), 69)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("got %v, %v, want an empty disk", entries, err)
	}
}
