package kill

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"idem/test/chaos/lab"
)

// TestLitter leaves one file, descriptor and lock of each forbidden kind. Each must be
// reported.
func TestLitter(t *testing.T) {
	r := &killTest{Lab: &lab.Lab{Dir: t.TempDir()}}
	r.ledger = filepath.Join(r.Dir, "ledger")
	for _, dir := range []string{r.ledger, r.tmp()} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.checkLeftFiles()
	if len(r.faults) > 0 {
		t.Errorf("nothing is left, but %v", r.faults)
	}
	for _, path := range []string{filepath.Join(r.ledger, "ledger.db-journal"), filepath.Join(r.tmp(), "x")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	locks, err := os.Create(filepath.Join(r.ledger, "locks"))
	if err != nil {
		t.Fatal(err)
	}
	defer locks.Close()
	t.Setenv("IDEM_LEDGER", r.ledger)
	if n := extraDescriptors(); n != 0 {
		t.Errorf("got %d descriptors besides that of the locks, want 0", n)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: 4711, Len: 1}
	if err := unix.FcntlFlock(locks.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
		t.Fatal(err)
	}
	again, err := os.Open(locks.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if n := extraDescriptors(); n != 1 {
		t.Errorf("got %d descriptors besides that of the locks, want 1", n)
	}
	r.checkLeftFiles()
	var said strings.Builder
	for _, f := range r.faults {
		said.WriteString(f.What + "\n")
	}
	for _, want := range []string{"ledger.db-journal in the ledger\n", "x among the temporary files\n", "locks open\n", "locks is locked: "} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("want %q in\n%s", want, said.String())
		}
	}
}
