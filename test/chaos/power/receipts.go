package power

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

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
		if err == nil && len(pages) > 0 && lab.WriteBack(f, pages[rng.IntN(len(pages))], lab.ReceiptSize) == nil {
			p.count(&p.written, 1)
		}
		_ = f.Close()
	}
}

// writeBack writes some of the pages of receipts and locks to the disk before a cut, as the kernel does
// at any time and in any order. Another file is synced, so the disk also has what it needs to find
// them. The rest of the pages stays unwritten.
func (p *powerTest) writeBack() error {
	return p.writePages(func(name string, at int64) bool {
		// The stamp and the witness are usually written, because without them no receipt counts.
		writes := p.rng.IntN(2+4*boolInt(at == 0)) > 0
		if name == lab.ReceiptsName {
			p.count(&p.written, boolInt(writes))
			p.count(&p.unwritten, boolInt(!writes))
		}
		return writes
	})
}

// writePages writes the pages that are chosen.
func (p *powerTest) writePages(choose func(name string, at int64) bool) error {
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
			if !choose(name, at) {
				continue
			}
			if err := lab.WriteBack(f, at, lab.ReceiptSize); err != nil {
				return err
			}
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

// cutSlots makes cuts after which the disk has an earlier receipt of a page than the one that was in
// memory last, and the stamp of the latest commit. The earlier one was that of a key which is a failure
// by now.
func (p *powerTest) cutSlots() error {
	for n, kind := range []string{"true", "false"} { // the later key in the page, which leaves a receipt or none
		if err := p.newDisk(1000 + n); err != nil {
			return err
		}
		p.stopped, p.group = false, 0
		keys := lab.SharedSlot("slot:", 2)
		calls := 0
		call := func(args ...string) lab.Call {
			calls++
			return p.Call("slot-"+kind, calls, args)
		}
		call("run", "--key", keys[0], "--", "true")
		if err := p.writePages(func(string, int64) bool { return true }); err != nil {
			return err
		}
		call("run", "--key", keys[1], "--", kind)
		call("mark", "failed", "--force", keys[0])
		if err := p.writePages(func(name string, at int64) bool { return name != lab.ReceiptsName || at == 0 }); err != nil {
			return err
		}
		if err := errors.Join(p.disk.Cut(lab.CutNothing), p.disk.Unmount(), p.disk.Mount()); err != nil {
			return err
		}
		p.cuts[lab.CutNothing]++
		if !lab.StampFits(p.Ledger) {
			return errors.New("the disk has no valid stamp, so the test proves nothing")
		}
		if c := call("check", "--key", keys[0]); c.Code == 0 {
			p.Fail(noFalseReceipt, keys[0], "a success, although it was marked as failed before the cut")
		}
		p.checkReceipts()
	}
	return nil
}
