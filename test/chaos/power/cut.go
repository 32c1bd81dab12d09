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
)

// cutOnce lets callers call, cuts, and holds what is there afterwards against what
// they were told.
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
	p.awaitMoment(asked)
	// A power cut takes the processes with it, in the middle of what they do in
	// the kernel. They must not come back from there: Linux lets an fsync that is
	// under way when an ext4 is shut down return success without having written
	// (seen on 6.18 with nothing but write and fsync). A SIGSTOP is not enough,
	// since it reaches one thread after the other.
	p.gate.Lock()
	lab.Must(unix.Kill(-p.group, unix.SIGKILL))
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
	p.check(asked)
	return nil
}

// startInGroup starts a call as long as that is allowed.
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

// awaitMoment waits for the moment to cut: while the ledger is being made, or after
// some have got their answers.
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

// GroupLeader is who a process group is named after. It ends with its stdin.
func GroupLeader([]string) int {
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// callers is what was asked before a cut, and answered.
type callers struct {
	group        sync.WaitGroup
	acknowledged atomic.Int64

	mu    sync.Mutex
	calls map[lab.Job]lab.Call
}

func (p *powerTest) startCallers(cut int) *callers {
	a := &callers{calls: map[lab.Job]lab.Call{}}
	for w := range 6 {
		rng := rand.New(rand.NewPCG(p.Seed, uint64(cut)<<8|uint64(w)))
		a.group.Go(func() {
			for k := 0; ; k++ {
				o := lab.RandomJob(rng, fmt.Sprintf("c%d:w%d:%d", cut, w, k))
				if w < 2 && rng.IntN(5) == 0 { // it is at work when the cut comes
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
	return a
}
