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
)

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
	// A power cut takes the processes with it, in the middle of what they do in
	// the kernel. They must not come back from there: Linux lets an fsync that is
	// under way when an ext4 is shut down return success without having written
	// (seen on 6.18 with nothing but write and fsync). A SIGSTOP is not enough,
	// since it reaches one thread after the other.
	p.gate.Lock()
	must(unix.Kill(-p.group, unix.SIGKILL))
	unsynced := filepath.Join(p.disk.dir, "unsynced")
	must(os.WriteFile(unsynced, outputOf("nobody", 4096), 0o600))
	if err := p.disk.cut(how); err != nil {
		return err
	}
	p.cuts[how]++
	p.over = true
	p.gate.Unlock()
	asked.group.Wait()
	_ = leader.Wait()

	if err := errors.Join(p.disk.off(), p.disk.on()); err != nil {
		return err
	}
	if how == cutNothing {
		p.unsynced++
		if b, err := os.ReadFile(unsynced); err == nil && len(b) > 0 {
			p.kept++
		}
	}
	_ = os.Remove(unsynced)
	p.check(asked)
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
