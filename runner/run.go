package runner

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"idem/ledger"
	"idem/proc"
	"idem/redact"
	"idem/sidefile"
)

// Call is one call of `idem run`.
type Call struct {
	ID          ledger.ID
	Argv        []string
	Fingerprint string
	Inputs      []byte // as the ledger keeps them
	Policy      Policy
	Wait        bool          // wait while the key is running
	WaitFor     time.Duration // at most so long; 0: as long as it takes
	// Waiting is told when the call begins to wait, and again each time that it
	// has waited for Remind; 0: never again.
	Waiting func(*ledger.BusyError)
	Remind  time.Duration
	// Asked reports that this call is made inside of a probe that another call of
	// its key asks before the key's first attempt: to wait for that would be to wait for
	// itself. Policy.Around says so of attempts.
	Asked     bool
	MaxOutput int64 // bytes of output to keep, negative: all

	// NoOutput keeps none of it, nor of what is appended to Files. Redact says what is taken out of what is kept;
	// Inputs are without it already. The live copy is whole.
	NoOutput bool
	Redact   *redact.Redactor

	OK      Codes // exit statuses that are a success beside 0
	Retries Retries
	Timeout time.Duration // of each attempt; 0: none
	// KillAfter is how long a command that must end may take to do so.
	KillAfter time.Duration

	Now     func() time.Time
	RunID   func() string
	Owner   func() ledger.Owner
	Environ func(Attempt) []string // the command's whole environment

	// Stdin, Stdout and Stderr are what the command is given, the last two as
	// live copies. A replay goes to ReplayStdout and ReplayStderr; nil drops.
	Stdin, Stdout, Stderr      *os.File
	ReplayStdout, ReplayStderr *os.File

	// Exact refuses a replay that would not be exactly what the command wrote.
	// Partial accepts one that lacks a part of stdout; see Undelivered.
	Exact, Partial bool

	// TTY gives the command a pseudo-terminal; all its output is stdout then.
	TTY bool

	// QuietOK holds the output back, live and replayed, unless the call fails.
	QuietOK bool

	// Files are those of which is recorded what the command appends to them.
	Files []sidefile.File

	// Probe is the shell command that Policy.Probe is about; it is ended after
	// ProbeTimeout, if that is not 0.
	Probe        string
	ProbeTimeout time.Duration

	// Backlog makes a place for live output that its reader does not take yet,
	// and for what a probe prints.
	Backlog func() (proc.Backlog, error)

	// Starting is called before each attempt is recorded, with the path of the
	// command, and returns its Inputs: with what only a call that runs needs to
	// find out. Nil means that Inputs has it all.
	Starting func(path string) []byte

	Hooks Hooks
}

// Attempt is what a command is told about the attempt that it is, and a probe
// about the one that it is asked for: Number is 0 when there was none.
type Attempt struct {
	ID         ledger.ID
	Generation int64
	Number     int
	RunID      string
	Fence      int64
	Event      string // of the hook or probe that is told; empty for the command
}

// AttemptOf is the current attempt of a record.
func AttemptOf(rec ledger.Record) Attempt {
	return Attempt{ID: rec.ID, Generation: rec.Generation, Number: rec.Current.Number, RunID: rec.Current.RunID, Fence: rec.Fence}
}

// Result is what a call came to.
type Result struct {
	Decision
	// Record is the record that the decision was made on or, after Execute,
	// that the execution made; its current attempt is the one that ran, is
	// replayed, or stands in the way.
	Record ledger.Record
	// Leftover tells, with Busy, that only processes of the earlier attempt's
	// command are alive.
	Leftover bool
	// Holders are processes that a command has left behind and that keep its key
	// busy: with Leftover, and after an attempt that did not end by itself.
	Holders []ledger.Process
	// Probed is how the probe ended, nil when none was asked.
	Probed *ProbeEnd
	// Status is how the command ended just now, with Execute.
	Status proc.Status
	// Fatal is a signal that ends a process by default and that came for idem
	// itself, while no command was running any more or a hook was; 0 for none.
	Fatal syscall.Signal
	// Unrecorded is why the outcome of a command that ran is not in the ledger.
	Unrecorded error
	// NotRetried is why a retry that was due could not be started, after the
	// attempt that Record tells of: the ledger, the command itself, or processes
	// that the attempt left alive.
	NotRetried error
	// Streams are errors of our own stdout and stderr other than a reader that
	// has gone.
	Streams []error
	// Lacks is, with Replay, what the output lacks.
	Lacks Lacks
	// HookFaults are the hooks that did not do what they should.
	HookFaults []HookFault
	// Tried is how many attempts there were since the last success, if the call is
	// refused because of their number.
	Tried int
	// Losses are what a replay of the outcome lacks or, with Replay, this one.
	Losses []sidefile.Loss

	held *held // the output, with QuietOK
}

// Run makes the call. An error means that nothing was started: a
// *proc.StartError, a *proc.SignalError, a *sidefile.Error, a *ReplayError, or what
// is wrong with the ledger. All that the Result has then is the record, as far
// as it is known, and what came of hooks.
func Run(ctx context.Context, l ledger.Ledger, c Call) (Result, error) {
	res, err := c.run(ctx, l)
	c.tell(ctx, &res, err)
	return res, err
}

func (c *Call) run(ctx context.Context, l ledger.Ledger) (Result, error) {
	waiting, cancel := within(ctx, c.WaitFor)
	defer cancel()
	w := waiter{call: c}
	var path string // of the command, looked up before anything is written
	for {
		rec, err := l.Get(ctx, c.ID)
		if err != nil {
			return Result{}, err
		}
		d, err := c.decide(ctx, l, rec, false)
		if err != nil {
			return Result{}, err
		}
		if d.Action != Claim {
			res, err := c.settled(ctx, l, rec, d)
			if forgotten(err) {
				continue
			}
			return res, err
		}
		if path == "" {
			if path, err = proc.LookPath(c.Argv[0]); err != nil {
				return Result{Record: rec}, err
			}
			if err = proc.Ready(c.TTY); err != nil {
				return Result{Record: rec}, &proc.StartError{Name: c.Argv[0], Code: proc.CannotRun, Err: err}
			}
		}
		claim, err := l.Claim(ctx, c.ID)
		var busy *ledger.BusyError
		switch {
		case err == nil:
			res, err := c.claimed(ctx, l, claim, path)
			if forgotten(err) {
				continue
			}
			return res, err
		case !errors.As(err, &busy):
			return Result{}, err
		}
		d, err = c.decide(ctx, l, busy.Record, false)
		if err != nil {
			return Result{}, err
		}
		if d.Action != Claim {
			continue // it ended between our look and our claim
		}
		d = c.busy(busy.Record)
		if c.Wait && d.Reason == Busy {
			err := w.wait(waiting, l, busy)
			if err == nil {
				continue
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				return Result{}, err
			}
		}
		return Result{Decision: d, Record: busy.Record, Leftover: busy.Leftover, Holders: busy.Holders}, nil
	}
}

// decide asks Decide. Only where the number of all attempts would be too many
// are those since the last success counted, which are no more.
func (c *Call) decide(ctx context.Context, l ledger.Ledger, rec ledger.Record, holding bool) (Decision, error) {
	p := c.Policy
	if !rec.Alive { // an attempt that is over is around nobody, whoever it has left behind
		p.Around = nil
	}
	p.Tried = rec.Attempts
	d := Decide(rec, c.Fingerprint, holding, p, c.Now())
	if d.Reason != Exhausted {
		return d, nil
	}
	var err error
	if p.Tried, err = tried(ctx, l, rec); err != nil {
		return d, err
	}
	return Decide(rec, c.Fingerprint, holding, p, c.Now()), nil
}

// busy is what a call does about a key that another call holds, unless it waits.
func (c *Call) busy(rec ledger.Record) Decision {
	if c.Asked && rec.Phase() == ledger.PhaseNone {
		return Decision{Refuse, Recursive}
	}
	return Decision{Refuse, Busy}
}

// forgotten tells that a record was forgotten while its output was looked for,
// so that the call is to be decided again.
func forgotten(err error) bool { return errors.Is(err, ledger.ErrNotFound) }

// claimed decides again, now that nobody else can change the record.
func (c *Call) claimed(ctx context.Context, l ledger.Ledger, claim ledger.Claim, path string) (Result, error) {
	defer claim.Release()
	rec, err := claim.Record(ctx)
	if err != nil {
		return Result{}, err
	}
	rec.Alive = false // some ledgers count us
	d, err := c.decide(ctx, l, rec, true)
	if err != nil {
		return Result{}, err
	}
	var end *ProbeEnd
	if d.Action == Probe {
		if rec, d, end, err = c.probe(ctx, l, claim, rec); err != nil {
			return Result{}, err
		}
	}
	var res Result
	if d.Action == Execute {
		res, err = c.execute(ctx, l, claim, rec, d, path)
	} else if err = claim.Release(); err != nil {
		err = &ReplayError{err}
	} else {
		res, err = c.settled(ctx, l, rec, d)
	}
	res.Probed = end
	return res, err
}
