package runner

import (
	"os"
	"syscall"
	"time"

	"idem/ledger"
	"idem/proc"
	"idem/sidefile"
)

// Call is one call of `idem run`: what differs from key to key.
type Call struct {
	ID      ledger.ID
	Argv    []string // the command
	Stdin   *os.File // of the command
	TTY     bool     // give the command a pseudo-terminal; all its output is stdout then
	Inputs  Inputs
	Policy  Policy
	Probe   Probe // asked where Policy.Probe says that there is one
	Inside  Inside
	Wait    Wait
	Limits  Limits
	OK      Codes // exit statuses that are a success besides 0
	Retries Retries
	Output  Output
	Replay  ReplayPolicy
	Files   []sidefile.File // what the command appends to them is recorded
}

// Inputs are what must be the same in all calls of a key.
type Inputs struct {
	Fingerprint string
	Encoded     []byte // as the ledger keeps them
	// Starting is called before each attempt is recorded, with the path of the
	// command. It returns Encoded with what only a call that runs has to find out.
	// Nil means that Encoded has everything.
	Starting func(path string) []byte
}

// Probe is the shell command that is asked whether a key is done.
type Probe struct {
	Command string
	Timeout time.Duration // 0: none
}

// Inside is what a call is made inside of. A call that waited for that would wait
// for itself, so it is refused as recursive.
type Inside struct {
	Attempts []string // run ids
	// Probe reports whether the call is made inside of a probe that another call of
	// its key asks before the key's first attempt.
	Probe bool
}

// Wait is what a call does while its key is running.
type Wait struct {
	Set   bool          // wait; else the call is refused
	Limit time.Duration // the longest wait; 0: none
}

// Limits bound each attempt.
type Limits struct {
	Timeout   time.Duration // after it the command is told to end; 0: none
	KillAfter time.Duration // how long a command that is told to end may take; 0: any time
}

// Output is what becomes of the command's output.
type Output struct {
	Max  int64 // bytes that are recorded; negative: all
	None bool  // record nothing, nor what is appended to Call.Files
	// Quiet holds the output back, live and replayed, unless the call fails.
	Quiet bool
}

// recorded returns how many bytes are recorded; negative means all.
func (o Output) recorded() int64 {
	if o.None {
		return 0
	}
	return o.Max
}

// ReplayPolicy is what a replay must be like.
type ReplayPolicy struct {
	Exact   bool // refuse a replay that is not exactly what the command wrote
	Partial bool // accept a replay that lacks a part of stdout; see Undelivered
}

// Attempt is what is told to a process that runs for an attempt: its command, a
// hook, or the probe that is asked about it.
type Attempt struct {
	ID         ledger.ID
	Generation int64
	Number     int // 0: there was none
	RunID      string
	Fence      int64
	Event      string // of the hook or probe; empty for the command
	Over       bool   // the attempt is over, so the process does not run inside of it
}

// AttemptOf returns the current attempt of a record.
func AttemptOf(rec ledger.Record) Attempt {
	return Attempt{ID: rec.ID, Generation: rec.Generation, Number: rec.Current.Number, RunID: rec.Current.RunID, Fence: rec.Fence}
}

// Result is the result of a call.
type Result struct {
	Decision
	// Record is the record that the decision was made on or, after ActionExecute,
	// that the execution made. Its current attempt is the one that ran, that is
	// replayed, or that is the reason of a refusal.
	Record ledger.Record
	// Leftover reports, with ReasonBusy, that only processes that the command of
	// the earlier attempt left behind are alive.
	Leftover bool
	// Holders are processes that a command has left behind and that keep its key
	// busy: with Leftover, and after an attempt that did not end by itself.
	Holders []ledger.Process
	// Probed is how the probe ended; nil when none was asked.
	Probed *ProbeEnd
	// Status is how the command ended just now, with ActionExecute.
	Status proc.Status
	// Fatal is a signal that ends a process by default and that came for idem
	// itself, while no command was running any more or a hook was; 0 for none.
	Fatal syscall.Signal
	// Unrecorded is why the outcome of a command that ran is not in the ledger.
	Unrecorded error
	// NotRetried is why a retry that was due could not be started after the attempt
	// of Record: the ledger, the command itself, or processes that the attempt left
	// alive.
	NotRetried error
	// Streams are errors of idem's own stdout and stderr, except for a reader that
	// has gone.
	Streams []error
	// Lacks is, with ActionReplay, what the output lacks.
	Lacks Lacks
	// HookFaults are the hooks that failed.
	HookFaults []HookFault
	// Tried is how many attempts there were since the last success, if the call is
	// refused because of their number.
	Tried int
	// Losses are what a replay of the outcome lacks or, with ActionReplay, this one.
	Losses []sidefile.Loss

	held *held // the output, with Output.Quiet
}
