package mutex

import (
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"

	"idem/test/chaos/lab"
)

// killRandomly kills processes at random times until the budget is used.
func (r *mutexTest) killRandomly(ctx context.Context) {
	rng := rand.New(rand.NewPCG(r.Seed, 1<<40))
	for r.budget.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(5+rng.IntN(60)) * time.Millisecond):
		}
		r.killOne(rng, r.Scan())
	}
}

// killOne kills a process of a random kind, or the group of a command.
func (r *mutexTest) killOne(rng *rand.Rand, found []lab.Process) {
	begun := map[string]bool{} // calls whose command is alive
	idem := map[string]bool{}  // calls whose idem is alive
	for _, p := range found {
		begun[p.Call] = begun[p.Call] || p.Role == lab.RoleCommand
		idem[p.Call] = idem[p.Call] || p.Role == lab.RoleIdem
	}
	kinds := map[string][]lab.Process{}
	for _, p := range found {
		switch {
		case p.Role == lab.RoleIdem && begun[p.Call]:
			kinds["idem"] = append(kinds["idem"], p)
		case p.Role == lab.RoleIdem:
			kinds["waiter"] = append(kinds["waiter"], p)
		case p.Role == lab.RoleCommand && idem[p.Call]:
			kinds["command"] = append(kinds["command"], p)
		case p.Role == lab.RoleCommand, p.Role == lab.RoleHelper && !begun[p.Call]:
			kinds["leftover"] = append(kinds["leftover"], p)
		}
	}
	pick := func(kind string, count *int) bool {
		all := kinds[kind]
		return len(all) > 0 && r.kill(all[rng.IntN(len(all))], kind == "command" && count == &r.kills.group, count)
	}
	if rng.IntN(3) == 0 && pick("leftover", &r.kills.leftover) { // there are few
		return
	}
	switch rng.IntN(9) {
	case 0, 1, 2, 3:
		pick("idem", &r.kills.idem)
	case 4, 5:
		pick("waiter", &r.kills.waiter)
	case 6:
		pick("command", &r.kills.command)
	default:
		pick("command", &r.kills.group)
	}
}

// kill kills a process or its group, and counts it.
func (r *mutexTest) kill(p lab.Process, group bool, count *int) bool {
	leader, err := unix.Getpgid(p.PID)
	if err != nil || group && leader == unix.Getpgrp() {
		return false
	}
	hit := r.Kill(p, func() {
		kind := lab.KillCommand
		if p.Role == lab.RoleIdem {
			kind = lab.KillIdem
		}
		r.journal.Add(lab.Event{Kind: kind, Call: p.Call})
		if group {
			_ = unix.Kill(-leader, unix.SIGKILL)
		}
	})
	if hit || group {
		*count++
		r.budget.Add(-1)
	}
	return hit
}
