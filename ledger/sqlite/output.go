package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/spool"
)

func spoolName(runID string) string { return filepath.Join("output", runID) }

// createSpool creates the file for the output of one run.
func (l *Ledger) createSpool(runID string) (*os.File, error) {
	f, err := l.dir.Create(spoolName(runID), os.O_RDWR|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	failpoint.Here("spool.made")
	return f, nil
}

// spoolSync is a call of syncSpools.
type spoolSync struct{ err error }

// syncSpools makes the names of the spools durable. Calls that wait at the same time share
// one sync, which begins when all of them have begun.
func (l *Ledger) syncSpools() error {
	s := &spoolSync{err: errUnserved}
	l.spools.Do(s, nil)
	return s.err
}

func (l *Ledger) syncGroup(take func() []*spoolSync) {
	group := take()
	err := l.dir.Sync("output")
	for _, s := range group {
		s.err = err
	}
}

// removeSpool removes a run's file, if there is one, because its output is stored
// elsewhere or was given up.
func (l *Ledger) removeSpool(runID string) { _ = l.dir.Remove(spoolName(runID)) }

func (l *Ledger) removeSpools(gone spools) {
	for _, a := range gone {
		l.removeSpool(a.runID)
		filelock.ForgetUnstarted(a.unstarted, a.runID)
	}
}

// Write implements ledger.Execution.
func (e *execution) Write(s ledger.Stream, p []byte) {
	if e.spool == nil {
		e.unkept += int64(len(p))
		return
	}
	e.spool.Write(s, p)
}

// endOutput ends the recording. missed counts output that the recording did not receive.
// See spool.Writer.Close for sync and the error.
func (e *execution) endOutput(missed ledger.Gaps, sync bool) (spool.Summary, error) {
	if e.spool == nil {
		return spool.Summary{Bytes: e.unkept + missed.Total()}, nil
	}
	e.spool.Miss(missed)
	return e.spool.Close(sync)
}

// Output implements ledger.Ledger.
func (l *Ledger) Output(ctx context.Context, id ledger.ID, runID string) (ledger.Output, error) {
	if out, ok := l.recentOutput(runID); ok {
		return out, nil
	}
	db, err := l.database(ctx)
	if err != nil {
		return nil, l.explain(err)
	}
	if db == nil {
		return nil, ledger.ErrNotFound
	}
	out, err := l.output(ctx, db, id, runID)
	if err != nil {
		return nil, l.explain(err)
	}
	return out, nil
}

func (l *Ledger) output(ctx context.Context, db *database, id ledger.ID, runID string) (ledger.Output, error) {
	row, err := l.attempt(ctx, db, id, runID)
	if err != nil {
		return nil, err
	}
	out, err := l.openOutput(ctx, db, row, nil)
	if errors.Is(err, ledger.ErrCorrupt) {
		// The output is damaged, or it was removed, forgotten or replaced since the attempt was read.
		again, attemptErr := attemptOf(ctx, db, id, runID)
		if attemptErr == nil && (again.storage != row.storage || again.rowid != row.rowid) {
			return l.openOutput(ctx, db, again, nil)
		}
		if attemptErr != nil {
			err = attemptErr
		}
	}
	return out, err
}

// openOutput opens the output of an attempt. known are the frames of one in ledger.db that were
// read already. Without db, there is no other.
func (l *Ledger) openOutput(ctx context.Context, db *database, row attemptRow, known []byte) (ledger.Output, error) {
	switch row.storage {
	case storageInline:
		frames := known
		if row.size > 0 && db != nil {
			err := db.QueryRowContext(ctx, "select frames from outputs where attempt=?", row.rowid).Scan(&frames)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return nil, err
			}
			if int64(len(frames)) != row.size {
				return nil, l.outputFault(row.a.RunID, "ledger.db", "is damaged")
			}
		}
		return recorded{spool.OpenInline(frames, row.sum), l, row.a.RunID, false}, nil
	case storageFile:
		f, err := l.openSpool(row.a.RunID)
		if errors.Is(err, fs.ErrNotExist) {
			err = l.dir.Damage(ledger.FaultOutputGone, spoolName(row.a.RunID), "the output of run "+row.a.RunID+" is gone")
		}
		if errors.Is(err, unix.ELOOP) {
			err = l.outputFault(row.a.RunID, spoolName(row.a.RunID), "is a link")
		}
		if err != nil {
			return nil, err
		}
		return recorded{spool.OpenFile(f, row.size, row.sum), l, row.a.RunID, true}, nil
	case storageUnknown:
		return spool.Follow(func() (*os.File, error) { return l.openSpool(row.a.RunID) }), nil
	case storageRemoved:
		return spool.Removed(row.a.OutputRemoved, row.a.OutputBytes), nil
	default:
		return spool.OpenInline(nil, 0), nil
	}
}

// outputFault returns the fault of an output that is damaged in a file of the ledger. The
// record of its attempt is intact.
func (l *Ledger) outputFault(runID, file, what string) error {
	return l.dir.Damage(ledger.FaultOutput, file, "the output of run "+runID+" "+what)
}

// recorded is the output of an attempt that has ended. Damage is the fault of the output.
type recorded struct {
	*spool.Reader
	ledger *Ledger
	runID  string
	inFile bool // else in ledger.db
}

func (r recorded) explain(err error) error {
	if !errors.Is(err, ledger.ErrCorrupt) {
		return err
	}
	file := "ledger.db"
	if r.inFile {
		file = spoolName(r.runID)
	}
	fault := r.ledger.outputFault(r.runID, file, "is damaged")
	return &ledger.Error{Place: r.ledger.dir.Path(), Err: fault}
}

func (r recorded) Check() (ledger.Gaps, error) {
	gaps, err := r.Reader.Check()
	return gaps, r.explain(err)
}

func (r recorded) Replay(stdout, stderr *os.File) error {
	return r.explain(r.Reader.Replay(stdout, stderr))
}

func (r recorded) Next() (ledger.Chunk, error) {
	c, err := r.Reader.Next()
	return c, r.explain(err)
}

func (l *Ledger) openSpool(runID string) (*os.File, error) {
	return os.OpenFile(l.dir.File(spoolName(runID)), os.O_RDONLY|unix.O_NOFOLLOW, 0)
}

// attempt is attemptOf with a cache: it first looks at the attempt that Get returned last.
func (l *Ledger) attempt(ctx context.Context, q querier, id ledger.ID, runID string) (attemptRow, error) {
	if recent := l.recent.Load(); recent != nil && recent.a.RunID == runID {
		return recent.attemptRow, nil
	}
	return attemptOf(ctx, q, id, runID)
}

// attemptOf returns the attempt of id with the run ID, or ledger.ErrNotFound.
func attemptOf(ctx context.Context, q querier, id ledger.ID, runID string) (attemptRow, error) {
	// Usually it is the current attempt.
	r, a, err := readBoth(ctx, q, id)
	if err != nil || r.current != 0 && a.a.RunID == runID {
		return a, err
	}
	if r.rowid == 0 || r.stale {
		return attemptRow{}, ledger.ErrNotFound
	}
	var s attemptScan
	err = q.QueryRowContext(ctx, "select "+attemptColumns+" from attempts a where a.record=? and a.run_id=?", r.rowid, runID).Scan(s.dest()...)
	if errors.Is(err, sql.ErrNoRows) {
		return attemptRow{}, ledger.ErrNotFound
	}
	if err != nil {
		return attemptRow{}, err
	}
	return s.attempt(id)
}
