package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"idem/ledger"
	"idem/proc"
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
	MaxOutput   int64         // bytes of output to keep, negative: all

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

	// QuietOK holds the output back, live and replayed, unless the call fails.
	QuietOK bool

	// Probe is the shell command that Policy.Probe is about; it is ended after
	// ProbeTimeout, if that is not 0.
	Probe        string
	ProbeTimeout time.Duration

	// Backlog makes a place for live output that its reader does not take yet,
	// and for what a probe prints.
	Backlog func() (proc.Backlog, error)
}

// Attempt is what a command is told about the attempt that it is, and a probe
// about the one that it is asked for: Number is 0 when there was none.
type Attempt struct {
	ID         ledger.ID
	Generation int64
	Number     int
	RunID      string
	Fence      int64
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
	// Probed is how the probe ended, nil when none was asked.
	Probed *ProbeEnd
	// Status is how the command ended just now, with Execute.
	Status proc.Status
	// Fatal is a signal that came for idem itself while no command was running
	// any more; 0 for none.
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
}

// Run makes the call. An error means that nothing was started: a
// *proc.StartError, a *proc.SignalError, or what is wrong with the ledger.
func Run(ctx context.Context, l ledger.Ledger, c Call) (Result, error) {
	waiting := ctx
	if c.WaitFor > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, c.WaitFor)
		defer cancel()
	}
	var path string // of the command, looked up before anything is written
	for {
		rec, err := l.Get(ctx, c.ID)
		if err != nil {
			return Result{}, err
		}
		d := c.decide(rec, false)
		if d.Action != Claim {
			res, err := c.settled(ctx, l, rec, d)
			if forgotten(err) {
				continue
			}
			return res, err
		}
		if path == "" {
			if path, err = proc.LookPath(c.Argv[0]); err != nil {
				return Result{}, err
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
		case c.decide(busy.Record, false).Action != Claim:
			continue // it ended between our look and our claim
		}
		if c.Wait {
			err := l.Wait(waiting, c.ID)
			if err == nil {
				continue
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				return Result{}, err
			}
		}
		return Result{Decision: Decision{Refuse, Busy}, Record: busy.Record, Leftover: busy.Leftover}, nil
	}
}

func (c *Call) decide(rec ledger.Record, holding bool) Decision {
	return Decide(rec, c.Fingerprint, holding, c.Policy, c.Now())
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
	d := c.decide(rec, true)
	var end *ProbeEnd
	if d.Action == Probe {
		if rec, d, end, err = c.probe(ctx, claim, rec); err != nil {
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

// settled is for a call that runs nothing.
func (c *Call) settled(ctx context.Context, l ledger.Ledger, rec ledger.Record, d Decision) (Result, error) {
	res := Result{Decision: d, Record: rec}
	if d.Action != Replay || c.QuietOK && rec.Current.State == ledger.Succeeded {
		return res, nil
	}
	err := c.replay(ctx, l, rec, &res)
	return res, err
}

// ReplayError says that the ledger has failed a call that is decided and starts
// nothing: the recorded output cannot be read, or what the probe has said cannot
// be recorded.
type ReplayError struct{ Err error }

func (e *ReplayError) Error() string { return e.Err.Error() }
func (e *ReplayError) Unwrap() error { return e.Err }

// replay writes the recorded output of the current attempt.
func (c *Call) replay(ctx context.Context, l ledger.Ledger, rec ledger.Record, res *Result) error {
	if c.ReplayStdout == nil && c.ReplayStderr == nil {
		return nil
	}
	out, err := l.Output(ctx, rec.ID, rec.Current.RunID)
	if err != nil {
		return &ReplayError{err}
	}
	defer out.Close()
	signal.Ignore(syscall.SIGPIPE) // a reader that goes away does not change what happened
	err = out.Replay(c.ReplayStdout, c.ReplayStderr)
	if errors.Is(err, ledger.ErrCorrupt) {
		return &ReplayError{err}
	}
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		res.Streams = append(res.Streams, err)
	}
	return nil
}

// execute runs the command, again as long as Retries says so, and records each
// attempt.
func (c *Call) execute(ctx context.Context, l ledger.Ledger, claim ledger.Claim, rec ledger.Record, d Decision, path string) (Result, error) {
	// From here to the durable outcome no signal may end us.
	signals := proc.Catch()
	defer signals.Stop()
	delay := c.Retries.delays()
	var last Result
	for retries := 0; ; retries++ {
		res, end, err := c.attempt(ctx, claim, rec, d, path, signals)
		if err != nil && retries == 0 {
			return Result{}, err
		}
		if err != nil { // the attempt before is what there is to tell of
			res = last
			if !errors.As(err, new(*proc.SignalError)) { // see Fatal
				res.NotRetried = err
			}
		}
		again := err == nil && c.again(res, retries, signals)
		if !again {
			// Whoever waits for the key need not wait for the reader of our output.
			_ = claim.Release()
		}
		if end != nil {
			res.Streams = end.Flush()
		}
		if again {
			select {
			case <-time.After(delay()):
			case <-signals.Done():
				again = false
			}
		}
		if again {
			rec, last = res.Record, res
			continue
		}
		res.Fatal, _ = signals.Fatal()
		if c.QuietOK && res.Unrecorded == nil && res.Record.Current.State == ledger.Failed {
			if err := c.replay(ctx, l, res.Record, &res); err != nil {
				res.Streams = append(res.Streams, err)
			}
		}
		return res, nil
	}
}

// attempt runs the command once. There is no End without a Result.
func (c *Call) attempt(ctx context.Context, claim ledger.Claim, rec ledger.Record, d Decision, path string, signals *proc.Signals) (Result, *proc.End, error) {
	e, err := claim.Begin(ctx, ledger.Start{
		RunID: c.RunID(), Fingerprint: c.Fingerprint, Inputs: c.Inputs, Owner: c.Owner(), MaxOutput: c.MaxOutput,
	})
	if err != nil {
		if sig, ok := signals.Fatal(); ok {
			return Result{}, nil, &proc.SignalError{Signal: sig}
		}
		return Result{}, nil, err
	}
	end, err := c.start(ctx, claim, e, rec, path, signals)
	if end == nil {
		if undo := e.Abandon(ctx); undo != nil {
			return Result{}, nil, fmt.Errorf("%w; the key counts as interrupted, although nothing was started: %v", undo, err)
		}
		return Result{}, nil, err
	}
	res := Result{Decision: d, Record: rec, Status: end.Status}
	res.Record.Fence, res.Record.Attempts, res.Record.Current = e.Fence(), e.Attempt().Number, e.Attempt()
	if err != nil { // it ran, but nobody knows how it ended
		res.Unrecorded = err
		return res, end, nil
	}
	res.Record.Current, res.Unrecorded = e.Finish(ctx, c.outcome(end))
	return res, end, nil
}

// timeoutStatus is what timeout(1) exits with.
const timeoutStatus = 124

func (c *Call) outcome(end *proc.End) ledger.Outcome {
	o := ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: end.ExitCode, Signal: int(end.Signal)}
	switch {
	case end.Stopped && c.Timeout > 0:
		o.Reason, o.ExitCode = ledger.ReasonTimeout, timeoutStatus
	case end.Signal != 0:
		o.Reason = ledger.ReasonSignal
	case end.ExitCode == 0 || c.OK.Has(end.ExitCode):
		o.State = ledger.Succeeded
	}
	return o
}

func (c *Call) start(ctx context.Context, claim ledger.Claim, e ledger.Execution, rec ledger.Record, path string, signals *proc.Signals) (*proc.End, error) {
	a := e.Attempt()
	cmd := proc.Command{
		Path: path, Args: c.Argv,
		Env: c.Environ(Attempt{
			ID: c.ID, Generation: rec.Generation, Number: a.Number, RunID: a.RunID, Fence: e.Fence(),
		}),
		Stdin: c.Stdin, OwnGroup: c.Timeout > 0,
		Record:    func(stream proc.Stream, p []byte) { e.Write(ledger.Stream(stream), p) },
		Backlog:   c.Backlog,
		KillAfter: c.KillAfter,
	}
	if !c.QuietOK {
		cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	}
	if i, ok := e.(ledger.Inheriting); ok {
		cmd.Inherit = i.Descriptors()
	}
	ctx, cancel := whileHeld(ctx, claim)
	defer cancel()
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	return cmd.Run(ctx, signals)
}

// whileHeld ends a context when the claim can no longer be kept.
func whileHeld(ctx context.Context, claim ledger.Claim) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if lost := claim.Lost(); lost != nil {
		go func() {
			select {
			case <-lost:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}
