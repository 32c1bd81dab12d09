package runner

import (
	"os"
	"slices"
	"syscall"
	"time"

	"idem/ledger"
	"idem/proc"
	"idem/sidefile"
)

// Call has the settings of one call of `idem run`, which differ from key to key.
type Call struct {
	ID     ledger.ID
	Origin ledger.Origin // of a step or an item; else zero
	Argv   []string      // the command
	// Path is the file of the command. If it is not empty, proc.Ready has returned nil. If it
	// is empty, the command is looked up before anything is written.
	Path string
	// Unseen says that the key has probably no record. Take then claims it before it looks.
	Unseen bool
	Env    []string // variables of the command, the probes and the hooks besides Runner.Environ
	Stdin  *os.File // of the command
	TTY    bool     // give the command a pseudo-terminal; all its output is stdout then
	Apart  bool     // see proc.Command.Apart
	Inputs Inputs
	Policy Policy
	Probe  Probe // used only if Policy.Probe is set
	// Verification is used only if Policy.Verify is set.
	Verification Probe
	Inside       Inside
	Mutexes      []ledger.Mutex // held while the command runs; sorted by name, no name twice
	Wait         Wait
	Limits       Limits
	OK           Codes // exit statuses that count as a success, besides 0
	Retries      Retries
	Output       Output
	Replay       ReplayPolicy
	Files        []sidefile.File // files whose additions by the command are recorded
}

// Inputs are the values that must be the same in all calls of a key.
type Inputs struct {
	Fingerprint string
	Encoded     []byte // in the encoding that the ledger stores
	// Starting is called before each attempt is recorded, with the path of the
	// command. It returns Encoded with the details that only a call that runs its
	// command has to find out. If it is nil, Encoded is complete.
	Starting func(path string) []byte
}

// Probe is a shell command whose exit status says whether a key is done or, as a
// verification, whether the effect of a success is still there.
type Probe struct {
	Command string
	Timeout time.Duration // 0: none
}

// Inside lists the attempts and probes that the call is made inside of. A call that
// waited for one of them would wait for itself, so it is refused as recursive.
type Inside struct {
	Attempts []string // their run ids
	// Probe reports whether the call is made inside of a probe that another call of
	// its key runs before the key's first attempt.
	Probe bool
	// Asked are the run ids of attempts about which a question is asked without the
	// claim. A call that asked the same question would never end.
	Asked []string
	// Hook reports whether the call is made inside of a hook of its key. Its own hooks
	// do not run, because one that made the call again would never end.
	Hook bool
}

// event reports whether the call is made inside of a hook or a probe of an attempt.
func (i Inside) event(runID string) bool {
	at := slices.Index(i.Attempts, runID)
	return at > 0 && i.Attempts[at-1] == ledger.ForEvent
}

// Wait says what a call does while its key is running or a mutex has no free place.
type Wait struct {
	Set   bool          // wait; if not set, the call is refused
	Limit time.Duration // the longest wait for the key and the mutexes together; 0: no limit
}

// Limits bound each attempt.
type Limits struct {
	Timeout   time.Duration // after it the command gets TERM; 0: no limit
	KillAfter time.Duration // from TERM to KILL; 0: no KILL
}

// Output says what is recorded and printed of the command's output.
type Output struct {
	Max  int64 // the number of bytes to record; negative: all
	None bool  // record neither output nor additions to Call.Files
	// Quiet holds the output back, live and replayed, unless the call fails.
	Quiet bool
}

// recordLimit returns the maximum number of bytes to record; negative means all.
func (o Output) recordLimit() int64 {
	if o.None {
		return 0
	}
	return o.Max
}

// ReplayPolicy says how complete a replay must be.
type ReplayPolicy struct {
	Exact   bool // refuse a replay that is not exactly what the command wrote
	Partial bool // accept a replay that lacks a part of stdout; see Undelivered
	// Value refuses a replay whose stdout may not be exactly what the command wrote, if
	// stdout is replayed: a script reads it as the value of the step.
	Value bool
}

// Attempt describes an attempt to a process that runs for it: its command, a hook,
// or the probe that is asked about it.
type Attempt struct {
	ID         ledger.ID
	Generation int64
	Number     int // 0: there was no attempt
	RunID      string
	Fence      int64
	Event      string // the event of the hook, EventProbe or EventVerify; empty for the command
	Over       bool   // the attempt is over, so the process does not run inside of it
	Unclaimed  bool   // with EventProbe or EventVerify: the question is asked without the claim
}

// The events of processes that are asked about an attempt.
const (
	EventProbe  = "probe"
	EventVerify = "verify"
)

// AttemptOf returns the current attempt of a record.
func AttemptOf(rec ledger.Record) Attempt {
	return Attempt{ID: rec.ID, Generation: rec.Generation, Number: rec.Current.Number, RunID: rec.Current.RunID, Fence: rec.Fence}
}

// Result is the result of a call.
type Result struct {
	Decision
	// Record is the record on which the decision was made or, after ActionExecute,
	// the record of the execution. Its current attempt is the one that ran, that is
	// replayed, or that is the reason for a refusal.
	Record ledger.Record
	// Leftover reports, with ReasonBusy, whether only processes are alive that the
	// command of the earlier attempt left behind.
	Leftover bool
	// Holders are processes that a command left behind and that keep its key busy, or
	// the mutex that the call requires. It is set with Leftover, with Mutex, and after
	// an attempt that did not end by itself.
	Holders []ledger.Process
	// Mutex is set with ReasonMutex. It is set with ReasonRecursive too if an attempt that
	// the call is made inside of holds the mutex.
	Mutex *ledger.MutexError
	// Queued is set if the call that holds the key waits for a mutex.
	Queued *ledger.MutexState
	// Probed is how the probe ended; nil if no probe ran.
	Probed *ProbeEnd
	// Verified is how the verification ended; nil if none ran.
	Verified *ProbeEnd
	// Status is how the command ended in this call, with ActionExecute.
	Status proc.Status
	// Fatal is a signal to idem that ends a process by default. It arrived while a
	// start hook was running, or after the command had ended. 0 means none.
	Fatal syscall.Signal
	// Unrecorded is why the outcome of a command that ran is not in the ledger.
	Unrecorded error
	// LeaseLost reports that the claim could no longer be kept, so the command was ended.
	LeaseLost bool
	// Overruled is how the command ended after it had recorded its success itself, unless
	// that was a success too. The record has the success.
	Overruled *ledger.Outcome
	// NotRetried is why a due retry could not be started after the attempt of Record.
	// It is a fault of the ledger or the command, or a *ledger.BusyError for processes
	// that the attempt left alive.
	NotRetried error
	// Streams are write errors of idem's stdout and stderr. A reader that has gone
	// is not an error.
	Streams []error
	// Lacks is what the output of a replay lacks, with ActionReplay.
	Lacks Lacks
	// HookFaults are the start hooks that failed.
	HookFaults []HookFault
	// Tried is the number of attempts since the last success, with
	// ReasonExhausted.
	Tried int
	// Parent reports, after a refusal because of the record, whether it has steps or items.
	Parent bool
	// First is the first attempt since the last success, with ReasonTooLate.
	First ledger.Attempt
	// Losses are the additions to files that this replay lacks or, after
	// ActionExecute, that a later replay will lack.
	Losses []sidefile.Loss

	output *heldOutput // the output, with Output.Quiet
}
