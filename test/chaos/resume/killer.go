package resume

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"idem/test/chaos/lab"
)

// kills counts the kills that hit a process.
type kills struct{ idem, command, both atomic.Int64 }

func (k *kills) total() int { return int(k.idem.Load() + k.command.Load() + k.both.Load()) }

// killRandomly kills processes of the round at random times until the budget is used.
func (r *round) killRandomly(ctx context.Context, rng *rand.Rand) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(10+rng.IntN(120)) * time.Millisecond):
		}
		if r.budget.Load() <= 0 {
			return
		}
		var idems, commands []lab.Process
		for _, p := range r.Scan() {
			if !strings.HasPrefix(p.Call, r.name+"/") {
				continue
			}
			switch p.Role {
			case lab.RoleIdem:
				idems = append(idems, p)
			case lab.RoleCommand, lab.RoleHelper: // a helper is a script
				commands = append(commands, p)
			}
		}
		pick := func(from []lab.Process) lab.Process { return from[rng.IntN(len(from))] }
		switch d := rng.IntN(10); {
		case d < 5 && len(idems) > 0:
			r.kill(&r.kills.idem, pick(idems))
		case d < 8 && len(commands) > 0:
			r.kill(&r.kills.command, pick(commands))
		case len(idems) > 0:
			// idem, and all commands that it has started by now
			victims := []lab.Process{pick(idems)}
			for _, p := range commands {
				if p.Call == victims[0].Call {
					victims = append(victims, p)
				}
			}
			rng.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
			r.kill(&r.kills.both, victims...)
		}
	}
}

// kill kills processes and counts that as one kill, if it hit one.
func (r *round) kill(count *atomic.Int64, victims ...lab.Process) {
	hit := false
	for _, p := range victims {
		if r.Kill(p, func() {
			if p.Role == lab.RoleCommand {
				r.journal.Add(lab.Event{Kind: lab.KillCommand, Call: p.Call, Run: p.Run})
			}
		}) {
			hit = true
		}
	}
	if hit {
		count.Add(1)
		r.budget.Add(-1)
	}
}
