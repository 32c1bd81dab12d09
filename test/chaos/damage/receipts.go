package damage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"idem/test/chaos/lab"
)

// damageReceipts damages the receipts and returns the keys that this concerns most.
func (t *trial) damageReceipts(target, how string) ([]lab.Record, error) {
	path := filepath.Join(t.Ledger, target)
	switch how {
	case "delete":
		return nil, os.Remove(path)
	case "old", "newer":
		return t.mixReceipts(how == "newer" && t.live == nil)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pages, err := lab.DataPages(f)
	if err != nil {
		return nil, err
	}
	pick := func() int64 { return pages[t.rng.IntN(len(pages))] }
	one, other := make([]byte, lab.ReceiptSize), make([]byte, lab.ReceiptSize)
	at, from := pick(), pick()
	t.log = append(t.log, fmt.Sprintf("%s at %d and %d", how, at, from))
	_, _ = f.ReadAt(one, at) // the last page may be shorter
	_, _ = f.ReadAt(other, from)
	switch how {
	case "flip":
		n := t.rng.IntN(300) // the rest of most pages is zero
		one[n] ^= byte(1 + t.rng.IntN(255))
		_, err = f.WriteAt(one, at)
	case "page":
		switch t.rng.IntN(3) {
		case 0:
			clear(other)
		case 1:
			for i := range other {
				other[i] = byte(t.rng.Uint32())
			}
		case 2: // a write to the wrong place
		}
		_, err = f.WriteAt(other, at)
	case "swap":
		_, err = f.WriteAt(other, at)
		if err == nil {
			_, err = f.WriteAt(one, from)
		}
	case "truncate":
		err = f.Truncate(at + t.rng.Int64N(lab.ReceiptSize))
	case "zero":
		for _, page := range pages {
			if err == nil {
				_, err = f.WriteAt(make([]byte, lab.ReceiptSize), page)
			}
		}
	}
	return nil, err
}

// mixReceipts runs a few keys again, with a forgotten one among them. Then it puts back the receipts
// from before that. Or it puts back the rest of the ledger, and keeps the newer receipts. The
// stamp fits the files either way, except for the number of commits. While a command runs, the
// ledger stays: its processes have it in their memory.
func (t *trial) mixReceipts(newer bool) ([]lab.Record, error) {
	before := t.Ledger + ".before"
	if err := lab.CopyLedger(t.Ledger, before); err != nil {
		return nil, err
	}
	var hit []lab.Record
	for _, k := range t.fixture.Records {
		if len(k.Args) > 3 && k.Args[3] == "--" && k.Want.Code == 0 && !k.Spool && k.Earlier == nil && len(hit) < 3 && t.rng.IntN(3) == 0 {
			hit = append(hit, k)
		}
	}
	for i, k := range hit {
		args := slices.Insert(slices.Clone(k.Args), 1, "--force")
		if i == 0 {
			if r, err := t.call("forget", k.Key); err != nil || r.Code != 0 {
				return nil, errors.Join(errors.New(r.String()), err)
			}
			args = k.Args
		}
		r, err := t.call(args...)
		if err != nil || r.Code != 0 {
			return nil, errors.Join(errors.New(r.String()), err)
		}
		if !newer {
			t.reruns[k.Key] = r
		}
	}
	files := []string{lab.ReceiptsName}
	if newer {
		files = []string{"ledger.db", "ledger.db-wal", "ledger.db-shm", "locks"}
	}
	for _, name := range files {
		if err := lab.CopyFile(filepath.Join(before, name), filepath.Join(t.Ledger, name)); err != nil {
			return nil, err
		}
	}
	return hit, errors.Join(lab.Restamp(t.Ledger), os.RemoveAll(before))
}
