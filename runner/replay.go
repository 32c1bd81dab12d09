package runner

import (
	"context"
	"errors"
	"os"

	"idem/ledger"
	"idem/proc"
	"idem/sidefile"
)

// ReplayError is the failure of a call that is decided and starts no command. The
// recorded output cannot be read, a file cannot be appended to, or the answer of the
// probe or the verification cannot be recorded.
type ReplayError struct{ Err error }

func (e *ReplayError) Error() string { return e.Err.Error() }
func (e *ReplayError) Unwrap() error { return e.Err }

// InexactError refuses a call with ReplayPolicy.Exact or ReplayPolicy.Value, because a
// replay would not write exactly what the command wrote. It is wrapped in a *ReplayError.
type InexactError struct{ Lacks Lacks }

func (e *InexactError) Error() string {
	return "the recorded output is not exactly what the command wrote"
}

// Lacks describes how a replay differs from the original output, on the streams that
// the replay writes.
type Lacks struct {
	// Stdout and Stderr report whether bytes of the stream are known to be missing.
	// If it is unknown which stream lacks them, both are set.
	Stdout, Stderr bool
	Missing        int64 // number of bytes known to be missing, on both streams
	Incomplete     bool  // see ledger.Capture
	Redacted       bool  // see ledger.Capture
	NotStored      bool  // the command wrote output, and the call stored none
	Unknown        bool  // a mark by hand recorded no output, so the output of the command is unknown
	Removed        bool  // the output was removed since, see ledger.Attempt.OutputRemoved
	Files          bool  // with ReplayPolicy.Exact: an addition to a file is not recorded
}

// lacksOf returns what the recorded output of an attempt lacks, given its gaps.
func lacksOf(a ledger.Attempt, gaps ledger.Gaps) Lacks {
	if !gaps.Removed.IsZero() {
		return Lacks{Removed: true}
	}
	k := Lacks{Incomplete: a.Incomplete, Redacted: a.Redacted}
	switch {
	case a.NoOutput && a.OutputBytes == 0 && a.Reason == ledger.ReasonMarked && a.State == ledger.Succeeded:
		k.Unknown = true
	case a.NoOutput || gaps.Unwanted:
		k.NotStored = a.OutputBytes > 0
	case a.Truncated && a.Reason == ledger.ReasonTransaction: // the part that was recorded when idem died
		k.Incomplete = true
	case a.Truncated:
		unknown := gaps.Unknown > 0 || gaps.Total() == 0
		k.Stdout, k.Stderr = gaps.Stdout > 0 || unknown, gaps.Stderr > 0 || unknown
		if k.Missing = gaps.Total(); k.Missing == 0 {
			k.Missing = a.OutputBytes // no output was kept
		}
	}
	return k
}

// ofValue returns k limited to what may make stdout differ.
func (k Lacks) ofValue() Lacks {
	return Lacks{Stdout: k.Stdout, Incomplete: k.Incomplete, Redacted: k.Redacted, NotStored: k.NotStored, Unknown: k.Unknown, Removed: k.Removed}
}

// onStreams returns k limited to the streams that are written. The user decided
// about unknown output, so a replay that need not be exact does not lack it.
func (k Lacks) onStreams(stdout, stderr bool) Lacks {
	if !stdout && !stderr {
		return Lacks{}
	}
	k.Unknown = false
	k.Stdout, k.Stderr = k.Stdout && stdout, k.Stderr && stderr
	if !k.Stdout && !k.Stderr {
		k.Missing = 0
	}
	return k
}

// refuseOrReplay finishes a call that runs no command. The call is refused or replayed.
func (c *call) refuseOrReplay(ctx context.Context, rec ledger.Record, d Decision) (Result, error) {
	res := Result{Decision: d, Record: rec}
	if err := c.explainRefusal(ctx, &res); err != nil {
		return res, &ReplayError{err}
	}
	if d.Action != ActionReplay {
		return res, nil
	}
	stdout, stderr := c.replayStreams(rec)
	out, lacks, err := c.openOutput(ctx, rec, stdout != nil, stderr != nil)
	if err != nil {
		return res, err
	}
	defer out.Close()
	res.Lacks = lacks
	recorded, err := c.additionsOf(ctx, rec)
	if err != nil {
		return res, err
	}
	files, losses, err := sidefile.Open(c.Files, recorded)
	res.Losses = losses
	if err != nil {
		return res, &ReplayError{err}
	}
	defer files.Close()
	if err := res.replay(out, stdout, stderr); err != nil {
		return res, err
	}
	if err := files.Append(); err != nil {
		return res, &ReplayError{err}
	}
	return res, nil
}

// explainRefusal adds to a result the attempts that are the reason for a refusal. It also
// finds out whether the key has steps, because a way out may run them again.
func (c *call) explainRefusal(ctx context.Context, res *Result) error {
	if res.Action != ActionRefuse {
		return nil
	}
	switch res.Reason {
	case ReasonInterrupted, ReasonMismatch, ReasonExhausted, ReasonTooLate, ReasonUnverified:
		for _, err := range c.Ledger.List(ctx, ledger.Filter{Namespace: c.ID.Namespace, Under: res.Record.ID, Limit: 1}) {
			if err != nil {
				return err
			}
			res.Parent = true
		}
	}
	if res.Reason != ReasonExhausted && res.Reason != ReasonTooLate {
		return nil
	}
	tried, err := c.tried(ctx, res.Record)
	if err == nil && len(tried) > 0 {
		res.Tried, res.First = len(tried), tried[0]
	}
	return err
}

// replayStreams returns the streams that a replay of rec writes.
func (c *call) replayStreams(rec ledger.Record) (stdout, stderr *os.File) {
	if c.Output.Quiet && rec.Current.State == ledger.Succeeded {
		return nil, nil
	}
	return c.Replayed.Stdout, c.Replayed.Stderr
}

// maxWithoutFile is the number of bytes of output that a ledger may keep outside of a file.
const maxWithoutFile = 4 << 10

// openOutput opens and checks the output of the current attempt, and returns what it
// lacks on the streams to be written. With ReplayPolicy.Exact it fails if either
// stream lacks anything, with ReplayPolicy.Value if stdout is to be written and may differ.
// The error is a *ReplayError.
func (c *call) openOutput(ctx context.Context, rec ledger.Record, stdout, stderr bool) (ledger.Output, Lacks, error) {
	if !stdout && !stderr && !c.Replay.Exact {
		return noOutput{}, Lacks{}, nil
	}
	if rec.Current.OutputBytes > maxWithoutFile {
		if err := proc.Sound(); err != nil {
			return nil, Lacks{}, &ReplayError{err}
		}
	}
	out, err := c.Ledger.Output(ctx, rec.ID, rec.Current.RunID)
	if err != nil {
		return nil, Lacks{}, &ReplayError{err}
	}
	gaps, err := out.Check()
	lacks := lacksOf(rec.Current, gaps)
	switch {
	case err != nil:
	case c.Replay.Exact && lacks != (Lacks{}):
		err = &InexactError{lacks}
	case c.Replay.Value && stdout && lacks.ofValue() != (Lacks{}):
		err = &InexactError{lacks.ofValue()}
	}
	if err != nil {
		_ = out.Close()
		return nil, Lacks{}, &ReplayError{err}
	}
	return out, lacks.onStreams(stdout, stderr), nil
}

// noOutput is an empty output.
type noOutput struct{ ledger.Output }

func (noOutput) Replay(*os.File, *os.File) error { return nil }
func (noOutput) Close() error                    { return nil }

// replay writes a recorded output. It adds faults of the streams to the result. The
// error is a fault of the ledger, as a *ReplayError.
func (res *Result) replay(out ledger.Output, stdout, stderr *os.File) error {
	if stdout == nil && stderr == nil {
		return nil
	}
	proc.OutlivePipe() // a reader that goes away does not change the result
	err := out.Replay(stdout, stderr)
	var w ledger.WriteErrors
	switch {
	case errors.As(err, &w):
		res.addWriteError(stdout, w.Stdout)
		res.addWriteError(stderr, w.Stderr)
	case err != nil:
		return &ReplayError{err}
	}
	return nil
}

// addWriteError adds a write error of stdout or stderr to the result, unless the reader of
// the stream is gone.
func (res *Result) addWriteError(to *os.File, err error) {
	if err != nil && !proc.ReaderGone(to, err) {
		res.Streams = append(res.Streams, err)
	}
}

// Undelivered reports whether the caller did not get all output. Either it could not
// be written, or a replay lacks a part of stdout and Replay.Partial is not set.
func (c *Call) Undelivered(res Result) bool {
	return len(res.Streams) > 0 || res.Lacks.Stdout && !c.Replay.Partial
}
