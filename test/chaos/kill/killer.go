package kill

import (
	"context"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"idem/test/chaos/lab"
)

// killCounts counts the kills that hit a process.
type killCounts struct {
	idem, young, command, both, leftover atomic.Int64
}

// total counts a kill of both idem and its command as one.
func (k *killCounts) total() int {
	return int(k.idem.Load() + k.young.Load() + k.command.Load() + k.both.Load() + k.leftover.Load())
}

// killRandomly kills processes of the key at random times until its budget is used. Then
// it removes the hold file, so that the commands end.
func (s *keyTest) killRandomly(ctx context.Context) {
	defer os.Remove(s.holdPath())
	rng := s.rng(callers + 2)
	for s.budget.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(5+rng.IntN(60)) * time.Millisecond):
		}
		var found []lab.Process
		for _, p := range s.processes() {
			if strings.HasPrefix(p.Call, s.key+"/") {
				found = append(found, p)
			}
		}
		s.killOne(rng, found)
	}
}

// processes returns a scan that is at most 10 ms old. All killers share it, because
// a scan is expensive.
func (r *killTest) processes() []lab.Process {
	r.scanLock.Lock()
	defer r.scanLock.Unlock()
	if time.Since(r.scanTime) > 10*time.Millisecond {
		r.scanned, r.scanTime = r.Scan(), time.Now()
	}
	return r.scanned
}

// killOne kills one of the processes of the key, or idem and its command.
func (s *keyTest) killOne(rng *rand.Rand, found []lab.Process) {
	var idems, commands, holders, leftovers []lab.Process
	byCall := map[string]lab.Process{} // idem by call
	shells := map[string]bool{}        // calls whose command is alive
	for _, p := range found {
		switch p.Role {
		case lab.RoleIdem:
			idems = append(idems, p)
			byCall[p.Call] = p
		case lab.RoleCommand:
			commands = append(commands, p)
			shells[p.Call] = true
		}
	}
	for _, p := range found {
		idem, alive := byCall[p.Call]
		switch {
		case p.Role == lab.RoleCommand && alive:
			holders = append(holders, idem)
		case p.Role == lab.RoleCommand, p.Role == lab.RoleHelper && !shells[p.Call]:
			leftovers = append(leftovers, p)
		}
	}
	pick := func(from []lab.Process) lab.Process { return from[rng.IntN(len(from))] }
	switch d := rng.IntN(20); {
	case d < 6 && len(leftovers) > 0:
		s.killCounted(pick(leftovers), &s.kills.leftover)
	case d < 9 && len(holders) > 0:
		s.killCounted(pick(holders), &s.kills.idem)
	case d < 11 && len(idems) > 0:
		s.killCounted(pick(idems), &s.kills.idem)
	case d < 15 && len(holders) > 0:
		idem := pick(holders)
		for _, p := range commands {
			if p.Call == idem.Call {
				s.killBoth(rng, idem, p)
				break
			}
		}
	case len(commands) > 0:
		s.killCounted(pick(commands), &s.kills.command)
	}
}

// killCounted kills one process, unless the budget is used, and counts it.
func (s *keyTest) killCounted(p lab.Process, count *atomic.Int64) {
	s.killLock.Lock()
	defer s.killLock.Unlock()
	if s.budget.Add(-1) < 0 {
		return
	}
	if s.killLogged(p) {
		count.Add(1)
	} else {
		s.budget.Add(1)
	}
}

func (s *keyTest) killLogged(p lab.Process) bool {
	kind := map[lab.Role]lab.Kind{lab.RoleIdem: lab.KillIdem, lab.RoleCommand: lab.KillCommand}[p.Role]
	begun := false
	hit := s.Kill(p, func() {
		if begun = kind != ""; begun {
			s.journal.Add(lab.Event{Kind: kind, Call: p.Call})
		}
	})
	if begun {
		e := lab.Event{Kind: lab.Killed, Call: p.Call}
		if hit {
			e.Code = 1
		}
		s.journal.Add(e)
	}
	return hit
}

// killBoth kills idem and its command, in random order.
func (s *keyTest) killBoth(rng *rand.Rand, a, b lab.Process) {
	s.killLock.Lock()
	defer s.killLock.Unlock()
	if rng.IntN(2) == 0 {
		a, b = b, a
	}
	first, second := s.killLogged(a), s.killLogged(b)
	switch {
	case first && second:
		s.kills.both.Add(1)
	case first && a.Role == lab.RoleIdem, second && b.Role == lab.RoleIdem:
		s.kills.idem.Add(1)
	case first || second:
		s.kills.command.Add(1)
	default:
		return
	}
	s.budget.Add(-1)
}

// killAfter kills the idem of a call after a delay, if it is still alive.
func (s *keyTest) killAfter(call string, after time.Duration, done chan<- struct{}) {
	defer close(done)
	time.Sleep(after)
	for _, p := range s.Scan() { // a shared scan may be too old
		if p.Call == call && p.Role == lab.RoleIdem {
			s.killCounted(p, &s.kills.young)
			return
		}
	}
}
