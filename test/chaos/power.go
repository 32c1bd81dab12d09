package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"idem/test/internal/rig"
)

const (
	noForgetting = "acknowledged outcomes that a cut has lost"
	noRestart    = "started commands that ran again after a cut"
	noFalseEnd   = "calls with an unexpected end"
	noFalseReply = "replies that are not what was written"
)

// powering is the part "power": callers with ever new keys on a disk of their
// own, which is cut off again and again.
type powering struct {
	*desk
	rng   *rand.Rand
	disk  *disk
	gate  sync.RWMutex // held for writing while nobody may start anything; guards
	over  bool         // nobody may any more,
	group int          // the process group of all callers, if not 0

	cuts         [3]int // by how
	acknowledged int
	unfinished   int // commands that had started, without an outcome that anybody has seen
	fresh        int // ledgers
	unsynced     int // files that were written without a sync before a cut
	kept         int // of them: still there afterwards
	losses       int

	old []order // acknowledged, on this ledger
}

func powerPart(l *lab) error {
	if err := l.mayMount(); err != nil {
		return err
	}
	cuts, weakCuts := 200, 40
	if l.quick {
		cuts, weakCuts = 8, 4
	}
	p, err := l.powering("full", l.idem)
	if err == nil {
		err = p.all(cuts, []int{cutNothing, cutNothing, cutNothing, cutFlush, cutFreeze})
	}
	if err != nil {
		return err
	}
	// The same with a ledger that does not sync its commits must lose some, or
	// nothing is proved.
	hurt, err := rig.Build(".", filepath.Join(l.dir, "idem-weak"), "-tags", "failpoint")
	if err != nil {
		return err
	}
	weak, err := l.powering("normal", hurt)
	if err != nil {
		return err
	}
	weak.env = []string{"IDEM_FAILPOINT_SYNCHRONOUS=normal"}
	// So few may keep everything by luck: then some more are made.
	for tries := 0; weak.losses == 0 && tries < 5; tries++ {
		if err := weak.all(weakCuts, []int{cutNothing}); err != nil {
			return err
		}
	}

	f := &l.figures
	f.Count("cuts", p.cuts[cutNothing]+p.cuts[cutFlush]+p.cuts[cutFreeze])
	f.Count("  cuts with nothing written that was not", p.cuts[cutNothing])
	f.Count("  cuts with the journal flushed", p.cuts[cutFlush])
	f.Count("  cuts with everything flushed", p.cuts[cutFreeze])
	f.Count("ledgers", p.fresh)
	f.Count("acknowledged outcomes", p.acknowledged)
	f.Count("commands cut off", p.unfinished)
	f.Count("unsynced files written before a cut", p.unsynced)
	f.Count("  unsynced files lost, as they must be", p.unsynced-p.kept)
	f.Count("cuts under synchronous=normal", weak.cuts[cutNothing])
	f.Count("  outcomes acknowledged under it", weak.acknowledged)
	f.Count("  outcomes lost or run again under it", weak.losses)
	if err := p.verdict(os.Stdout, noForgetting, noRestart, noFalseEnd, noFalseReply, noBroken); err != nil {
		return err
	}
	if p.kept+weak.kept > 0 || weak.losses == 0 {
		return errors.New("the cuts lose nothing, so that nothing is proved")
	}
	return nil
}

func (l *lab) powering(name, idem string) (*powering, error) {
	d, err := l.desk(name)
	if err != nil {
		return nil, err
	}
	p := &powering{desk: d, rng: rand.New(rand.NewPCG(l.seed, uint64(len(name))))}
	p.idem = idem
	p.start = p.startInGroup
	return p, nil
}

// all makes so many cuts, each in one of the ways.
func (p *powering) all(cuts int, ways []int) error {
	for n := range cuts {
		if n == 0 || p.rng.IntN(4) == 0 {
			if err := p.renew(n); err != nil {
				return err
			}
		}
		if err := p.one(n, ways[p.rng.IntN(len(ways))]); err != nil {
			return err
		}
	}
	return p.retire()
}

// renew takes a new disk, without a ledger.
func (p *powering) renew(n int) (err error) {
	if err := p.retire(); err != nil {
		return err
	}
	p.disk, err = p.ext4(filepath.Join(p.dir, fmt.Sprint("disk", n)), 256)
	p.ledger, p.old = filepath.Join(p.disk.dir, "ledger"), nil
	p.fresh++
	return err
}

// retire looks at the ledger as a whole and takes the disk away. A ledger that
// is built to lose commits may have lost its file's coherence as well.
func (p *powering) retire() error {
	if p.disk == nil {
		return nil
	}
	if p.env == nil {
		p.close()
	}
	d := p.disk
	p.disk = nil
	return errors.Join(d.off(), os.Remove(d.dir+".img"))
}

// check calls everybody again, and some of those of earlier cuts.
func (p *powering) check(a *asking) {
	p.over, p.group = false, 0
	var group sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, 4)
	do := func(f func()) {
		slots <- struct{}{}
		group.Go(func() { f(); <-slots })
	}
	lost := func(promise string, o order, format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		p.losses++
		p.complain(promise, o.key, format, args...)
	}
	for range min(8, len(p.old)) {
		o := p.old[p.rng.IntN(len(p.old))]
		do(func() {
			if c := p.run(o, 3, outcomesCount); c.code != o.code || p.doings(o.key).all() != 1 {
				lost(noForgetting, o, "some cuts later: status %d: %s", c.code, c.stderr())
			}
		})
	}
	var acknowledged []order
	for o, c := range a.answers {
		did := p.doings(o.key).all()
		ack := c.code == o.code
		if o.hold != "" {
			must(os.Remove(o.hold))
		}
		switch {
		case ack:
			acknowledged = append(acknowledged, o)
		case did > 0:
			p.unfinished++
		}
		if !ack && c.code != -9 || ack && did != 1 {
			p.complain(noFalseEnd, o.key, "before the cut: status %d, %d starts: %s", c.code, did, c.stderr())
		}
		do(func() {
			c := p.run(o, 2, outcomesCount)
			now := p.doings(o.key).all()
			switch {
			case ack && (c.code != o.code || now != 1):
				lost(noForgetting, o, "status %d, %d starts: %s", c.code, now, c.stderr())
			case did > 0 && now != did:
				lost(noRestart, o, "status %d, %d starts", c.code, now)
			case c.code == exitInterrupted && now == did:
			case c.code != o.code:
				lost(noFalseEnd, o, "after the cut: status %d: %s", c.code, c.stderr())
			case c.stdout() != string(outputOf(o.key, o.bytes)):
				lost(noFalseReply, o, "%d bytes, want %d", len(c.stdout()), o.bytes)
			}
		})
	}
	group.Wait()
	p.acknowledged += len(acknowledged)
	p.old = append(p.old, acknowledged...)
}
