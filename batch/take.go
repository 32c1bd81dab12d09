package batch

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/proc"
	"idem/runner"
)

// mayTake reports whether the next item may be taken. Some items are claimed ahead of a free
// slot, at most one for each slot. The end of a command and the beginning of the next one then
// share a commit.
func (s *scheduler) mayTake(now time.Time) bool {
	if s.noMore || len(s.delayed) >= maxDelayed || len(s.notices) >= maxNotices || s.throttle.due(now) > 0 {
		return false
	}
	if s.takes > 0 && !s.Policy.Probe && !s.Policy.Verify { // without them a take is short, so items start in order
		return false
	}
	pending := s.takes + len(s.ready) + s.queued
	room := s.throttle.slots - s.used
	if !s.patient {
		room += s.throttle.slots
	} else if s.pace.due(now) > 0 {
		return false
	}
	return pending < room
}

// pop returns the next item to take, or nil if none has been read. It deals with items that
// need not be taken.
func (s *scheduler) pop() *unit {
	full := s.Limit > 0 && s.started+s.takes+len(s.ready)+s.queued >= s.Limit
	for {
		first := -1
		for i, u := range s.back {
			if (u.owed || !full) && (first < 0 || u.No < s.back[first].No) {
				first = i
			}
		}
		if first >= 0 {
			u := s.back[first]
			s.back = slices.Delete(s.back, first, first+1)
			return u
		}
		if full || len(s.notices) >= maxNotices {
			return nil
		}
		u := s.intake.pop()
		if u == nil {
			return nil
		}
		twin := s.flying[u.ID.Key]
		skip := twin == nil && s.skips(u.Entry)
		if s.Printer != nil && (!skip || s.ReplayAll) { // a notice for each place would need much memory
			u.place = s.Printer.Item(u.ID, s.tag(u.Entry))
		}
		switch {
		case twin != nil && twin.Fingerprint != u.Fingerprint:
			refusal := runner.Decision{Action: runner.ActionRefuse, Reason: runner.ReasonMismatch}
			s.resolve(u, Notice{Fate: Conflict, Result: runner.Result{Decision: refusal}})
		case twin != nil && s.ReplayAll:
			twin.followers = append(twin.followers, u) // their output is that of the first one
		case twin != nil:
			s.resolve(u, Notice{Fate: Duplicate})
		case skip:
			s.resolve(u, Notice{Fate: DoneBefore})
		default:
			s.flying[u.ID.Key] = u
			return u
		}
	}
}

// take decides and claims an item. unseen says that it has probably no record.
func (s *scheduler) take(u *unit, unseen bool) {
	fate, known, err := s.look(u)
	var t *runner.Task
	var res runner.Result
	if err == nil && !known {
		call := s.Call(u.Entry)
		call.Unseen = unseen && !u.again
		if u.again { // of two lines with other fields, the second one never runs
			call.Policy.OnMismatch = runner.ChoiceRefuse
		}
		t, res, err = s.Runner.Take(s.taking, call)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes--
	s.unseen = t != nil
	if known {
		s.resolve(u, Notice{Fate: fate, Result: res})
	} else {
		s.took(u, t, res, err)
	}
	s.advance()
}

// look decides without a claim about an item that was earlier in the list, or that
// Batch.Only excludes.
func (s *scheduler) look(u *unit) (fate Fate, known bool, err error) {
	if !u.again && s.Only == "" {
		return 0, false, nil
	}
	rec, err := s.Runner.Ledger.Get(s.taking, u.ID)
	if err != nil {
		return 0, false, err
	}
	cur := rec.Current
	switch {
	case u.again && s.Forgets:
		return Duplicate, true, nil
	case u.again && cur.RunID != "" && cur.ParentRun == s.RunID && cur.Fingerprint == u.Fingerprint:
		return Duplicate, true, nil
	case s.Only.excludes(rec.Phase()):
		return LeftOut, true, nil
	}
	return 0, false, nil
}

// took handles the result of runner.Take.
func (s *scheduler) took(u *unit, t *runner.Task, res runner.Result, err error) {
	switch {
	case t != nil && s.noMore:
		t.Release()
		s.resolve(u, Notice{Fate: NotReached})
	case t != nil:
		u.task, u.at = t, s.Clock.Now()
		s.ready = append(s.ready, u)
	case err != nil:
		s.notTaken(u, res, err)
	case res.Reason == runner.ReasonBusy && s.Wait.Set && !s.noMore:
		u.aside = true
		s.aside = append(s.aside, u)
	default:
		s.resolve(u, Notice{Fate: fateOf(res, u), Result: res})
	}
}

// notTaken handles an item that could not be decided.
func (s *scheduler) notTaken(u *unit, res runner.Result, err error) {
	var start *proc.StartError
	switch {
	case s.taking.Err() != nil: // the batch ends
	case proc.Scarce(err) && s.mayGetRoom(err, s.used):
		s.back = append(s.back, u)
		return
	case errors.As(err, &start):
		s.cannotStart(start)
	case errors.As(err, new(*proc.SignalError)):
		s.halt(BySignal)
	default:
		s.fault(err)
	}
	s.resolve(u, Notice{Fate: NotReached, Result: res, Err: err})
}

// fateOf returns the fate of an item that runner.Take decided not to run.
func fateOf(res runner.Result, u *unit) Fate {
	state := res.Record.Current.State
	switch res.Action {
	case runner.ActionReplay:
		switch {
		case state != ledger.Succeeded:
			return FailedBefore
		case u.aside:
			return DoneElsewhere
		}
		return DoneBefore
	}
	switch res.Reason {
	case runner.ReasonMismatch:
		if u.again {
			return Conflict
		}
		return Mismatch
	case runner.ReasonBusy, runner.ReasonMutex:
		return Busy
	case runner.ReasonInterrupted, runner.ReasonUndecided, runner.ReasonUnverified:
		return Interrupted
	case runner.ReasonTooLate:
		if state == ledger.Running {
			return Interrupted
		}
	}
	return Refused
}

// cannotStart ends the batch because its command cannot be started.
func (s *scheduler) cannotStart(err error) {
	if s.result.Command == nil {
		s.result.Command = err
	}
	s.halt(ByCommand)
}

// maxAlone is how many starts in a row may fail for want of descriptors while no command of
// the batch runs, which could give some back.
const maxAlone = 5

// mayGetRoom makes the batch slower, because there is no room for a further process while
// running commands run. It reports whether waiting may help.
func (s *scheduler) mayGetRoom(err error, running int) bool {
	if s.alone++; running > 0 || !errors.Is(err, unix.EMFILE) {
		s.alone = 0
	}
	if s.alone > maxAlone {
		return false
	}
	if s.throttle.full(s.Clock.Now(), s.used) {
		s.notify(Notice{Kind: KindRoom, Err: err, Count: s.throttle.slots, Delay: s.throttle.delay})
	}
	return true
}

// maxBusy is how many starts in a row may fail because a process has the file of the command
// open for writing. A copy may be about to end. If the file stays open, no item can start.
const maxBusy = 3

// mayBeWritten makes the batch wait, because the file of its command is open for writing. It
// reports whether waiting may help. If several starts fail at the same time, the first one
// counts.
func (s *scheduler) mayBeWritten(err error) bool {
	if !s.throttle.pause(s.Clock.Now()) {
		return true
	}
	if s.busy++; s.busy > maxBusy {
		return false
	}
	s.notify(Notice{Kind: KindBusy, Err: err})
	return true
}

// releaseHeld gives back the claims of items for which no slot was free for some time.
// They are taken again when there is one.
func (s *scheduler) releaseHeld(now time.Time) {
	s.ready = slices.DeleteFunc(s.ready, func(u *unit) bool {
		if now.Sub(u.at) < hold {
			return false
		}
		s.patient = true
		u.task.Release()
		u.task = nil
		s.back = append(s.back, u)
		return true
	})
}

const (
	// firstSweep is the number of items put aside at which all of them are looked at again.
	firstSweep = 1024
	// maxWaits is the number of items that are waited for at the same time.
	maxWaits = 16
)

// awaitAside looks again at the items that other calls held. When there are many, it looks at
// all of them, to keep few in memory. Otherwise it waits for them when nothing else is to be
// taken.
func (s *scheduler) awaitAside() {
	if s.sweepAt > 0 && len(s.aside) >= s.sweepAt && len(s.back) == 0 {
		s.back, s.aside, s.sweepAt = s.aside, nil, 0
		return
	}
	if s.noMore || len(s.back) > 0 || s.takes > 0 {
		return
	}
	s.sweepAt = max(firstSweep, 2*len(s.aside))
	if s.intake.len() > 0 {
		return
	}
	if len(s.aside) > 0 && s.waiting == nil {
		s.waiting = s.taking
		if s.Wait.Limit > 0 {
			s.waiting, s.stopWaiting = context.WithTimeout(s.taking, s.Wait.Limit)
		}
		s.notify(Notice{Kind: KindWait, Count: len(s.aside)})
	}
	for s.waits < maxWaits && len(s.aside) > 0 {
		u := s.aside[0]
		s.aside = slices.Delete(s.aside, 0, 1)
		s.waits++
		go s.await(u)
	}
}

// await waits until another call has released an item.
func (s *scheduler) await(u *unit) {
	err := s.Runner.Ledger.Wait(s.waiting, u.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits--
	switch {
	case err == nil && !s.noMore:
		s.back = append(s.back, u)
	case err == nil, s.taking.Err() != nil:
		s.resolve(u, Notice{Fate: NotReached})
	case errors.Is(err, context.DeadlineExceeded):
		s.resolve(u, Notice{Fate: Busy})
	default:
		s.fault(err)
		s.resolve(u, Notice{Fate: NotReached, Err: err})
	}
	s.advance()
}
