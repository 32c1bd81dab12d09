// Package ledger says what idem remembers and what a ledger promises. It holds
// no policy (that is runner.Decide) and imports no driver: the embedded ledger
// lives in ledger/sqlite, the suite that holds every ledger to this contract in
// ledger/ledgertest.
package ledger

import (
	"context"
	"io"
	"iter"
	"os"
	"time"
)

// ID names one record: the user's key inside its namespace and, with a
// calendar policy, its window. All three are compared byte by byte.
type ID struct {
	Namespace string
	Key       string
	Window    string // empty without a calendar window
}

// State is what a ledger stores of an attempt, and by it of its record.
// "Interrupted" is not among them: it is read off Running and the locks.
type State string

// The stored states. None is the state of a key that was never run, was
// forgotten, or was marked for retry.
const (
	None      State = ""
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
)

// Reason says how an attempt ended.
type Reason string

// The reasons. Lost is given to an attempt whose end nobody saw,
// when a later call takes its key over.
const (
	ReasonExit    Reason = "exit"
	ReasonSignal  Reason = "signal"
	ReasonTimeout Reason = "timeout"
	ReasonLost    Reason = "lost"
	ReasonMarked  Reason = "marked" // settled by hand
	ReasonProbed  Reason = "probed" // settled by what a probe said
)

// Owner is who ran an attempt, stored for people to read. Nothing is decided
// by it: process ids are reused and host names change.
type Owner struct {
	Host string
	PID  int
	User string
}

// Attempt is one execution of a key's command, or one settlement of the key
// without it (a Mark, with Number 0).
type Attempt struct {
	Number      int    // 1, 2, ... within the key's generation
	RunID       string // UUIDv7, unique in the ledger
	State       State
	Reason      Reason // empty while running
	ExitCode    int    // 128+n after a death by signal n
	Signal      int    // the signal's number, 0 without one
	Started     time.Time
	Ended       time.Time // zero while running, and when nobody saw the end
	Fingerprint string    // empty in a mark that counts for any call
	Inputs      []byte    // what the fingerprint was made of; opaque to a ledger
	Owner       Owner
	Note        string // of a mark
	OutputBytes int64  // bytes the command wrote, both streams, recorded or not
	Truncated   bool   // some of them are known not to be recorded
	Incomplete  bool   // see Capture
	Redacted    bool   // see Capture
	Files       int    // how many files Ledger.Files tells of
	NoOutput    bool   // none of them was to be recorded, which is not Truncated
}

// Record is what a ledger knows of one ID. Its state, fingerprint and outcome
// are those of its current attempt; the zero attempt has state None.
type Record struct {
	ID         ID
	Generation int64 // 1 at first, raised by Forget
	Fence      int64 // grows with every Begin, never falls, also over Forget
	Attempts   int   // number of the latest attempt in this generation
	Current    Attempt
	// Alive tells, for a Running record, that a holder or a process of its
	// command exists. Running and not alive is interrupted.
	Alive bool
}

// Phase is a record's state as people see it: the stored state, told apart by
// what is alive.
type Phase string

// The phases. Retry is a key with a history that was marked to run again.
const (
	PhaseNone        Phase = "none"
	PhaseRetry       Phase = "retry"
	PhaseRunning     Phase = "running"
	PhaseInterrupted Phase = "interrupted"
	PhaseSucceeded   Phase = "succeeded"
	PhaseFailed      Phase = "failed"
)

// Phase returns how r stands: interrupted, for one, when it is recorded as
// running but no process holds the key, so its outcome is unknown.
func (r Record) Phase() Phase {
	switch {
	case r.Current.State == Running && !r.Alive:
		return PhaseInterrupted
	case r.Current.State != None:
		return Phase(r.Current.State)
	case r.Current.RunID != "":
		return PhaseRetry
	default:
		return PhaseNone
	}
}

// Ledger is a memory of keys shared by all processes that open the same place.
// Its methods may be called from several goroutines. Whatever kills a process,
// what a method acknowledged before stays, and the claims of the dead process
// are free as soon as its command's processes are gone too.
type Ledger interface {
	// Get returns the record of id, with state None when there is none. It
	// takes no lock, writes nothing and creates nothing.
	Get(ctx context.Context, id ID) (Record, error)

	// Claim takes the exclusive right to execute id. It does not wait: when
	// another claim holds it, or processes of an earlier attempt are alive, the
	// error is a *BusyError.
	//
	// Of an attempt that is recorded as running and that no claim holds, a ledger
	// looks for more than what its descriptors tell: a command may have closed
	// them. Where it can, it finds processes by RunIDVar and ChainVar in their
	// environment, other than this process; what is run for an event is not the
	// command's. Get, List and Wait find them likewise. After any recorded end they
	// do not count.
	Claim(ctx context.Context, id ID) (Claim, error)

	// Wait returns when Claim would have found id free, or with ctx's error.
	// It takes nothing, so that a claim may still fail afterwards. With a ctx
	// that is done already it only asks: nil means free.
	Wait(ctx context.Context, id ID) error

	// List yields the records that match f, the one with the latest attempt or
	// mark first, without their Inputs, or an error as the last. Forgotten keys
	// are not listed. Few are in memory at a time, and nothing is kept from
	// going on while the caller looks at one.
	List(ctx context.Context, f Filter) iter.Seq2[Record, error]

	// Attempts returns the history of id's generation, oldest first.
	Attempts(ctx context.Context, id ID) ([]Attempt, error)

	// Output returns what was recorded of the output of id's attempt runID, so
	// far if it is running; ErrNotFound when there is no such attempt. The
	// caller closes it.
	Output(ctx context.Context, id ID, runID string) (Output, error)

	// Files returns what id's attempt runID added to files, as Finish was given
	// it: none while it is running, ErrNotFound when there is no such attempt,
	// ErrCorrupt unless all of it is what was recorded.
	Files(ctx context.Context, id ID, runID string) ([]File, error)

	// Forget drops id's history, output and files and raises its generation. It fails
	// with *BusyError while the key is held and with ErrNotFound when nothing
	// is recorded.
	Forget(ctx context.Context, id ID) error

	// Close frees what the handle holds in this process. It does not end
	// claims. A process that is about to exit need not call it.
	Close() error
}

// Claim is the exclusive right to execute one ID. It ends with Release or with
// the process, except that processes of an attempt's command keep the ID busy
// as long as they live (see Execution.Finish for when they no longer count).
type Claim interface {
	// Record reads the record again, now that nobody else can change it.
	Record(ctx context.Context) (Record, error)

	// Begin records a running attempt, durably before it returns. An earlier
	// attempt that is still recorded as running is settled as lost.
	Begin(ctx context.Context, s Start) (Execution, error)

	// Mark settles the key without running its command, durably before it
	// returns, and returns the mark as recorded. An earlier attempt that is
	// still recorded as running is settled as lost. It fails with ErrChanged
	// when the record is not as m.Expect says, with *BusyError while an
	// execution of this claim is in progress, and with the error of m.Stdout;
	// nothing is recorded then.
	Mark(ctx context.Context, m Mark) (Attempt, error)

	// Lost is closed when the claim can no longer be kept; the command must
	// then be ended. It is nil where that cannot happen.
	Lost() <-chan struct{}

	// Release gives the right back. Calling it again does nothing.
	Release() error
}

// Start is what Begin records.
type Start struct {
	RunID       string
	Fingerprint string
	Inputs      []byte
	Owner       Owner
	// MaxOutput is how many bytes of output to keep. With 0, output is only
	// counted, and the attempt has NoOutput. A negative number keeps all.
	MaxOutput int64
}

// Execution is one attempt in progress.
type Execution interface {
	// Attempt returns the attempt as Begin recorded it.
	Attempt() Attempt

	// Fence returns the attempt's fencing number: greater than that of every
	// earlier attempt of the key.
	Fence() int64

	// Write records a piece of output, in order. It never fails the run: what
	// cannot be kept is counted and the attempt marked truncated. It keeps
	// nothing of p. It must not be called after Finish or Abandon.
	Write(s Stream, p []byte)

	// Finish records the outcome, durably before it returns, if the attempt is
	// still this run's, and fails with ErrLost otherwise. It returns the
	// attempt as recorded. After an end by o.Reason exit, processes that the
	// command left behind no longer keep the key busy; after any other end
	// they do.
	Finish(ctx context.Context, o Outcome) (Attempt, error)

	// Abandon takes Begin back because the command could not be started: the
	// record is again as it was before (the fence excepted).
	Abandon(ctx context.Context) error
}

// Inheriting is implemented by an Execution whose hold on the key must reach
// its command: the command's processes inherit the descriptors.
type Inheriting interface {
	Descriptors() []*os.File
}

// Tracing is implemented by a ledger that can name the processes of a command
// that outlive it and keep its key busy, some of them at least. That is for
// people to read, as Owner is.
type Tracing interface {
	Holders(id ID) []Process
}

// Process is a process of this host.
type Process struct {
	PID  int
	Name string // as the kernel has it: cut short, and chosen by the process
}

// Outcome is how a command ended.
type Outcome struct {
	State    State // Succeeded or Failed
	Reason   Reason
	ExitCode int
	Signal   int
	Files    []File // stored whole and with the outcome, or the outcome is not
	Capture  Capture
}

// File is what an attempt added at the end of one file.
type File struct {
	Name    string // what a later call knows the file by
	Place   int    // which file of the call it was, when that is its name too; else 0
	Content []byte
	Lost    bool // there was more or other content than could be recorded
}

// What a process of idem's finds in its environment, as far as ledgers look at it.
const (
	// RunIDVar is the run id of the attempt that the process belongs to.
	RunIDVar = "IDEM_RUN_ID"
	// EventVar says what the process is for, if it is not the attempt's command: a
	// hook or a probe.
	EventVar = "IDEM_EVENT"
	// ChainVar names what the process runs inside of, the innermost last, joined by
	// colons: attempts by their run ids, behind ForEvent if it is not in their
	// command, and what has no run id yet by other names.
	ChainVar = "IDEM_CHAIN"
	ForEvent = "event"
)

// Filter selects records for List.
type Filter struct {
	Namespace string // empty: all
	Key       string // the key, in whatever window; empty: all
	Glob      Glob   // on the key; empty: all
	Phase     Phase  // empty: all
	Limit     int    // 0: no limit
}

// Collect returns all that List yields.
func Collect(records iter.Seq2[Record, error]) ([]Record, error) {
	var all []Record
	for r, err := range records {
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// Mark settles a key without running its command: by hand, or because a probe
// told what became of it.
type Mark struct {
	// Expect is the record that the decision to mark was made on: its current
	// attempt must still be current and in the same state.
	Expect   Record
	State    State  // Succeeded, Failed, or None for "run it again"
	Reason   Reason // ReasonMarked or ReasonProbed
	ExitCode int
	RunID    string
	Note     string
	Owner    Owner
	// Fingerprint and Inputs are those of the calls that it counts for; an empty
	// Fingerprint is any call.
	Fingerprint string
	Inputs      []byte
	// Stdout is read to its end and recorded as the output, MaxOutput bytes of
	// it, as in Start. Nil means no output.
	Stdout    io.Reader
	MaxOutput int64
	// Capture is asked about the output when Stdout is at its end. Nil: the output
	// is all that was written.
	Capture func() Capture
}

// Captured returns what Capture says.
func (m Mark) Captured() Capture {
	if m.Capture == nil {
		return Capture{}
	}
	return m.Capture()
}
