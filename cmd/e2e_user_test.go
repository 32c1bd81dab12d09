package cmd_test

import (
	"os"
	"syscall"
	"testing"
)

// useUnprivilegedUser makes later calls those of an unprivileged user who owns
// the box. Root would be able to write everywhere.
func (b *box) useUnprivilegedUser() {
	b.t.Helper()
	if os.Geteuid() == 0 {
		b.useUser(65534)
	}
}

// useNewUser makes later calls those of a user who owns the box and has no other processes.
// Other runs of the tests use other users from first on. It needs root.
func (b *box) useNewUser(first int) {
	b.t.Helper()
	requireRoot(b.t)
	b.useUser(first + os.Getpid()%5000)
}

func (b *box) useUser(uid int) {
	b.t.Helper()
	// Other users cannot enter the directories of package testing.
	for _, dir := range []string{b.dir + "/..", b.dir} {
		if err := os.Chmod(dir, 0o755); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := os.Chown(b.dir, uid, uid); err != nil {
		b.t.Fatal(err)
	}
	b.user = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
}

// Permissions are missing on the directory or on the files.
func TestE2ENotWritable(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.useUnprivilegedUser()
	chmod := func(mode os.FileMode, names ...string) {
		t.Helper()
		for _, name := range names {
			if err := os.Chmod(b.path(name), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	call := func(key string) result {
		return b.run("run", "--key", key, "--", "sh", "-c", "echo out; echo x >>side")
	}

	b.wantStatus(b.sh("mkdir -m 500 closed"), 0)
	b.setLedger(b.path("closed/ledger"))
	b.wantStatus(call("k"), 69)
	b.wantLines("side", 0)

	b.setLedger(b.path("ledger"))
	b.wantStatus(call("old"), 0)
	files := []string{"ledger/ledger.db", "ledger/ledger.db-wal", "ledger/ledger.db-shm", "ledger/locks"}
	chmod(0o400, files...)
	b.wantStatus(call("new"), 69)
	b.wantLines("side", 1)
	b.wantStatus(b.run("list"), 0)
	b.wantStatus(b.run("show", "old"), 0)
	if r := b.wantStatus(call("old"), 0); r.out != "out\n" {
		t.Errorf("got %+v, want stdout %q", r, "out\n")
	}
	chmod(0o600, files...)

	// If the directory can keep no output, the run is refused or its record says
	// what is missing.
	chmod(0o500, "ledger", "ledger/output")
	defer chmod(0o700, "ledger", "ledger/output")
	r := b.run("run", "--key", "large", "--", "sh", "-c", "seq 1 100000; echo x >>side2")
	if r.code == 69 {
		b.wantLines("side2", 0)
	} else if b.wantStatus(r, 0); !b.show("large").Truncated || b.lines("side2") != 1 {
		t.Errorf("got %+v, want a truncated record", b.show("large"))
	}

	// A database that cannot be read is not replaced by a new ledger.
	chmod(0o000, "ledger/ledger.db")
	b.wantStatus(call("old"), 69)
	b.wantStatus(call("new"), 69)
	b.wantStatus(b.run("list"), 69)
	b.wantLines("side", 1)
}
