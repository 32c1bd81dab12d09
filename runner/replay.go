package runner

import (
	"context"
	"errors"
	"os"

	"idem/ledger"
	"idem/proc"
	"idem/sidefile"
)

// ReplayError says that the ledger has failed a call that is decided and starts
// nothing: what is recorded cannot be read, a file cannot take its part, or what
// the probe has said cannot be recorded.
type ReplayError struct{ Err error }

func (e *ReplayError) Error() string { return e.Err.Error() }
func (e *ReplayError) Unwrap() error { return e.Err }

// InexactError says that a replay would not write exactly what the command wrote,
// so a call with Exact is refused. It comes inside a *ReplayError.
type InexactError struct{ Lacks Lacks }

func (e *InexactError) Error() string {
	return "the recorded output is not exactly what the command wrote"
}

// Lacks says how what a replay writes differs from what the command wrote, as
// far as the streams are concerned that the replay writes.
type Lacks struct {
	// Stdout and Stderr report whether bytes of the stream are known to be missing.
	// When it is not known of which stream, both are set.
	Stdout, Stderr bool
	Missing        int64 // how many bytes are known to be missing, of both streams
	Incomplete     bool  // see ledger.Capture
	Redacted       bool  // see ledger.Capture
	NotStored      bool  // the command has written something, and it was not to be stored
	Files          bool  // with Exact: what was appended to a file is not recorded
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

// of leaves out what does not concern the streams that are written.
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

// settled is for a call that runs nothing.
func (c *Call) settled(ctx context.Context, l ledger.Ledger, rec ledger.Record, d Decision) (Result, error) {
	res := Result{Decision: d, Record: rec}
	if d.Reason == Exhausted {
		var err error
		if res.Tried, err = tried(ctx, l, rec); err != nil {
			return res, &ReplayError{err}
		}
	}
	if d.Action != Replay {
		return res, nil
	}
	stdout, stderr := c.replayed(rec)
	out, lacks, err := c.recorded(ctx, l, rec, stdout != nil, stderr != nil)
	if err != nil {
		return res, err
	}
	defer out.Close()
	res.Lacks = lacks
	recorded, err := c.additionsOf(ctx, l, rec)
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
func (c *Call) replayed(rec ledger.Record) (stdout, stderr *os.File) {
	if c.QuietOK && rec.Current.State == ledger.Succeeded {
		return nil, nil
	}
	return c.ReplayStdout, c.ReplayStderr
}

// little is how much output a ledger may keep elsewhere than in a file.
const little = 4 << 10

// recorded opens the output of the current attempt for the streams that are to
// be written, checks all of it, and says what it lacks. With Exact, it fails if
// it lacks anything of either stream. The error is a *ReplayError.
func (c *Call) recorded(ctx context.Context, l ledger.Ledger, rec ledger.Record, stdout, stderr bool) (ledger.Output, Lacks, error) {
	if !stdout && !stderr && !c.Exact {
		return nothing{}, Lacks{}, nil
	}
	if rec.Current.OutputBytes > little {
		if err := proc.Sound(); err != nil {
			return nil, Lacks{}, &ReplayError{err}
		}
	}
	out, err := l.Output(ctx, rec.ID, rec.Current.RunID)
	if err != nil {
		return nil, Lacks{}, &ReplayError{err}
	}
	gaps, err := out.Check()
	lacks := lacksOf(rec.Current, gaps)
	if err == nil && c.Exact && lacks != (Lacks{}) {
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

// replay writes a recorded output. Faults of the streams are added to the result;
// the error is that of the ledger, a *ReplayError.
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

// unwritten notes why output did not reach a stream of ours, unless its reader
// is gone.
func (res *Result) unwritten(to *os.File, err error) {
	if err != nil && !proc.ReaderGone(to, err) {
		res.Streams = append(res.Streams, err)
	}
}

// Undelivered reports whether the caller lacks output that it was to get: it could
// not be written, or a replay lacks a part of stdout and Partial is not set.
func (c *Call) Undelivered(res Result) bool {
	return len(res.Streams) > 0 || res.Lacks.Stdout && !c.Partial
}
