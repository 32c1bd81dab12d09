package postgres

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"idem/ledger/filelock"
)

// A command whose lease cannot be kept must be dead before the lease ends, because after that
// another host may run the key. The runner sends TERM, and later KILL, to the processes that it
// manages. Here every other process of the command gets KILL: those that hold the life lock,
// those with the attempt in their environment, and the descendants of both.

// termAt returns the time of sinceBoot at which a command gets TERM.
func (s *leases) termAt(h *held) time.Duration { return h.killAt() - s.ledger.opt.KillAfter }

// killAt returns the time of sinceBoot at which all processes of a command get KILL.
func (h *held) killAt() time.Duration { return h.since + h.length - margin(h.length) }

// warnAfter is the part of a lease after which a user is told that the ledger does not answer.
func warnAfter(lease time.Duration) time.Duration { return lease / 3 }

// command says that the claim is about to start the command of an attempt.
func (s *leases) command(h *held, run string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.run, h.exited, h.ended, h.family = run, false, false, nil
}

// leave makes a claim the keeper's, because processes of an attempt live that has lost its idem.
func (s *leases) leave(h *held, run string, keep bool) {
	s.command(h, run)
	s.mu.Lock()
	h.keep = keep
	s.mu.Unlock()
	if s.keeping.command(h) == nil {
		s.keeping.leave(h)
	}
	s.remove(h)
}

// exited says that the command of a claim has ended by itself, or was not started. It reports
// false if the claim was lost before: then what is left of the command must end too.
func (s *leases) exited(h *held) bool {
	s.mu.Lock()
	lost := h.over && h.run != ""
	if !lost {
		h.exited = true
	}
	s.mu.Unlock()
	if !lost {
		s.keeping.exited(h)
	}
	return !lost
}

// late reports whether it is too late to start a command.
func (s *leases) late(h *held) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return h.over || !h.keep && sinceBoot() >= s.termAt(h)
}

// busy reports whether a command of the claim may have processes that count.
func (h *held) busy() bool { return h.run != "" && !h.exited }

// endOverdue ends the claims whose time is over. The caller holds s.mu.
func (s *leases) endOverdue(now time.Duration) {
	for h := range s.all {
		if now >= s.termAt(h) {
			s.end(h)
		}
		h.overdue, h.unread = now >= h.killAt(), !h.overdue
		if s.killable(h, now) && !s.killing {
			s.killing = true
			go s.kill()
		}
		lost := h.over || h.fenced // an answer would not keep it
		if h.busy() && !lost && !s.warned && s.ledger.opt.Warn != nil && now >= h.since+warnAfter(h.length) {
			s.warned = true
			go s.ledger.opt.Warn(s.silence(h, now))
		}
	}
}

// silence returns the warning about a ledger that does not answer.
func (s *leases) silence(h *held, now time.Duration) string {
	text := fmt.Sprintf("the ledger has not answered for %v; ", (now - h.since).Round(time.Second))
	if h.keep {
		return text + "the command goes on, and the key stays held (--on-lost keep)"
	}
	end := time.Now().Add(s.termAt(h) - now)
	return text + "the command is ended at " + end.Format(time.TimeOnly) + " unless it does (--on-lost keep)"
}

// end tells the owner of a claim that it is lost. The caller holds s.mu.
func (s *leases) end(h *held) {
	if h.over || h.keep {
		return
	}
	h.over = true
	if !h.busy() {
		close(h.lost)
		return
	}
	searched := make(chan struct{})
	go func() {
		defer close(searched)
		if here, err := s.ledger.openLocal(context.Background(), false); here != nil && err == nil {
			s.family(h, here) // TERM may end the parents, which show their children
		}
	}()
	go func() {
		defer close(h.lost)
		select {
		case <-searched:
		case <-time.After(longestTick): // a process can hold up the reader of its environment
		}
	}()
}

// fence ends a claim that another call has taken over. The caller holds s.mu.
func (s *leases) fence(h *held) {
	if !h.exited { // otherwise the commit of the outcome has given it back
		h.fenced = true
		s.end(h)
	}
}

// killable reports whether processes of a command may have to be killed. A keeper that was stopped
// may have notes of renewals unread, so it looks twice. The caller holds s.mu.
func (s *leases) killable(h *held, now time.Duration) bool {
	late := now >= h.killAt() && (!h.watched || h.overdue && !h.unread)
	return !h.keep && h.busy() && !h.ended && (h.fenced || late)
}

// killPause is the time between two searches for processes to kill. A process that forks can be
// missed by one search.
const killPause = 50 * time.Millisecond

// patientAfter is the number of searches after which the pauses are longer.
const patientAfter = 100

// kill kills the processes of all commands that may not live any more, until none is left.
func (s *leases) kill() {
	missed := map[*held]int{}
	pause := killPause
	for rounds := 0; ; rounds++ {
		if rounds == patientAfter { // a process of another user, perhaps
			pause = longestTick
		}
		s.mu.Lock()
		var due []*held
		for h := range s.all {
			if s.killable(h, sinceBoot()) {
				due = append(due, h)
			}
		}
		s.killing = len(due) > 0
		s.mu.Unlock()
		if len(due) == 0 {
			return
		}
		for _, h := range due {
			if s.killOnce(h) {
				missed[h] = 0
			} else if missed[h]++; missed[h] >= 3 && !s.lives(h) {
				s.mu.Lock()
				h.ended = true
				s.mu.Unlock()
			}
		}
		time.Sleep(pause)
	}
}

// awaitRest waits for the end of the processes of a command that was ended because its claim is
// lost. Some of them may be known to this process alone, so only it can kill them when their time is
// over.
func (s *leases) awaitRest(h *held) {
	s.mu.Lock()
	lost := h.over && h.busy()
	s.mu.Unlock()
	here, err := s.ledger.openLocal(context.Background(), false)
	if !lost || here == nil || err != nil {
		return
	}
	for sinceBoot() < h.killAt()+longestTick && len(s.family(h, here)) > 0 {
		time.Sleep(killPause)
	}
}

// lives reports whether a process has the life lock of a claim, although none may be found.
func (s *leases) lives(h *held) bool {
	here, err := s.ledger.openLocal(context.Background(), false)
	if here == nil || err != nil {
		return false
	}
	held, err := here.locks.Held(h.name(), filelock.Life)
	return held && err == nil
}

// killOnce kills the processes that it finds. It reports whether there may be more.
func (s *leases) killOnce(h *held) bool {
	here, err := s.ledger.openLocal(context.Background(), false)
	if here == nil || err != nil {
		return false
	}
	s.mu.Lock()
	orphan := s.keeper != nil && !h.watched
	s.mu.Unlock()
	find := func() []int { return helpersLast(s.family(h, here)) }
	pids := find()
	if len(pids) == 0 {
		return false
	}
	if orphan {
		// Idem is dead. Under its lock, no other call of this host can start a command that
		// would have the life lock. The processes keep the key busy, and so may the lock.
		lock, err := here.locks.Take(h.name(), filelock.Claim)
		if err != nil {
			return true
		}
		defer func() { _ = lock.Release() }()
	}
	killAll(pids, find)
	return true
}

// family returns the processes of a command that live: those that can be seen, those that it has
// returned before, and their descendants. A process with another environment and without the lock
// can only be found by its parent, and only while that lives.
func (s *leases) family(h *held, here *local) []int {
	s.mu.Lock()
	run, known := h.attempt(), maps.Clone(h.family)
	s.mu.Unlock()
	all := processes() // first, or a stranger could have got the ID of a process that has ended since
	found := withDescendants(all, append(here.locks.Every(h.name()), membersOf(run)...), known, s.spared)
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.family == nil {
		h.family = map[int]uint64{}
	}
	maps.Copy(h.family, found)
	return slices.Sorted(maps.Keys(found))
}

func membersOf(run string) []int {
	if run == "" {
		return nil
	}
	return filelock.MembersOf(run)
}

// spared reports whether a process is idem itself.
func (s *leases) spared(pid int) bool {
	return pid == os.Getpid() || s.keeper != nil && pid == s.keeper.parent()
}

// helpersLast leaves out processes that idem needs to learn how a command has ended, unless they
// are the only ones. They end by themselves.
func helpersLast(pids []int) []int {
	rest := slices.DeleteFunc(slices.Clone(pids), func(pid int) bool {
		args, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		return isHelper(args)
	})
	if len(rest) == 0 {
		return pids
	}
	return rest
}
