package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"idem/scripts/internal/rig"
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
	// Only luck can keep all of so few; it is not asked twice of so many.
	for tries := 0; weak.losses == 0 && tries < 5; tries++ {
		if err := weak.all(weakCuts, []int{cutNothing}); err != nil {
			return err
		}
	}

	f := &l.figures
	f.Count("cuts", p.cuts[cutNothing]+p.cuts[cutFlush]+p.cuts[cutFreeze])
	f.Count("  with nothing written that was not", p.cuts[cutNothing])
	f.Count("  with the journal flushed", p.cuts[cutFlush])
	f.Count("  with everything flushed", p.cuts[cutFreeze])
	f.Count("ledgers, new ones hit while they are made", p.fresh)
	f.Count("acknowledged outcomes", p.acknowledged)
	f.Count("commands cut off", p.unfinished)
	f.Count("unsynced files written before a cut", p.unsynced)
	f.Count("  of them lost, as they must be", p.unsynced-p.kept)
	f.Count("cuts under synchronous=normal", weak.cuts[cutNothing])
	f.Count("  acknowledged outcomes", weak.acknowledged)
	f.Count("  of them lost or run again", weak.losses)
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
	p.disk, err = p.ext4(filepath.Join(p.dir, fmt.Sprint("disk", n)), 64)
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

// one lets callers call, cuts, and holds what is there afterwards against what
// they were told.
func (p *powering) one(n, how int) error {
	leader := child("leader")
	leader.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := leader.StdinPipe()
	if err != nil {
		return err
	}
	defer in.Close()
	if err := leader.Start(); err != nil {
		return err
	}
	p.over, p.group = false, leader.Process.Pid

	asked := p.callers(n)
	p.await(asked)
	// Either everybody stands still at once, or they find out.
	stopped := len(p.env) > 0 || p.rng.IntN(2) == 0
	p.gate.Lock()
	if stopped {
		must(unix.Kill(-p.group, unix.SIGSTOP))
	}
	unsynced := filepath.Join(p.disk.dir, "unsynced")
	must(os.WriteFile(unsynced, outputOf("nobody", 4096), 0o600))
	if err := p.disk.cut(how); err != nil {
		return err
	}
	p.cuts[how]++
	if !stopped {
		p.gate.Unlock()
		time.Sleep(time.Duration(p.rng.IntN(40)) * time.Millisecond)
		p.gate.Lock()
	}
	must(unix.Kill(-p.group, unix.SIGKILL))
	p.over = true
	p.gate.Unlock()
	asked.group.Wait()
	_ = leader.Wait()

	if err := errors.Join(p.disk.off(), p.disk.on()); err != nil {
		return err
	}
	if stopped && how == cutNothing {
		p.unsynced++
		if b, err := os.ReadFile(unsynced); err == nil && len(b) > 0 {
			p.kept++
		}
	}
	_ = os.Remove(unsynced)
	p.check(asked, stopped)
	return nil
}

// errOver is the error of a call that may not be made any more.
var errOver = errors.New("over")

// startInGroup starts a call as long as that is allowed.
func (p *powering) startInGroup(c *exec.Cmd) error {
	p.gate.RLock()
	defer p.gate.RUnlock()
	if p.over {
		return errOver
	}
	if p.group != 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: p.group}
	}
	return c.Start()
}

// await waits for the moment to cut: while the ledger is being made, or after
// some have got their answers.
func (p *powering) await(a *asking) {
	target := int64(p.rng.IntN(16))
	enough := func() bool { return a.acknowledged.Load() >= target }
	if len(p.old) == 0 && p.rng.IntN(2) == 0 {
		enough = func() bool { _, err := os.Stat(p.ledger); return err == nil }
	}
	for end := time.Now().Add(linger); !enough() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Duration(p.rng.IntN(60)) * time.Millisecond)
}

// leader is who a process group is named after. It ends with its stdin.
func leader([]string) int {
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// asking is what was asked before a cut, and answered.
type asking struct {
	group        sync.WaitGroup
	acknowledged atomic.Int64

	mu      sync.Mutex
	answers map[order]call
}

// outcomesCount is a flag of all runs: a failure is then as final as a success.
var outcomesCount = []string{"--on-failure", "replay"}

func (p *powering) callers(cut int) *asking {
	a := &asking{answers: map[order]call{}}
	for w := range 6 {
		rng := rand.New(rand.NewPCG(p.seed, uint64(cut)<<8|uint64(w)))
		a.group.Go(func() {
			for k := 0; ; k++ {
				o := randomOrder(rng, fmt.Sprintf("c%d:w%d:%d", cut, w, k))
				if w < 2 && rng.IntN(5) == 0 { // it is at work when the cut comes
					o.hold = filepath.Join(p.dir, "calls", o.key+".hold")
					must(os.WriteFile(o.hold, nil, 0o600))
				}
				c := p.run(o, 1, outcomesCount)
				if c.code == notCalled {
					return
				}
				if c.code == o.code {
					a.acknowledged.Add(1)
				}
				a.mu.Lock()
				a.answers[o] = c
				a.mu.Unlock()
			}
		})
	}
	return a
}

// randomOrder does anything between nothing and a lot.
func randomOrder(rng *rand.Rand, key string) order {
	o := order{key: key, time: time.Duration(rng.IntN(20)) * time.Millisecond}
	switch d := rng.IntN(20); {
	case d < 8:
	case d < 13:
		o.bytes = rng.IntN(30_000)
	case d < 18:
		o.bytes = 33_000 + rng.IntN(270_000)
	default:
		o.bytes = 1_000_000 + rng.IntN(2_000_000)
	}
	if rng.IntN(8) == 0 {
		o.code = actFails
	}
	return o
}

// check calls everybody again, and some of those of earlier cuts.
func (p *powering) check(a *asking, stopped bool) {
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
		ends := map[int]bool{o.code: true, -9: true, exitLedger: !stopped && did == 0, exitUnrecorded: !stopped && did == 1}
		if !ends[c.code] || ack && did != 1 {
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
