package batch

import (
	"context"
	"hash/maphash"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/runner"
)

// unit is an item on its way through the scheduler.
type unit struct {
	Entry
	again bool // an item with this key may have been earlier in the list
	aside bool // another call held it
	// followers are later duplicates, whose output is that of this item.
	followers []*unit
	place     *Item        // the output
	task      *runner.Task // from the claim to its release
	slot      int
	owed      bool      // it was to begin, and waits for a mutex
	runs      int       // attempts that ran
	begun     time.Time // the latest attempt
	took      time.Duration
	// at is when the claim of a unit that is ready was taken, or when a retry is due.
	at time.Time
}

// size is about the memory that a unit needs while it waits in the intake.
func (u *unit) size() int { return 200 + len(u.Raw) + len(u.ID.Key) }

const (
	// hold is how long an item is kept claimed ahead of a free slot. After that another
	// call may have it.
	hold = 100 * time.Millisecond
	// maxDelayed is the number of items that wait to be retried after which no other item
	// starts. Each of them keeps its claim.
	maxDelayed = 1000
	// maxNotices is the number of notices that wait for Batch.Tell after which nothing
	// starts.
	maxNotices = 2000
)

// scheduler is a running batch. These are the stages of an item:
//   - It is read into the intake.
//   - It is taken: decided and claimed. An item that another call holds is put aside.
//   - It is ready until a slot is free.
//   - In the slot, an attempt begins, runs and is finished.
//   - It is delayed until a retry is due. Then it needs a slot again.
//
// One lock guards the state. After each change, advance starts whatever may start. The
// slow work is done without the lock: take by a goroutine of each item, the rest by one
// goroutine of each slot.
type scheduler struct {
	*Batch
	intake *intake
	seed   maphash.Seed
	over   chan struct{} // closed at the end
	jobs   chan func()   // for goroutines that have nothing to do, see spawn

	skipped  atomic.Int64 // items that read has skipped
	read     atomic.Int64
	offset   atomic.Int64 // in the input, after the items that were read
	stopping atomic.Bool
	survey   atomic.Pointer[survey]

	// taking is canceled when nothing more starts, running when the commands get TERM.
	taking, running         context.Context
	stopTaking, stopRunning context.CancelFunc

	mu        sync.Mutex
	told      sync.Cond
	notices   []Notice
	result    Result
	seen      set // hashes of the keys that were handed on to the intake
	flying    map[string]*unit
	back      []*unit // to be taken before those of the intake
	ready     []*unit
	delayed   []*unit // sorted by the time of the retry
	aside     []*unit
	sweepAt   int
	takes     int  // goroutines that take an item
	unseen    bool // the latest item that was taken had to run, so the next one has probably no record
	waits     int  // goroutines that wait for an item
	queued    int  // units that wait for a mutex
	owed      int  // units that are owed a beginning
	begins    int  // units whose beginning is being recorded
	slots     []bool
	used      int // slots in use
	started   int // items that started
	noMore    bool
	ended     bool // the input
	done      bool
	patient   bool // no item is claimed ahead of a free slot
	surveying bool // it is being read
	surveyed  int  // items found done when the latest survey began
	pace      pace
	throttle  throttle
	alone     int // starts that failed; see mayGetRoom
	busy      int // starts that failed in a row; see mayBeWritten
	stages    stages
	alarm     func() // cancels the timer
	alarmAt   time.Time
	// waiting ends at the limit of the waits for other calls; nil before the first wait.
	waiting     context.Context
	stopWaiting context.CancelFunc
}

func newScheduler(ctx context.Context, b *Batch) *scheduler {
	s := &scheduler{
		Batch: b, intake: newIntake(), seed: maphash.MakeSeed(), over: make(chan struct{}), jobs: make(chan func()),
		flying: map[string]*unit{}, sweepAt: firstSweep, slots: make([]bool, b.Slots+1),
		pace: pace{interval: b.Interval}, throttle: throttle{slots: b.Slots, most: b.Slots},
		patient: b.Interval > hold,
	}
	if s.Clock == nil {
		s.Clock = systemClock{}
	}
	s.told.L = &s.mu
	s.taking, s.stopTaking = context.WithCancel(ctx)
	s.running, s.stopRunning = context.WithCancel(ctx)
	return s
}

// run is Batch.Run. It calls Tell until the batch has ended.
func (s *scheduler) run(ctx context.Context) Result {
	defer s.stopTaking()
	defer s.stopRunning()
	defer ledger.Sustain(s.Runner.Ledger)()
	defer debug.SetGCPercent(debug.SetGCPercent(fewCollections))
	defer func() {
		if s.stopWaiting != nil {
			s.stopWaiting()
		}
	}()
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.halt(BySignal)
		s.advance()
	})()
	go s.readAll()
	go s.hear()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	for {
		for len(s.notices) == 0 && !s.done {
			s.told.Wait()
		}
		if len(s.notices) == 0 {
			break
		}
		notices := s.notices
		s.notices = nil
		s.mu.Unlock()
		for i := range notices {
			s.tell(&notices[i])
		}
		s.mu.Lock()
		if len(notices) >= maxNotices {
			s.advance()
		}
	}
	r := s.result
	r.Counts[DoneBefore] += int(s.skipped.Load())
	r.Read = int(s.read.Load())
	r.Signal, r.Complete = s.stages.fatal, s.ended && r.Input == nil
	r.Counts[NotReached] += s.intake.len()
	if r.Stop == ByLimit && r.Complete && r.Counts[NotReached] == 0 {
		r.Stop = NotStopped
	}
	if r.Input != nil && (r.Stop == NotStopped || r.Stop == ByLimit) {
		r.Stop = ByInput
	}
	return r
}

// tell ends the output of an item and passes a notice on.
func (s *scheduler) tell(n *Notice) {
	s.endOutput(n)
	if s.Tell != nil && n.told(s.Skips) {
		s.Tell(*n)
	}
}

// told reports whether Tell hears about n.
func (n *Notice) told(skips bool) bool {
	return skips || n.Kind != KindEnd || n.Fate != DoneBefore && n.Fate != DoneElsewhere && n.Fate != Duplicate &&
		n.Fate != LeftOut && n.Fate != NotReached
}

// notify adds a notice. Like all methods below, it is called with the lock.
func (s *scheduler) notify(n Notice) {
	n.At = s.Clock.Now()
	s.notices = append(s.notices, n)
	s.told.Signal()
}

// advance starts whatever may start now, and ends the batch when all is done.
func (s *scheduler) advance() {
	now := s.Clock.Now()
	if s.noMore {
		s.dropUnstarted()
	}
	if s.halted() {
		s.dropDelayed()
	}
	s.releaseHeld(now)
	for s.mayStart(now) {
		u := s.next(now)
		if u == nil {
			break
		}
		s.occupy(u)
		s.spawn(func() { s.work(u) })
	}
	for s.mayTake(now) {
		u := s.pop()
		if u == nil {
			break
		}
		s.takes++
		unseen := s.unseen
		s.spawn(func() { s.take(u, unseen) })
	}
	if s.Limit > 0 && s.started >= s.Limit && s.owed+s.begins == 0 {
		s.halt(ByLimit)
		s.dropUnstarted()
	}
	s.awaitAside()
	s.lookAtAll()
	s.setAlarm(now)
	if len(s.flying) == 0 && (s.noMore || s.ended && s.intakeEmpty()) && !s.done {
		s.done = true
		close(s.over)
		s.told.Signal()
	}
}

// intakeEmpty is for a time when no further item is read.
func (s *scheduler) intakeEmpty() bool { return s.intake.len() == 0 }

// halt ends the batch: nothing more starts. The first reason counts.
func (s *scheduler) halt(why Stop) {
	if s.result.Stop == NotStopped || s.result.Stop == ByLimit {
		s.result.Stop = why
	}
	s.noMore = true
	s.stopping.Store(true)
	s.intake.close()
	if why != ByLimit {
		s.stopTaking()
	}
	if why == ByFailures && s.KillRunning {
		s.stopRunning()
	}
}

// halted reports whether nothing more starts, not even a retry.
func (s *scheduler) halted() bool { return s.result.Stop != NotStopped && s.result.Stop != ByLimit }

// resolve notes what became of a unit.
func (s *scheduler) resolve(u *unit, n Notice) {
	if u.owed {
		u.owed = false
		s.owed--
	}
	if s.flying[u.ID.Key] == u {
		delete(s.flying, u.ID.Key)
	}
	s.result.Counts[n.Fate]++
	n.Kind, n.Entry, n.Slot, n.Took, n.place = KindEnd, u.Entry, u.slot, u.took, u.place
	if n.place != nil || n.told(s.Skips) {
		s.notify(n)
	}
	for _, f := range u.followers {
		s.resolve(f, Notice{Fate: Duplicate})
	}
}

// dropUnstarted gives up all items that are not in a slot and do not wait for a retry.
func (s *scheduler) dropUnstarted() {
	for _, u := range s.ready {
		u.task.Release()
	}
	for _, u := range slices.Concat(s.ready, s.back, s.aside) {
		s.resolve(u, Notice{Fate: NotReached})
	}
	s.ready, s.back, s.aside = nil, nil, nil
}

// dropDelayed gives up all retries.
func (s *scheduler) dropDelayed() {
	for _, u := range s.delayed {
		s.giveUp(u, NotReached, nil)
	}
	s.delayed = nil
}

// setAlarm makes advance run again when something becomes due.
func (s *scheduler) setAlarm(now time.Time) {
	next := time.Duration(0)
	add := func(d time.Duration) { // an item that is due already waits for a slot
		if d > 0 && (next == 0 || d < next) {
			next = d
		}
	}
	add(max(s.pace.due(now), s.throttle.due(now)))
	if len(s.delayed) > 0 {
		add(s.delayed[0].at.Sub(now))
	}
	for _, u := range s.ready {
		add(u.at.Add(hold).Sub(now))
	}
	if next == 0 {
		return
	}
	at := now.Add(next)
	if s.alarm != nil && !s.alarmAt.After(at) {
		return
	}
	if s.alarm != nil {
		s.alarm()
	}
	s.alarmAt = at
	s.alarm = s.Clock.AfterFunc(next, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.alarmAt.Equal(at) {
			s.alarm = nil
		}
		s.advance()
	})
}

// fault notes a fault of the ledger.
func (s *scheduler) fault(err error) {
	if s.result.Fault == nil {
		s.result.Fault = err
	}
	s.halt(ByLedger)
}

// hear handles the signals for idem.
func (s *scheduler) hear() {
	for {
		select {
		case <-s.over:
			return
		case sig := <-s.arrivals:
			s.mu.Lock()
			s.signal(sig)
			s.advance()
			s.mu.Unlock()
		}
	}
}

// signal handles a signal.
func (s *scheduler) signal(sig Signal) {
	stage, ends := s.stages.on(sig)
	if !ends {
		return
	}
	s.halt(BySignal)
	s.Signals.Close(sig.Number) // for an attempt that has begun and has not started
	if stage >= stageTerm {
		s.stopRunning()
		if s.Printer != nil {
			s.Printer.Hurry()
		}
	}
	if stage == stageKill {
		s.Signals.Send(unix.SIGKILL)
	}
	s.notify(Notice{Kind: KindSignal, Signal: sig, Finishing: stage == stageFinish, Count: s.used})
}
