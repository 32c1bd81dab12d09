// Package power is the part "power" of chaos. Callers work on an ext4 that is shut down
// without a flush, as in a power cut, and mounted again.
//
//	sudo go run ./test/chaos power
//
// The figures count the cuts, the acknowledged outcomes, and the lost outcomes, which
// must be 0. As a control, an idem that does not sync its commits must lose outcomes,
// and an unsynced file must be lost. Otherwise the cuts prove nothing.
package power

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"idem/test/chaos/lab"
	"idem/test/internal/rig"
)

const (
	noForgetting = "acknowledged outcomes that a cut has lost"
	noRestart    = "started commands that ran again after a cut"
	noFalseEnd   = "calls with an unexpected end"
	noFalseReply = "replies that are not what was written"

	noFalseReceipt = "receipts that are not what the ledger says"
)

// powerTest has callers that use new keys on one disk, which is cut off repeatedly.
type powerTest struct {
	*lab.Harness
	rng     *rand.Rand
	disk    *lab.Disk
	gate    sync.RWMutex // held for writing during a cut; guards stopped and group
	stopped bool         // no more calls may be started
	group   int          // if not 0, the process group of all callers

	cuts         [3]int // by the way to cut, such as lab.CutFlush
	acknowledged int
	unfinished   int // commands that had started, without an acknowledged outcome
	ledgers      int
	unsynced     int // files that were written without a sync before a cut
	kept         int // unsynced files that are still present after the cut
	losses       int
	written      int // unsynced pages of receipts that the disk got before a cut
	unwritten    int // pages of receipts that it need not have got
	valid        int // cuts after which receipts were in use
	items        int // acknowledged outcomes of items

	mu sync.Mutex // guards the counts while the calls of a cut are checked

	earlier []lab.Job // acknowledged before earlier cuts of this ledger
}

func Run(l *lab.Lab) error {
	if err := l.CanMount(); err != nil {
		return err
	}
	cuts, weakCuts := 200, 40
	if l.Quick {
		cuts, weakCuts = 8, 4
	}
	p, err := newPowerTest(l, "full", l.Idem)
	if err == nil {
		err = p.cutSlots()
	}
	if err == nil {
		err = p.cutAll(cuts, []int{lab.CutNothing, lab.CutNothing, lab.CutNothing, lab.CutFlush, lab.CutFreeze})
	}
	if err != nil {
		return err
	}
	// As a control, a ledger that does not sync its commits must lose outcomes.
	weakIdem, err := rig.Build(".", filepath.Join(l.Dir, "idem-weak"), "-tags", "failpoint")
	if err != nil {
		return err
	}
	weak, err := newPowerTest(l, "normal", weakIdem)
	if err != nil {
		return err
	}
	weak.Env = []string{"IDEM_FAILPOINT_SYNCHRONOUS=normal"}
	// A few cuts may lose nothing by chance. Then more follow.
	for tries := 0; weak.losses == 0 && tries < 5; tries++ {
		if err := weak.cutAll(weakCuts, []int{lab.CutNothing}); err != nil {
			return err
		}
	}

	f := &l.Figures
	f.Count("cuts", p.cuts[lab.CutNothing]+p.cuts[lab.CutFlush]+p.cuts[lab.CutFreeze])
	f.Count("  cuts with nothing written that was not", p.cuts[lab.CutNothing])
	f.Count("  cuts with the journal flushed", p.cuts[lab.CutFlush])
	f.Count("  cuts with everything flushed", p.cuts[lab.CutFreeze])
	f.Count("ledgers", p.ledgers)
	f.Count("acknowledged outcomes", p.acknowledged)
	f.Count("acknowledged outcomes of items", p.items)
	f.Count("commands cut off", p.unfinished)
	f.Count("unsynced files written before a cut", p.unsynced)
	f.Count("  unsynced files lost, as they must be", p.unsynced-p.kept)
	f.Count("pages of receipts written back before a cut", p.written)
	f.Count("  pages of receipts not written back", p.unwritten)
	f.Count("  cuts after which receipts were in use", p.valid)
	f.Count("cuts under synchronous=normal", weak.cuts[lab.CutNothing])
	f.Count("  outcomes acknowledged under it", weak.acknowledged)
	f.Count("  outcomes lost or run again under it", weak.losses)
	if err := p.Report(os.Stdout, noForgetting, noRestart, noFalseEnd, noFalseReply, noFalseReceipt, lab.NoBroken); err != nil {
		return err
	}
	if p.kept+weak.kept > 0 || weak.losses == 0 {
		return errors.New("the cuts lose nothing, so the test proves nothing")
	}
	return nil
}

func newPowerTest(l *lab.Lab, name, idem string) (*powerTest, error) {
	d, err := l.NewHarness(name)
	if err != nil {
		return nil, err
	}
	p := &powerTest{Harness: d, rng: rand.New(rand.NewPCG(l.Seed, uint64(len(name))))}
	p.Idem = idem
	p.Start = p.startInGroup
	return p, nil
}

// cutAll makes a number of cuts. Each takes one of the ways at random.
func (p *powerTest) cutAll(cuts int, ways []int) error {
	for n := range cuts {
		if n == 0 || p.rng.IntN(4) == 0 {
			if err := p.newDisk(n); err != nil {
				return err
			}
		}
		if err := p.cutOnce(n, ways[p.rng.IntN(len(ways))]); err != nil {
			return err
		}
	}
	return p.removeDisk()
}

// newDisk replaces the disk by a new one without a ledger.
func (p *powerTest) newDisk(n int) (err error) {
	if err := p.removeDisk(); err != nil {
		return err
	}
	p.disk, err = p.Ext4(filepath.Join(p.Dir, fmt.Sprint("disk", n)), 256)
	p.Ledger, p.earlier = filepath.Join(p.disk.Dir, "ledger"), nil
	p.ledgers++
	return err
}

// removeDisk checks the integrity of the ledger and removes the disk. A ledger that
// does not sync its commits is not checked.
func (p *powerTest) removeDisk() error {
	if p.disk == nil {
		return nil
	}
	if p.Env == nil {
		p.Close()
	}
	d := p.disk
	p.disk = nil
	return errors.Join(d.Unmount(), os.Remove(d.Dir+".img"))
}

// check runs all jobs of this cut again, and some acknowledged ones of earlier cuts.
func (p *powerTest) check(a *callers) {
	p.stopped, p.group = false, 0
	var group sync.WaitGroup
	slots := make(chan struct{}, 4)
	do := func(f func()) {
		slots <- struct{}{}
		group.Go(func() { f(); <-slots })
	}
	lost := func(promise string, o lab.Job, format string, args ...any) { p.lost(promise, o.Key, format, args...) }
	for _, b := range a.batches {
		do(func() { p.checkBatch(b) })
	}
	for range min(8, len(p.earlier)) {
		o := p.earlier[p.rng.IntN(len(p.earlier))]
		do(func() {
			if c := p.Run(o, 3, lab.ReplayFailures); c.Code != o.Code || p.Runs(o.Key).Total() != 1 {
				lost(noForgetting, o, "some cuts later: status %d: %s", c.Code, c.Stderr())
			}
		})
	}
	var acknowledged []lab.Job
	for o, c := range a.calls {
		did := p.Runs(o.Key).Total()
		ack := c.Code == o.Code
		if o.Hold != "" {
			lab.Must(os.Remove(o.Hold))
		}
		switch {
		case ack:
			acknowledged = append(acknowledged, o)
		case did > 0:
			p.count(&p.unfinished, 1)
		}
		if !ack && c.Code != -9 || ack && did != 1 {
			p.Fail(noFalseEnd, o.Key, "before the cut: status %d, %d starts: %s", c.Code, did, c.Stderr())
		}
		do(func() {
			c := p.Run(o, 2, lab.ReplayFailures)
			now := p.Runs(o.Key).Total()
			switch {
			case ack && (c.Code != o.Code || now != 1):
				lost(noForgetting, o, "status %d, %d starts: %s", c.Code, now, c.Stderr())
			case did > 0 && now != did:
				lost(noRestart, o, "status %d, %d starts", c.Code, now)
			case c.Code == lab.ExitInterrupted && now == did:
			case c.Code != o.Code:
				lost(noFalseEnd, o, "after the cut: status %d: %s", c.Code, c.Stderr())
			case c.Stdout() != string(lab.CommandOutput(o.Key, o.Output)):
				lost(noFalseReply, o, "%d bytes, want %d", len(c.Stdout()), o.Output)
			}
		})
	}
	group.Wait()
	p.acknowledged += len(acknowledged)
	p.earlier = append(p.earlier, acknowledged...)
}
