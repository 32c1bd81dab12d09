package power

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

	"idem/test/chaos/lab"
	"idem/test/chaos/resume"
)

// cutOnce starts callers, cuts the disk, and compares the ledger with the answers to the
// callers.
func (p *powerTest) cutOnce(n, how int) error {
	leader := lab.Child("group-leader")
	leader.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := leader.StdinPipe()
	if err != nil {
		return err
	}
	defer in.Close()
	if err := leader.Start(); err != nil {
		return err
	}
	p.stopped, p.group = false, leader.Process.Pid

	asked := p.startCallers(n)
	over := make(chan struct{})
	asked.group.Go(func() { p.writeBackAtTimes(rand.New(rand.NewPCG(p.Seed, uint64(n)<<8|98)), over) })
	p.awaitMoment(asked)
	// A power cut also ends the processes in the middle of a system call. They must
	// not return from it: an fsync in progress during the shutdown of an ext4
	// returns success without having written (seen on Linux 6.18 with only write
	// and fsync). SIGSTOP is not enough, because it stops one thread after another.
	p.gate.Lock()
	writesBack := how == lab.CutNothing && p.rng.IntN(3) > 0
	if writesBack {
		p.awaitStamp()
	}
	close(over)
	lab.Must(unix.Kill(-p.group, unix.SIGKILL))
	p.killItems()
	if writesBack {
		if err := p.writeBack(); err != nil {
			return err
		}
	}
	unsynced := filepath.Join(p.disk.Dir, "unsynced")
	lab.Must(os.WriteFile(unsynced, lab.CommandOutput("nobody", 4096), 0o600))
	if err := p.disk.Cut(how); err != nil {
		return err
	}
	p.cuts[how]++
	p.stopped = true
	p.gate.Unlock()
	asked.group.Wait()
	_ = leader.Wait()

	if err := errors.Join(p.disk.Unmount(), p.disk.Mount()); err != nil {
		return err
	}
	if how == lab.CutNothing {
		p.unsynced++
		if b, err := os.ReadFile(unsynced); err == nil && len(b) > 0 {
			p.kept++
		}
	}
	_ = os.Remove(unsynced)
	p.checkReceipts()
	p.check(asked)
	return nil
}

// killItems kills the commands of items, each of which has a separate group.
func (p *powerTest) killItems() {
	for end := time.Now().Add(lab.ExitWithin); time.Now().Before(end); {
		left := p.Scan()
		if len(left) == 0 {
			return
		}
		for _, c := range left {
			p.Lab.Kill(c, func() {})
		}
	}
}

// startInGroup starts a call, unless the test has stopped.
func (p *powerTest) startInGroup(c *exec.Cmd) error {
	p.gate.RLock()
	defer p.gate.RUnlock()
	if p.stopped {
		return lab.ErrNoMoreCalls
	}
	if p.group != 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: p.group}
	}
	return c.Start()
}

// awaitMoment waits for the moment of the cut: while the ledger is being made, or after
// some acknowledged outcomes.
func (p *powerTest) awaitMoment(a *callers) {
	target := int64(p.rng.IntN(16))
	enough := func() bool { return a.acknowledged.Load() >= target }
	if len(p.earlier) == 0 && p.rng.IntN(2) == 0 {
		enough = func() bool { _, err := os.Stat(p.Ledger); return err == nil }
	}
	for end := time.Now().Add(lab.ExitWithin); !enough() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Duration(p.rng.IntN(60)) * time.Millisecond)
}

// GroupLeader is the leader of a process group. It ends when its stdin is closed.
func GroupLeader([]string) int {
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// callers has the calls before a cut.
type callers struct {
	group        sync.WaitGroup
	acknowledged atomic.Int64

	mu      sync.Mutex
	calls   map[lab.Job]lab.Call
	batches []*resume.Batch
}

// startCallers starts six callers, which make calls for new keys until the cut.
func (p *powerTest) startCallers(cut int) *callers {
	a := &callers{calls: map[lab.Job]lab.Call{}}
	for w := range 6 {
		rng := rand.New(rand.NewPCG(p.Seed, uint64(cut)<<8|uint64(w)))
		a.group.Go(func() {
			for k := 0; ; k++ {
				o := lab.RandomJob(rng, fmt.Sprintf("c%d:w%d:%d", cut, w, k))
				if w < 2 && rng.IntN(5) == 0 { // the command runs during the cut
					o.Hold = filepath.Join(p.Dir, "calls", o.Key+".hold")
					lab.Must(os.WriteFile(o.Hold, nil, 0o600))
				}
				c := p.Run(o, 1, lab.ReplayFailures)
				if c.Code == lab.NotCalled {
					return
				}
				if c.Code == o.Code {
					a.acknowledged.Add(1)
				}
				a.mu.Lock()
				a.calls[o] = c
				a.mu.Unlock()
			}
		})
	}
	rng := rand.New(rand.NewPCG(p.Seed, uint64(cut)<<8|99))
	keys := lab.SharedSlot(fmt.Sprintf("r%d:", cut), 3)
	a.group.Go(func() { p.ChangeReceipts(rng, keys, func() bool { return true }) })
	a.group.Go(func() {
		for k := 0; ; k++ {
			b, err := p.newBatch(fmt.Sprintf("b%d:%d", cut, k))
			lab.Must(err)
			a.batches = append(a.batches, b) // only this goroutine uses them until the cut
			if c := p.Call(b.Key, 1, b.Args()); c.Code == lab.NotCalled {
				return
			}
			a.acknowledged.Add(1)
		}
	})
	return a
}
