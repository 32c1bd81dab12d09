package power

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"idem/test/chaos/lab"
)

// writeBackAtTimes writes single pages of receipts to the disk while they are used, until over is closed.
// Without it, the disk would never have an earlier receipt than that of the moment of the cut.
func (p *powerTest) writeBackAtTimes(rng *rand.Rand, over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		case <-time.After(time.Duration(1+rng.IntN(10)) * time.Millisecond):
		}
		f, err := os.OpenFile(filepath.Join(p.Ledger, lab.ReceiptsName), os.O_RDWR, 0)
		if err != nil {
			continue // not made yet
		}
		pages, err := lab.DataPages(f)
		if err == nil && len(pages) > 0 && unix.SyncFileRange(int(f.Fd()), pages[rng.IntN(len(pages))], lab.ReceiptSize, now) == nil {
			p.count(&p.written, 1)
		}
		_ = f.Close()
	}
}

// now are the flags of a sync_file_range(2) that returns when the pages are on the disk.
const now = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER

// writeBack writes some of the pages of receipts and locks to the disk before a cut, as the kernel does
// at any time and in any order. Another file is synced, so the disk also has what it needs to find
// them. The rest of the pages stays unwritten.
func (p *powerTest) writeBack() error {
	for _, name := range []string{lab.ReceiptsName, "locks"} {
		f, err := os.OpenFile(filepath.Join(p.Ledger, name), os.O_RDWR, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		defer f.Close()
		pages, err := lab.DataPages(f)
		if err != nil {
			return err
		}
		for _, at := range pages {
			// The stamp and the witness are usually written, because without them no receipt counts.
			if most := 2 + 4*boolInt(at == 0); p.rng.IntN(most) == 0 {
				p.unwritten += boolInt(name == lab.ReceiptsName)
				continue
			}
			if err := unix.SyncFileRange(int(f.Fd()), at, lab.ReceiptSize, now); err != nil {
				return os.NewSyscallError("sync_file_range", err)
			}
			p.written += boolInt(name == lab.ReceiptsName)
		}
	}
	f, err := os.Create(filepath.Join(p.disk.Dir, "synced"))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// awaitStamp waits for a moment between two commits, while no call can start. Otherwise almost every
// cut is in the middle of a commit, and no receipt counts after it.
func (p *powerTest) awaitStamp() {
	for n, end := 0, time.Now().Add(2*time.Second); n < 20 && time.Now().Before(end); n++ {
		if !lab.StampFits(p.Ledger) {
			n = 0
		}
		time.Sleep(time.Millisecond)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// checkReceipts compares the receipts that are in use after a cut with the records.
func (p *powerTest) checkReceipts() {
	if p.Env != nil { // a control, which loses commits
		return
	}
	n, wrong := p.CheckReceipts()
	p.valid += min(n, 1)
	if wrong != "" {
		p.Fail(noFalseReceipt, p.Ledger, "%s", wrong)
	}
}
