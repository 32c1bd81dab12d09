// Package batch runs a command for each item of a list, at most once per item. It decides
// in which order items are claimed, started, retried and waited for, and when nothing more
// starts. Package runner decides about a single item.
package batch

import (
	"context"
	"sync/atomic"
	"syscall"
	"time"

	"idem/items"
	"idem/ledger"
	"idem/proc"
	"idem/runner"
)

// Batch is a call over a list of items. Its fields must not be changed while it runs.
type Batch struct {
	Runner *runner.Runner
	Parent ledger.ID // the record of the batch
	RunID  string    // of this call: Origin.RunID of its items
	// Next returns the next item, io.EOF at the end of the list, or an *items.BadLine. One
	// goroutine calls it.
	Next func() (Entry, error)
	// Policy is that of all items. Call returns the call of an item, with this Policy and
	// with the ID and the fingerprint of the item. It may be called from several goroutines
	// at once.
	Policy runner.Policy
	Call   func(Entry) runner.Call
	// Prepare is called before an item begins in a slot, for each attempt. After an error,
	// the attempt does not begin. Nil does nothing.
	Prepare func(t *runner.Task, i Entry, slot int) error

	Slots     int           // how many commands run at the same time
	Interval  time.Duration // the least time between two starts; 0: no limit
	Limit     int           // how many items may start; 0: no limit
	Only      Selection
	Tolerance Tolerance
	// KillRunning ends the running commands when Tolerance is exceeded.
	KillRunning bool
	// Forgets says that the ledger records nothing. An item that was earlier in the list is a
	// duplicate then.
	Forgets bool
	// SkipBad goes on after a bad line.
	SkipBad bool
	// Wait is for items that other calls hold, and for mutexes.
	Wait runner.Wait

	// Signals passes signals on to the commands; see Direct.
	Signals *proc.Signals

	// Size is the size of the input in bytes; 0: unknown.
	Size int64
	// Printer prints the output of the items. It may be nil. Tag returns the tag of an item.
	// ReplayAll prints also the recorded output of items that need not run.
	Printer   *Printer
	Tag       func(Entry) string
	ReplayAll bool
	// Tell is called for each Notice, by the goroutine that calls Run. While it blocks,
	// commands run on, but after some time none is started.
	Tell func(Notice)
	// Skips makes notices also of items that Tell hears about only on request: those that
	// need not run, and those that Only excludes.
	Skips bool

	Clock Clock // the system's if nil

	arrivals chan Signal
	live     atomic.Pointer[scheduler]
}

// maxArrivals is the number of signals that wait to be handled. Further ones are dropped:
// those before have ended the batch.
const maxArrivals = 64

// Direct catches the signals for idem until Signals.Stop. The batch decides which effect
// they have. Call it before Run.
func (b *Batch) Direct() {
	b.arrivals = make(chan Signal, maxArrivals)
	b.Signals = proc.Direct(func(sig syscall.Signal, typed bool) {
		select {
		case b.arrivals <- Signal{sig, typed}:
		default:
		}
	})
}

// Entry is an item of the list.
type Entry struct {
	items.Item
	ID          ledger.ID
	Fingerprint string
}

// Selection restricts a batch to items with a certain history. The zero value excludes
// none.
type Selection string

// The selections. An item that was marked to run again is new.
const (
	OnlyNew         Selection = "new"
	OnlyFailed      Selection = "failed"
	OnlyInterrupted Selection = "interrupted"
)

// excludes reports whether the batch leaves an item out that another call does not hold.
func (s Selection) excludes(p ledger.Phase) bool {
	switch p {
	case ledger.PhaseNone, ledger.PhaseRetry:
		return s != "" && s != OnlyNew
	case ledger.PhaseFailed:
		return s != "" && s != OnlyFailed
	case ledger.PhaseInterrupted:
		return s != "" && s != OnlyInterrupted
	default:
		return false
	}
}

// Kind is the kind of a Notice.
type Kind int

// The kinds.
const (
	KindStart  Kind = iota // an attempt is recorded as running, and its command starts
	KindRetry              // an attempt failed, and another one follows
	KindEnd                // the batch is done with an item; see Fate
	KindBad                // a line is bad: see items.BadLine
	KindWait               // the batch begins to wait for the items that other calls hold
	KindSignal             // a signal that ends idem came
	KindRoom               // the system has no room for a further process
	KindBusy               // the file of the command is open for writing
)

// Notice is an event of a batch.
type Notice struct {
	Entry
	Kind Kind
	At   time.Time
	Fate Fate // with KindEnd
	Slot int  // 1 to Batch.Slots; 0 if the item did not run
	// Result is that of the latest attempt or of the decision.
	Result runner.Result
	Took   time.Duration // of the attempt
	Delay  time.Duration // before the retry, with KindRetry
	Err    error         // why the item did not run, with KindBad, KindRoom and KindBusy the reason
	Count  int           // of items: waiting with KindWait, running with KindSignal
	Signal Signal
	// Finishing reports with KindSignal whether the commands run to their end.
	Finishing bool

	place *Item // the output of the item that ends
}

// Clock is a source of time.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f in a separate goroutine after d. The result cancels the call.
	AfterFunc(d time.Duration, f func()) (cancel func())
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }
func (systemClock) AfterFunc(d time.Duration, f func()) func() {
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}

// Run runs the batch to its end. When ctx is done, the batch stops as after a TERM.
func (b *Batch) Run(ctx context.Context) Result {
	s := newScheduler(ctx, b)
	b.live.Store(s)
	return s.run(ctx)
}
