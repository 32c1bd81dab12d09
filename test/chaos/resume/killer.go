package resume

import (
	"context"
	"math/rand/v2"
	"slices"
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
	for r.budget.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(10+rng.IntN(150)) * time.Millisecond):
		}
		// Usually the victim is a call whose command is alive, which is so for a part of the
		// time only.
		awaits := rng.IntN(5) > 0
		for tries := 0; tries < 50 && ctx.Err() == nil; tries++ {
			idems, commands := r.victims(awaits)
			if len(idems) > 0 || len(commands) > 0 {
				r.killOne(rng, idems, commands)
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
}

// victims returns the calls of idem of the round and their commands. With active, it
// returns only those of calls whose command is alive.
func (r *round) victims(active bool) (idems, commands []lab.Process) {
	found := r.Scan()
	has := map[string]bool{}
	for _, p := range found {
		has[p.Call] = has[p.Call] || p.Role == lab.RoleCommand
	}
	for _, p := range found {
		if !strings.HasPrefix(p.Call, r.name+"/") || active && !has[p.Call] {
			continue
		}
		switch p.Role {
		case lab.RoleIdem:
			idems = append(idems, p)
		case lab.RoleCommand, lab.RoleHelper: // a helper is a script
			commands = append(commands, p)
		}
	}
	return idems, commands
}

// killOne kills a call of idem, a command, or a call with all commands that it has started.
func (r *round) killOne(rng *rand.Rand, idems, commands []lab.Process) {
	pick := func(from []lab.Process) lab.Process { return from[rng.IntN(len(from))] }
	switch d := rng.IntN(10); {
	case d < 4 && len(idems) > 0:
		r.kill(&r.kills.idem, pick(idems))
	case d < 8 && len(commands) > 0:
		r.kill(&r.kills.command, pick(commands))
	case len(idems) > 0:
		victims := []lab.Process{pick(idems)}
		for _, p := range slices.Concat(idems, commands) {
			if p.Call == victims[0].Call && p.PID != victims[0].PID {
				victims = append(victims, p)
			}
		}
		rng.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
		r.kill(&r.kills.both, victims...)
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
