package lab

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"idem/ledger"
	"idem/ledger/filelock"
)

func TestSharedSlot(t *testing.T) {
	slots := map[uint64]bool{}
	keys := SharedSlot("k", 3)
	for _, key := range keys {
		name := filelock.NameOf(ledger.ID{Namespace: "default", Key: key})
		slots[binary.BigEndian.Uint64(name[:])>>1%(1<<15)] = true
	}
	if len(slots) != 1 || len(slices.Compact(keys)) != 3 {
		t.Errorf("keys %q have the slots %v", keys, slots)
	}
}

// TestCopyFile copies a file with holes, whose last page is not complete.
func TestCopyFile(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	f, err := os.Create(from)
	Must(err)
	defer f.Close()
	for _, at := range []int64{0, 50 * ReceiptSize, 100*ReceiptSize + 7} {
		_, err := f.WriteAt([]byte("content"), at)
		Must(err)
	}
	Must(os.WriteFile(to, make([]byte, 300*ReceiptSize), 0o600)) // is replaced
	Must(CopyFile(from, to))
	if Read(from) != Read(to) {
		t.Error("the copy differs")
	}
	copied, err := os.Open(to)
	Must(err)
	defer copied.Close()
	pages, err := DataPages(copied)
	if want := []int64{0, 50 * ReceiptSize, 100 * ReceiptSize}; err != nil || !slices.Equal(pages, want) {
		t.Errorf("got pages %v, %v, want %v", pages, err, want)
	}
}
