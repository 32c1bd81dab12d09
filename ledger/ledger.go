// Package ledger defines the data that idem remembers and the contract of a ledger.
// It holds no policy, which is in runner.Decide, and imports no driver. The embedded
// ledger is package ledger/sqlite. The test suite that checks every ledger against
// this contract is package ledger/ledgertest.
package ledger

import (
	"context"
	"iter"
	"os"
	"time"
)

// ID identifies one record: the user's key, its namespace and, with a calendar
// policy, its window. All three are compared byte by byte.
type ID struct {
	Namespace string
	Key       string
	Window    string // empty without a calendar window
}

// State is the stored state of an attempt. The state of a record is that of its
// current attempt. There is no state for "interrupted": it follows from Running and
// the locks, see Record.Phase.
type State string

// The stored states. None is the state of a key that never ran, was forgotten, or
// was marked for retry.
const (
	None      State = ""
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	// Batch is the state of a mark that describes a batch of items. A batch has no
	// attempts.
	Batch State = "batch"
)

// Reason is how an attempt ended.
type Reason string

// The reasons. ReasonLost is recorded when a later call takes over the key of an
// attempt that has no recorded end.
const (
	ReasonExit    Reason = "exit"
	ReasonSignal  Reason = "signal"
	ReasonTimeout Reason = "timeout"
	ReasonLost    Reason = "lost"
	ReasonMarked  Reason = "marked" // settled by hand
	ReasonProbed  Reason = "probed" // settled by the answer of a probe
	// ReasonUnverified is the reason of a mark with state None: a verification did not
	// find the effect of the success before it.
	ReasonUnverified Reason = "unverified"
	// ReasonTransaction: the command recorded its success itself, in the transaction of
	// its work. Its exit status is not known.
	ReasonTransaction Reason = "transaction"
)

// Owner identifies the process and the user that ran an attempt. It is stored for
// people to read. No decision uses it, because process IDs are reused and host names
// change.
type Owner struct {
	Host string
	PID  int
	User string
}

// Attempt is one execution of a key's command, or one Mark. A Mark settles the key
// without running its command and has Number 0.
type Attempt struct {
	Number      int    // 1, 2, ... within the key's generation
	RunID       string // UUIDv7, unique in the ledger
	State       State
	Reason      Reason // empty while running
	ExitCode    int    // 128+n after a death by signal n
	Signal      int    // the signal's number, 0 without one
	Started     time.Time
	Ended       time.Time // zero while running, and for an attempt with ReasonLost
	Fingerprint string    // empty in a mark that counts for any call
	Inputs      []byte    // the inputs of the fingerprint; opaque to a ledger
	Owner       Owner
	Note        string // of a mark
	OutputBytes int64  // bytes the command wrote to both streams, recorded or not
	Truncated   bool   // some output that was to be recorded is known to be missing
	Incomplete  bool   // see Capture
	Redacted    bool   // see Capture
	Files       int    // how many files Ledger.Files returns
	NoOutput    bool   // no output was to be recorded; Truncated is then false
	ParentRun   string // of a step or an item: see Origin.RunID
	// OutputRemoved is when Collecting.RemoveOutputs removed the output, or zero. The output was
	// recorded before; it is not damaged. Truncated is set too if the output had a known size.
	OutputRemoved time.Time
}

// RemoveOutput records that the output was removed at a time.
func (a *Attempt) RemoveOutput(at time.Time) {
	a.OutputRemoved, a.Truncated = at, a.Truncated || a.OutputBytes > 0
}

// Record is all that a ledger stores for one ID. Its state, fingerprint and outcome
// are those of its current attempt. The zero attempt has state None.
type Record struct {
	ID         ID
	Generation int64 // 1 at first, increased by Forget
	Fence      int64 // increased by every Begin; never decreases, not even after Forget
	Attempts   int   // number of the latest attempt in this generation
	Parent     ID    // of a step or an item; else zero
	Series     int64 // see Origin
	Current    Attempt
	// Alive reports, for a Running record, whether a holder or a process of its
	// command exists. A Running record that is not alive is interrupted. For a Failed
	// record, it reports whether a claim is held, except in a result of List.
	Alive bool
	// Lease is the lease of the last holder, in a ledger whose claims end with a lease
	// and while no holder has given the key back; else nil.
	Lease *Lease
}

// Retrying reports whether the failure of r may not be final: a call holds the key, and
// may run it again.
func (r Record) Retrying() bool { return r.Current.State == Failed && r.Alive }

// Phase is the state of a record as users see it. It depends on the stored state and,
// for Running, on Alive.
type Phase string

// The phases. PhaseRetry is that of a key with a history that was marked to run again.
const (
	PhaseNone        Phase = "none"
	PhaseRetry       Phase = "retry"
	PhaseRunning     Phase = "running"
	PhaseInterrupted Phase = "interrupted"
	PhaseSucceeded   Phase = "succeeded"
	PhaseFailed      Phase = "failed"
	PhaseBatch       Phase = "batch"
)

// Phase returns the phase of r. It is PhaseInterrupted when r is recorded as running
// but no process holds the key. The outcome is then unknown.
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

// Ledger is a memory of keys. All processes that open the same ledger share it. Its
// methods may be called from several goroutines.
//
// A ledger survives any death of a process: a change that a method has acknowledged
// is kept. The claims of the dead process are free as soon as the processes of its
// command have ended too.
type Ledger interface {
	// Get returns the record of id. Without a record, it returns one with state
	// None. Get takes no lock, writes nothing and creates nothing.
	Get(ctx context.Context, id ID) (Record, error)

	// Claim takes the exclusive right to execute id. It does not wait. The error is
	// a *BusyError when another claim holds id, or when processes of an earlier
	// attempt are alive.
	//
	// A command may close the descriptors that it inherits. So for an attempt that
	// is recorded as running and has no claim, descriptors are not enough. Where the
	// system permits, a ledger also finds processes by RunIDVar and ChainVar in
	// their environment:
	//   - This process does not count.
	//   - A process that runs for an event (EventVar) does not count.
	//   - After any recorded end, no process counts.
	//
	// Get, List and Wait find processes in the same way.
	Claim(ctx context.Context, id ID) (Claim, error)

	// Wait returns nil when Claim would have found id free, or the error of ctx. It
	// takes nothing, so a later Claim may still fail. With a ctx that is already
	// done, Wait checks once: nil means free.
	Wait(ctx context.Context, id ID) error

	// List yields the records that match f, without their Inputs. The record with
	// the latest attempt or mark is first. An error is yielded last. Forgotten keys
	// are not listed. List keeps few records in memory, and blocks no other process
	// while the caller handles one.
	List(ctx context.Context, f Filter) iter.Seq2[Record, error]

	// Attempts returns the history of id's generation, oldest first.
	Attempts(ctx context.Context, id ID) ([]Attempt, error)

	// Output returns the recorded output of id's attempt runID. For a running
	// attempt, it is the output so far. The error is ErrNotFound when there is no
	// such attempt. The caller closes the Output.
	Output(ctx context.Context, id ID, runID string) (Output, error)

	// Files returns the files that Finish recorded for id's attempt runID. A running
	// attempt has none. The error is ErrNotFound when there is no such attempt, and
	// ErrCorrupt when the files differ from the recorded ones.
	Files(ctx context.Context, id ID, runID string) ([]File, error)

	// Mutexes returns the mutexes that have holders or waiters, sorted by namespace and
	// name. A namespace and names restrict the result, unless they are empty. Mutexes
	// takes no lock, writes nothing and creates nothing.
	Mutexes(ctx context.Context, namespace string, names ...string) ([]MutexState, error)

	// Forget drops id's history, output and files, and increases its generation. It
	// fails with *BusyError while the key or a record below it is held, and with
	// ErrNotFound when nothing is recorded. If an earlier Forget was interrupted before it
	// had deleted everything below id, Forget deletes the rest and returns nil.
	Forget(ctx context.Context, id ID) error

	// ForgetIf is Forget for a record that was read before. The error is ErrChanged when
	// another call has changed it since.
	ForgetIf(ctx context.Context, was Record) error

	// Close frees the resources of the handle in this process. It does not end
	// claims. A process that is about to exit need not call it.
	Close() error
}

// Claim is the exclusive right to execute one ID. It ends with Release or with the
// process. After that, live processes of an attempt's command still keep the ID busy;
// Execution.Finish says when they no longer count.
type Claim interface {
	// Record reads the record again. Under the claim, no other process can change
	// it.
	Record(ctx context.Context) (Record, error)

	// Begin records a running attempt. The record is durable when Begin returns. An
	// earlier attempt that is still recorded as running is recorded as lost.
	//
	// The first Begin of a claim also takes the mutexes of s, all or none. The error is
	// a *MutexError when one of them has no free place, or when another claim is before
	// this one in its line. The claim keeps the mutexes until Release, also for its later
	// attempts, whose Starts have the same mutexes. After Release, processes of the last
	// attempt's command keep them under the same conditions as they keep the ID busy.
	Begin(ctx context.Context, s Start) (Execution, error)

	// Queue waits until Begin would find the mutexes free, or ctx ends. Each mutex has
	// one line of claims, in the order in which they called Queue. A claim joins the lines
	// of all its mutexes at the same time, so claims never wait for each other. A process
	// that dies leaves its lines. owner is for Mutexes.
	//
	// After nil, the claim is first in its lines, and no other claim can take the mutexes,
	// until Begin succeeds or until Release. If Begin nevertheless returns a *MutexError,
	// because of processes that had not been found, a further Queue waits in the same
	// place. With any error, the claim has left its lines. With a ctx that is already
	// done, Queue checks once: nil means free.
	Queue(ctx context.Context, mutexes []Mutex, owner Owner) error

	// Mark settles the key without running its command, and returns the mark as
	// recorded. The mark is durable when Mark returns. An earlier attempt that is
	// still recorded as running is recorded as lost.
	//
	// With an error, nothing is recorded. The error is ErrChanged when the record
	// differs from m.Expect, *BusyError while an execution of this claim is in
	// progress, or the error of m.Stdout.
	Mark(ctx context.Context, m Mark) (Attempt, error)

	// Adopt makes a record that has a history a step or an item of o.Parent, and is durable
	// when it returns. It does nothing if the record has a parent or no history. A record
	// can be older than its parent; without Adopt, a new series would not forget it.
	Adopt(ctx context.Context, o Origin) error

	// Lost returns a channel that is closed when the claim can no longer be kept.
	// The caller must then end the command. It returns nil if the claims of this
	// ledger cannot be lost.
	Lost() <-chan struct{}

	// Release ends the claim. Further calls do nothing.
	Release() error
}

// Start is the attempt that Begin records.
type Start struct {
	RunID       string
	Fingerprint string
	Inputs      []byte
	Owner       Owner
	// MaxOutput is the number of bytes of output to keep. With 0, output is only
	// counted, and the attempt has NoOutput. A negative number keeps all. If the
	// output is longer, at least its first MaxOutput/2 bytes are kept.
	MaxOutput int64
	// Mutexes are taken with the attempt. They are sorted by name, and no name occurs
	// twice.
	Mutexes []Mutex
	// Origin is that of a step or an item. The zero Origin keeps the recorded parent.
	Origin Origin
	// Renew begins a new series, so all steps and items below the record are forgotten.
	// The error is the *BusyError of one of them while it is held.
	Renew bool
	// Fresh forgets the record itself in the same commit, as Forget does.
	Fresh bool
}

// Execution is one attempt in progress.
type Execution interface {
	// Attempt returns the attempt as Begin recorded it.
	Attempt() Attempt

	// Fence returns the attempt's fencing number: greater than that of every
	// earlier attempt of the key.
	Fence() int64

	// Generation returns the generation of the record that the attempt belongs to.
	Generation() int64

	// Write records a piece of output. Pieces are recorded in the order of the
	// calls. Write never fails the run: bytes that cannot be kept are counted, and
	// the attempt becomes Truncated. It does not retain p. It must not be called
	// after Finish or Abandon.
	Write(s Stream, p []byte)

	// Finish records the outcome and returns the attempt as recorded. The outcome
	// is durable when Finish returns. The error is ErrLost when another run has
	// taken the key over. If o.Reason is ReasonExit, processes that the command
	// left behind no longer keep the key busy. With any other reason they still do.
	// When ctx is done, a user does not want to wait any longer. Finish may then return an
	// *UnsentError at once, if the outcome is kept.
	Finish(ctx context.Context, o Outcome) (Attempt, error)

	// Abandon undoes Begin, because the command could not be started. The record is
	// restored except for the fence and the series, and for what Start.Fresh dropped.
	Abandon(ctx context.Context) error
}

// Inheriting is implemented by an Execution whose lock on the key must reach the
// command: the command's processes inherit the descriptors.
type Inheriting interface {
	// Descriptors is called before the command is started, see Sustaining.
	Descriptors() []*os.File
}

// Tracing is implemented by a ledger that can name processes that outlive their
// command and keep its key busy. The result need not be complete. Like Owner, it is
// for people to read.
type Tracing interface {
	Holders(id ID) []Process
}

// Process is a process of this host.
type Process struct {
	PID  int
	Name string // from the kernel, which truncates it; the process can set it freely
}

// Outcome describes the end of a command.
type Outcome struct {
	State    State // Succeeded or Failed
	Reason   Reason
	ExitCode int
	Signal   int
	Files    []File // stored completely in the same transaction as the outcome
	Capture  Capture
	// Final says that Release follows: the call makes no further attempt. A ledger may give the
	// claim back with the same commit.
	Final bool
}

// File is the content that an attempt appended to one file.
type File struct {
	Name    string // the name by which a later call finds the file
	Place   int    // the position of the file in the call, if that identifies it too; else 0
	Content []byte
	Lost    bool // some of the added content could not be recorded
}

// The environment variables of processes that idem starts, as far as a ledger reads
// them.
const (
	// RunIDVar is the run ID of the attempt that the process belongs to.
	RunIDVar = "IDEM_RUN_ID"
	// EventVar is set in a hook or a probe, which is not part of the attempt's
	// command. Its value is the purpose of the process.
	EventVar = "IDEM_EVENT"
	// ChainVar names the attempts that the process runs inside of, joined by
	// colons, the innermost last. An attempt is named by its run ID. ForEvent
	// precedes an attempt if the process is part of a hook or a probe of it, not of
	// its command. A call without a run ID yet has another name.
	ChainVar = "IDEM_CHAIN"
	ForEvent = "event"
)
