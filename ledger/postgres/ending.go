package postgres

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"idem/ledger/filelock"
)

// A command whose lease cannot be kept must be dead before the lease ends, because after that
// another host may run the key. The runner sends TERM, and later KILL, to the processes that it
// manages. Here every other process of the command gets KILL: those that hold the life lock,
// and those with the attempt in their environment.

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
	h.run, h.exited, h.ended = run, false, false
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
		if s.killable(h, now) && !s.killing {
			s.killing = true
			go s.kill()
		}
		if h.busy() && !s.warned && s.ledger.opt.Warn != nil && now >= h.since+warnAfter(h.length) {
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
	if !h.over && !h.keep {
		h.over = true
		close(h.lost)
	}
}

// fence ends a claim that another call has taken over. The caller holds s.mu.
func (s *leases) fence(h *held) {
	if !h.exited { // otherwise the commit of the outcome has given it back
		h.fenced = true
		s.end(h)
	}
}

// killable reports whether processes of a command may have to be killed. The caller holds s.mu.
func (s *leases) killable(h *held, now time.Duration) bool {
	return !h.keep && h.busy() && !h.ended && (h.fenced || now >= h.killAt())
}

// killPause is the time between two searches for processes to kill. A process that forks can be
// missed by one search.
const killPause = 50 * time.Millisecond

// kill kills the processes of all commands that may not live any more, until none is left.
func (s *leases) kill() {
	missed := map[*held]int{}
	for {
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
			} else if missed[h]++; missed[h] == 3 {
				s.mu.Lock()
				h.ended = true
				s.mu.Unlock()
			}
		}
		time.Sleep(killPause)
	}
}

// killOnce kills the processes that it finds. It reports whether there may be more.
func (s *leases) killOnce(h *held) bool {
	here, err := s.ledger.openLocal(context.Background(), false)
	if here == nil || err != nil {
		return false
	}
	s.mu.Lock()
	run, orphan := h.run, s.keeper != nil && !h.watched
	if h.recorded {
		run = ""
	}
	s.mu.Unlock()
	if orphan {
		// Idem is dead. Under its lock, no other call of this host can start a command that
		// would have the life lock.
		lock, err := here.locks.Take(h.name(), filelock.Claim)
		if err != nil {
			return true
		}
		defer func() { _ = lock.Release() }()
	}
	return killAll(func() []int {
		pids := append(here.locks.Every(h.name()), membersOf(run)...)
		slices.Sort(pids)
		return helpersLast(slices.DeleteFunc(slices.Compact(pids), s.spared))
	})
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
