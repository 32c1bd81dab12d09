package runner

import (
	"context"
	"errors"
	"os"

	"idem/ledger"
	"idem/proc"
	"idem/sidefile"
)

// ReplayError says that a call which is decided and starts nothing has failed: the
// recorded output cannot be read, a file cannot be appended to, or the answer of the
// probe cannot be recorded.
type ReplayError struct{ Err error }

func (e *ReplayError) Error() string { return e.Err.Error() }
func (e *ReplayError) Unwrap() error { return e.Err }

// InexactError says that a replay would not write exactly what the command wrote, so
// a call with ReplayPolicy.Exact is refused. It is wrapped in a *ReplayError.
type InexactError struct{ Lacks Lacks }

func (e *InexactError) Error() string {
	return "the recorded output is not exactly what the command wrote"
}

// Lacks is how a replay differs from what the command wrote, on the streams that the
// replay writes.
type Lacks struct {
	// Stdout and Stderr report whether bytes of the stream are known to be missing.
	// When it is not known of which stream, both are set.
	Stdout, Stderr bool
	Missing        int64 // how many bytes are known to be missing, of both streams
	Incomplete     bool  // see ledger.Capture
	Redacted       bool  // see ledger.Capture
	NotStored      bool  // the command has written something, and it was not to be stored
	Files          bool  // with ReplayPolicy.Exact: what was appended to a file is not recorded
}

// lacksOf compares a recording, whose gaps are known, with what its command wrote.
func lacksOf(a ledger.Attempt, gaps ledger.Gaps) Lacks {
	k := Lacks{Incomplete: a.Incomplete, Redacted: a.Redacted}
	switch {
	case a.NoOutput || gaps.Unwanted:
		k.NotStored = a.OutputBytes > 0
	case a.Truncated:
		unknown := gaps.Unknown > 0 || gaps.Total() == 0
		k.Stdout, k.Stderr = gaps.Stdout > 0 || unknown, gaps.Stderr > 0 || unknown
		if k.Missing = gaps.Total(); k.Missing == 0 {
			k.Missing = a.OutputBytes // all of it was given up
		}
	}
	return k
}

// of returns k for the streams that are written.
func (k Lacks) of(stdout, stderr bool) Lacks {
	if !stdout && !stderr {
		return Lacks{}
	}
	k.Stdout, k.Stderr = k.Stdout && stdout, k.Stderr && stderr
	if !k.Stdout && !k.Stderr {
		k.Missing = 0
	}
	return k
}

// settled finishes a call that runs nothing: it is refused or replayed.
func (c *call) settled(ctx context.Context, rec ledger.Record, d Decision) (Result, error) {
	res := Result{Decision: d, Record: rec}
	if d.Reason == ReasonExhausted {
		var err error
		if res.Tried, err = c.tried(ctx, rec); err != nil {
			return res, &ReplayError{err}
		}
	}
	if d.Action != ActionReplay {
		return res, nil
	}
	stdout, stderr := c.replayed(rec)
	out, lacks, err := c.recorded(ctx, rec, stdout != nil, stderr != nil)
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

// replayed returns the streams that a replay of rec writes.
func (c *call) replayed(rec ledger.Record) (stdout, stderr *os.File) {
	if c.Output.Quiet && rec.Current.State == ledger.Succeeded {
		return nil, nil
	}
	return c.Replayed.Stdout, c.Replayed.Stderr
}

// little is how much output a ledger may keep elsewhere than in a file.
const little = 4 << 10

// recorded opens the output of the current attempt for the streams that are to be
// written, checks all of it, and returns what it lacks. With ReplayPolicy.Exact it
// fails if anything is missing on either stream. The error is a *ReplayError.
func (c *call) recorded(ctx context.Context, rec ledger.Record, stdout, stderr bool) (ledger.Output, Lacks, error) {
	if !stdout && !stderr && !c.Replay.Exact {
		return nothing{}, Lacks{}, nil
	}
	if rec.Current.OutputBytes > little {
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
	if err == nil && c.Replay.Exact && lacks != (Lacks{}) {
		err = &InexactError{lacks}
	}
	if err != nil {
		_ = out.Close()
		return nil, Lacks{}, &ReplayError{err}
	}
	return out, lacks.of(stdout, stderr), nil
}

// nothing is an output without a byte.
type nothing struct{ ledger.Output }

func (nothing) Replay(*os.File, *os.File) error { return nil }
func (nothing) Close() error                    { return nil }

// replay writes a recorded output. Faults of the streams are added to the result. The
// error is a fault of the ledger, a *ReplayError.
func (res *Result) replay(out ledger.Output, stdout, stderr *os.File) error {
	if stdout == nil && stderr == nil {
		return nil
	}
	proc.OutlivePipe() // a reader that goes away does not change what happened
	err := out.Replay(stdout, stderr)
	var w ledger.WriteErrors
	switch {
	case errors.As(err, &w):
		res.unwritten(stdout, w.Stdout)
		res.unwritten(stderr, w.Stderr)
	case err != nil:
		return &ReplayError{err}
	}
	return nil
}

// unwritten adds to the result why output did not reach one of idem's own streams,
// unless the reader of the stream is gone.
func (res *Result) unwritten(to *os.File, err error) {
	if err != nil && !proc.ReaderGone(to, err) {
		res.Streams = append(res.Streams, err)
	}
}

// Undelivered reports whether the caller lacks output that it was to get: it could
// not be written, or a replay lacks a part of stdout and Replay.Partial is not set.
func (c *Call) Undelivered(res Result) bool {
	return len(res.Streams) > 0 || res.Lacks.Stdout && !c.Replay.Partial
}
