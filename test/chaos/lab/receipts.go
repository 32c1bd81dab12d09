package lab

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ReceiptsName is the file in which a ledger keeps its receipts. The stamp is in the first page,
// and each other page has one receipt.
const (
	ReceiptsName = "receipts"
	ReceiptSize  = 4096
)

// CopyFile copies a file with its holes.
func CopyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	pages, err := DataPages(in)
	if err != nil {
		return err
	}
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	b := make([]byte, ReceiptSize)
	for _, at := range pages {
		n, _ := in.ReadAt(b, at) // the last page may be shorter
		if _, err := out.WriteAt(b[:n], at); err != nil {
			return err
		}
	}
	return errors.Join(out.Truncate(info.Size()), out.Close())
}

// DataPages returns the offsets of the pages of a file that are not in a hole.
func DataPages(f *os.File) (pages []int64, err error) {
	for at := int64(0); ; {
		data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // the rest is a hole
			return pages, nil
		}
		if err != nil {
			return nil, err
		}
		end, err := unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		for at = data / ReceiptSize * ReceiptSize; at < end; at += ReceiptSize {
			pages = append(pages, at)
		}
	}
}

// CopyLedger copies a ledger that no process changes. Its receipts are those of the copy.
func CopyLedger(from, to string) error {
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		place := to + strings.TrimPrefix(path, from)
		if d.IsDir() {
			return os.MkdirAll(place, 0o700)
		}
		return CopyFile(path, place)
	})
	return errors.Join(err, Restamp(to))
}

// Restamp makes the stamp of the receipts fit the ledger.db and the -wal that are next to them, as if
// they had always been there. The number of commits stays that of the stamp.
func Restamp(ledger string) error {
	f, err := os.OpenFile(filepath.Join(ledger, ReceiptsName), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	stamp, ok := stampOf(ledger, f)
	if !ok {
		return nil
	}
	_, err = f.WriteAt(stamp, 0)
	return err
}

// StampFits reports whether the receipts say that nothing was committed since they were written.
func StampFits(ledger string) bool {
	f, err := os.Open(filepath.Join(ledger, ReceiptsName))
	if err != nil {
		return false
	}
	defer f.Close()
	stamp, ok := stampOf(ledger, f)
	b := make([]byte, len(stamp))
	_, err = f.ReadAt(b, 0)
	return ok && err == nil && bytes.Equal(b, stamp)
}

// stampOf returns the stamp of receipts as it has to be. It returns false if there cannot be one.
func stampOf(ledger string, receipts *os.File) ([]byte, bool) {
	const start = len("idem receipts 1\n") + 2*8 // the version of the tables and the commits
	b := make([]byte, start)
	if n, _ := receipts.ReadAt(b, 0); n < start {
		return nil, false
	}
	for _, name := range []string{"ledger.db", "ledger.db-wal"} {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(ledger, name), &st); err != nil {
			return nil, false
		}
		for _, n := range []int64{int64(st.Ino), st.Size, st.Mtim.Nano()} {
			b = binary.BigEndian.AppendUint64(b, uint64(n))
		}
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:16]...), true
}

var inUse = regexp.MustCompile(`(?m)receipts\s+([0-9]+), each is what its record says`)

// CheckReceipts compares the receipts with the records. It returns how many are in use, and what
// is wrong with them.
func (d *Harness) CheckReceipts() (n int, wrong string) {
	c := exec.Command(d.Idem, "ledger", "check")
	c.Env = append(d.Environ(d.Ledger, "check"), d.Env...)
	out, _ := c.CombinedOutput() // the status is also that of faults which are allowed
	if m := inUse.FindSubmatch(out); m != nil {
		n, _ = strconv.Atoi(string(m[1]))
	}
	if strings.Contains(string(out), "its receipt is not what the record says") {
		wrong = string(out)
	}
	return n, wrong
}

// SharedSlot returns keys whose receipts are in the same page.
func SharedSlot(prefix string, keys int) (list []string) {
	slot := func(key string) int { // of a key of less than 128 bytes
		name := sha256.Sum256(append([]byte("\x07default"), append([]byte{byte(len(key))}, key+"\x00"...)...))
		return int(name[6])<<7 | int(name[7])>>1
	}
	want := slot(prefix + "0")
	for n := 0; len(list) < keys; n++ {
		if key := prefix + strconv.Itoa(n); slot(key) == want {
			list = append(list, key)
		}
	}
	return list
}

// ChangeReceipts changes keys that share a page of receipts in all ways, until more returns false or
// a call is not made. The answers are not checked: CheckReceipts compares the receipts afterwards.
func (d *Harness) ChangeReceipts(rng *rand.Rand, keys []string, more func() bool) {
	for n := 0; more(); n++ {
		key := keys[rng.IntN(len(keys))]
		args := []string{"run", "--force", "--key", key, "--", "sh", "-c", fmt.Sprint("exit ", rng.IntN(2))}
		switch rng.IntN(6) {
		case 0:
			args = []string{"forget", key}
		case 1:
			args = []string{"mark", []string{"done", "failed", "retry"}[rng.IntN(3)], "--force", key}
		}
		if c := d.Call(keys[0]+":changes", n, args); c.Code == NotCalled {
			return
		}
	}
}
