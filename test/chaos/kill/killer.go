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
		var found []process
		for _, p := range s.processes() {
			if strings.HasPrefix(p.call, s.key+"/") {
				found = append(found, p)
			}
		}
		s.killOne(rng, found)
	}
}

// processes returns a scan that is at most 10 ms old. All killers share it, because
// a scan is expensive.
func (r *killTest) processes() []process {
	r.scanLock.Lock()
	defer r.scanLock.Unlock()
	if time.Since(r.scanTime) > 10*time.Millisecond {
		r.scanned, r.scanTime = r.scan(), time.Now()
	}
	return r.scanned
}

// killOne kills one of the processes of the key, or idem and its command.
func (s *keyTest) killOne(rng *rand.Rand, found []process) {
	var idems, commands, holders, leftovers []process
	byCall := map[string]process{} // idem by call
	shells := map[string]bool{}    // calls whose command is alive
	for _, p := range found {
		switch p.role {
		case roleIdem:
			idems = append(idems, p)
			byCall[p.call] = p
		case roleCommand:
			commands = append(commands, p)
			shells[p.call] = true
		}
	}
	for _, p := range found {
		idem, alive := byCall[p.call]
		switch {
		case p.role == roleCommand && alive:
			holders = append(holders, idem)
		case p.role == roleCommand, p.role == roleHelper && !shells[p.call]:
			leftovers = append(leftovers, p)
		}
	}
	pick := func(from []process) process { return from[rng.IntN(len(from))] }
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
			if p.call == idem.call {
				s.killBoth(rng, idem, p)
				break
			}
		}
	case len(commands) > 0:
		s.killCounted(pick(commands), &s.kills.command)
	}
}

// killCounted kills one process, unless the budget is used, and counts it.
func (s *keyTest) killCounted(p process, count *atomic.Int64) {
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

func (s *keyTest) killLogged(p process) bool {
	kind := map[role]lab.Kind{roleIdem: lab.KillIdem, roleCommand: lab.KillCommand}[p.role]
	begun := false
	hit := s.killProcess(p, func() {
		if begun = kind != ""; begun {
			s.journal.Add(lab.Event{Kind: kind, Call: p.call})
		}
	})
	if begun {
		e := lab.Event{Kind: lab.Killed, Call: p.call}
		if hit {
			e.Code = 1
		}
		s.journal.Add(e)
	}
	return hit
}

// killBoth kills idem and its command, in random order.
func (s *keyTest) killBoth(rng *rand.Rand, a, b process) {
	s.killLock.Lock()
	defer s.killLock.Unlock()
	if rng.IntN(2) == 0 {
		a, b = b, a
	}
	first, second := s.killLogged(a), s.killLogged(b)
	switch {
	case first && second:
		s.kills.both.Add(1)
	case first && a.role == roleIdem, second && b.role == roleIdem:
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
	for _, p := range s.scan() { // a shared scan may be too old
		if p.call == call && p.role == roleIdem {
			s.killCounted(p, &s.kills.young)
			return
		}
	}
}
