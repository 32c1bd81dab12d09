package batch

import (
	"context"
	"errors"
	"slices"
	"time"

	"idem/ledger"
	"idem/proc"
	"idem/runner"
)

// mayStart reports whether a unit may begin now, in a free slot.
func (s *scheduler) mayStart(now time.Time) bool {
	return s.used < s.throttle.slots && s.mayBegin(now)
}

// mayBegin reports whether a unit may begin now, apart from the slots.
func (s *scheduler) mayBegin(now time.Time) bool {
	return !s.halted() && len(s.notices) < maxNotices && s.pace.due(now) == 0 && s.throttle.due(now) == 0
}

// next returns the unit that begins next, or nil if there is none. Retries are first.
func (s *scheduler) next(now time.Time) *unit {
	if len(s.delayed) > 0 && !s.delayed[0].at.After(now) {
		u := s.delayed[0]
		s.delayed = slices.Delete(s.delayed, 0, 1)
		s.pace.start(now)
		s.begins++
		return u
	}
	if len(s.ready) == 0 {
		return nil
	}
	first := 0
	for i, u := range s.ready {
		if u.No < s.ready[first].No {
			first = i
		}
	}
	u := s.ready[first]
	s.ready = slices.Delete(s.ready, first, first+1)
	s.pace.start(now)
	s.begins++
	if u.owed {
		u.owed = false
		s.owed--
	} else {
		s.started++
	}
	return u
}

// occupy gives u a free slot.
func (s *scheduler) occupy(u *unit) {
	u.slot = 1 + slices.Index(s.slots, false)
	s.slots[u.slot-1] = true
	s.used++
}

// work makes attempts in the slot of u: that of u, and then those of the units that may
// begin when an attempt ends.
func (s *scheduler) work(u *unit) {
	slot := u.slot
	var ended *unit
	for u != nil || ended != nil {
		finish, begin := s.commit(ended, u)
		if ended != nil {
			s.finished(ended, finish)
		}
		if ended = nil; u == nil {
			break
		}
		if !s.begun(u, begin) {
			break
		}
		u.task.Execute(s.running)
		u, ended = s.after(u), u
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slots[slot-1] = false
	s.used--
	s.advance()
}

// commit records the outcome of ended and the beginning of begins, in one commit if the
// ledger can. Each may be nil.
func (s *scheduler) commit(ended, begins *unit) (finish, begin error) {
	ctx := context.Background() // both are short, and must not be left half done
	end := func(ctx context.Context) { finish = ended.task.Finish(ctx) }
	start := func(ctx context.Context) {
		if begin != nil {
			return
		}
		if begins.runs > 0 && !begins.task.StillDue(ctx) {
			begin = errTooLate
			return
		}
		begin = begins.task.Begin(ctx)
	}
	if begins != nil {
		begins.task.Signals = s.Signals
		if begins.place != nil {
			begins.task.Sink = func(stream proc.Stream, p []byte) { begins.place.Write(ledger.Stream(stream), p) }
		}
		if s.Prepare != nil {
			begin = s.Prepare(begins.task, begins.Entry, begins.slot)
		}
	}
	var changes []func(context.Context)
	if ended != nil {
		changes = append(changes, end)
	}
	if begins != nil {
		changes = append(changes, start)
	}
	ledger.Together(ctx, s.Runner.Ledger, changes...) // also a single one, so that other slots wait for it
	return finish, begin
}

// errTooLate says that the policy allows a retry no longer.
var errTooLate = errors.New("the policy allows no further attempt")

// begun handles the result of Begin. It reports whether the command is to be executed.
func (s *scheduler) begun(u *unit, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begins--
	var full *ledger.MutexError
	switch {
	case errors.As(err, &full):
		u.owed = true
		s.owed++
		s.queued++
		go s.queue(u, full)
		return false
	case err != nil:
		s.notBegun(u, err)
		return false
	case s.halted():
		s.mu.Unlock()
		err := u.task.Finish(context.Background()) // takes the beginning back
		s.mu.Lock()
		s.notBegun(u, err)
		return false
	}
	u.begun = s.Clock.Now()
	s.notify(Notice{Kind: KindStart, Entry: u.Entry, Slot: u.slot, Result: u.task.InProgress()})
	if u.place != nil {
		u.place.Attempt(u.task.Attempt().RunID, s.maxOutput(u.task))
	}
	return true
}

// queue waits for the mutexes of a unit. It needs no slot: an item that waits for a retry may
// hold them, and needs a slot to go on.
func (s *scheduler) queue(u *unit, full *ledger.MutexError) {
	t, res, err := u.task.AwaitMutexes(s.taking, full)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queued--
	u.task = nil
	s.took(u, t, res, err)
	s.advance()
}

// maxOutput returns the number of bytes of output that the ledger keeps; negative: all.
func (s *scheduler) maxOutput(t *runner.Task) int64 {
	if o := t.Call().Output; !o.None {
		return o.Max
	}
	return 0
}

// notBegun handles a unit whose attempt was not started. err is nil if the batch ended
// before.
func (s *scheduler) notBegun(u *unit, err error) {
	var start *proc.StartError
	stopped := errors.As(err, new(*proc.SignalError)) || s.running.Err() != nil
	switch {
	case err == nil, errors.Is(err, errTooLate):
	case !s.halted() && (proc.Scarce(err) && s.mayGetRoom(err, s.used-1) || proc.TextBusy(err) && s.mayBeWritten(err)):
		u.at = s.Clock.Now()
		s.delay(u)
		return
	case proc.TooLong(err):
		s.giveUp(u, Failed, err)
		s.failed(-1)
		return
	case errors.As(err, new(*ledger.BusyError)): // a step of the item that is to be forgotten
		s.giveUp(u, Busy, err)
		return
	case errors.As(err, &start):
		s.cannotStart(start)
	case stopped:
		s.halt(BySignal)
	default:
		s.fault(err)
	}
	s.giveUp(u, NotReached, err)
}

// giveUp ends a unit whose latest attempt was not started. If an earlier one ran, the unit
// has failed.
func (s *scheduler) giveUp(u *unit, f Fate, err error) {
	if u.runs > 0 {
		s.result.Ran++
		f = Failed
	}
	u.task.Release()
	s.resolve(u, Notice{Fate: f, Result: u.task.Result(), Err: err})
}

// after handles the end of the command of u, whose outcome is not recorded yet. It returns
// the unit that begins in its slot, if there is one that may begin now.
func (s *scheduler) after(u *unit) *unit {
	o, ran := u.task.Outcome()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Clock.Now()
	u.took = now.Sub(u.begun)
	if ran {
		s.throttle.started(now)
		s.alone, s.busy = 0, 0
		if u.took < hold/2 && s.Interval <= hold {
			s.patient = false
		}
	}
	// Whether anything starts after a failure may depend on its outcome.
	if !ran || o.State != ledger.Succeeded && s.Tolerance.limits() || s.used > s.throttle.slots || !s.mayBegin(now) {
		return nil
	}
	next := s.next(now)
	if next != nil {
		next.slot = u.slot
		s.advance() // takes the next item while the outcome is recorded
	}
	return next
}

// finished handles the result of Finish.
func (s *scheduler) finished(u *unit, err error) {
	res := u.task.Result()
	var wait time.Duration
	due := false
	if err == nil {
		u.runs++
		wait, due = u.task.Retry(context.Background())
		if res = u.task.Result(); !due {
			u.task.Release()
			res.Holders = u.task.Holders()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.notBegun(u, err)
	case due && !s.halted():
		s.result.Attempts++
		u.at = s.Clock.Now().Add(wait)
		s.delay(u)
		s.notify(Notice{Kind: KindRetry, Entry: u.Entry, Slot: u.slot, Result: res, Took: u.took, Delay: wait})
	default:
		s.result.Attempts++
		u.task.Release()
		s.settle(u, res)
	}
	s.advance()
}

// settle ends a unit that ran.
func (s *scheduler) settle(u *unit, res runner.Result) {
	s.result.Ran++
	cur := res.Record.Current
	switch {
	case res.Unrecorded != nil:
		s.resolve(u, Notice{Fate: Unrecorded, Result: res})
		s.halt(ByLedger)
	case cur.State == ledger.Succeeded:
		s.resolve(u, Notice{Fate: Done, Result: res})
	default:
		s.resolve(u, Notice{Fate: Failed, Result: res})
		s.failed(cur.ExitCode)
		if res.NotRetried != nil {
			s.fault(res.NotRetried)
		}
	}
}

// failed notes that an item has failed for good.
func (s *scheduler) failed(status int) {
	if s.Tolerance.exceeded(s.result.Ran, s.result.Counts[Failed], status) {
		s.halt(ByFailures)
	}
}

// delay makes a unit wait for its next attempt until u.at. It needs no slot.
func (s *scheduler) delay(u *unit) {
	if u.place != nil {
		u.place.Pause()
	}
	i, _ := slices.BinarySearchFunc(s.delayed, u, func(a, b *unit) int {
		if a.at.After(b.at) {
			return 1
		}
		return -1
	})
	s.delayed = slices.Insert(s.delayed, i, u)
}
