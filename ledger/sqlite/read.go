package sqlite

import (
	"context"
	"errors"

	"idem/ledger"
	"idem/ledger/filelock"
)

// database returns the open database for reading, or nil when there is no ledger yet.
func (l *Ledger) database(ctx context.Context) (*database, error) {
	if reader := l.reader.Load(); reader != nil {
		return reader, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.db == nil { // see hasReceipts; or another process has created it since Open
		if err := l.openLater(); err != nil && !errors.Is(err, ledger.ErrMissing) {
			return nil, err
		}
	}
	return l.db, ctx.Err()
}

// Missing implements ledger.Missing.
func (l *Ledger) Missing(ctx context.Context) (bool, error) {
	db, err := l.database(ctx)
	return db == nil && err == nil, l.explain(err)
}

// Get implements ledger.Ledger.
func (l *Ledger) Get(ctx context.Context, id ledger.ID) (ledger.Record, error) {
	if rec, ok := l.fromReceipt(ctx, id); ok {
		return rec, nil
	}
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return ledger.Record{ID: id, Generation: 1}, l.explain(err)
	}
	rec, err := l.get(ctx, db, id, filelock.AllLeftovers)
	return rec, l.explain(err)
}

// get reads a record. A running record whose locks are free is alive if its attempt has a
// process in the result of processes. The argument processes is filelock.AllLeftovers or
// a function that caches its result.
func (l *Ledger) get(ctx context.Context, db *database, id ledger.ID, processes func() map[string][]ledger.Process) (ledger.Record, error) {
	for {
		r, a, err := readBoth(ctx, db, id)
		if err != nil {
			return ledger.Record{}, err
		}
		state := r.rec.Current.State
		if state != ledger.Running {
			l.recent.Store(&recentAttempt{attemptRow: a})
		}
		switch state {
		case ledger.Running:
			r.rec.Alive, err = l.alive(id)
		case ledger.Failed:
			r.rec.Alive, err = l.locks.Held(filelock.NameOf(id), filelock.Claim)
		default:
			return r.rec, nil
		}
		if err != nil || r.rec.Alive {
			return r.rec, err
		}
		// The run is dead or has just finished. A run that finishes writes its record
		// before it releases the locks. So if the record is unchanged, the run is dead. In
		// the same way, a call that retries a failure releases them after the last attempt.
		_, again, err := readBoth(ctx, db, id)
		if err != nil {
			return ledger.Record{}, err
		}
		if again.a.RunID == a.a.RunID && again.a.State == state {
			if a.neverStarted() {
				if r, a, err = r.without(ctx, db, a); err != nil {
					return ledger.Record{}, err
				}
				state = a.a.State
			}
			r.rec.Alive = state == ledger.Running && len(processes()[a.a.RunID]) > 0
			return r.rec, nil
		}
	}
}

// alive reports whether the claim or the life lock of the key is held: by idem, or by a
// process of its command. The ledger must be open.
func (l *Ledger) alive(id ledger.ID) (bool, error) {
	return filelock.InUse(l.locks, filelock.NameOf(id))
}

// Attempts implements ledger.Ledger.
func (l *Ledger) Attempts(ctx context.Context, id ledger.ID) ([]ledger.Attempt, error) {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return nil, l.explain(err)
	}
	rows, err := l.history(ctx, db, id)
	if err != nil {
		return nil, l.explain(err)
	}
	if len(rows) > 0 {
		if rows, err = l.withoutUnstarted(id, rows); err != nil {
			return nil, l.explain(err)
		}
	}
	attempts := make([]ledger.Attempt, len(rows))
	for i, r := range rows {
		attempts[i] = r.a
	}
	return attempts, nil
}

func (l *Ledger) history(ctx context.Context, q querier, id ledger.ID) ([]attemptRow, error) {
	r, _, err := readBoth(ctx, q, id)
	if err != nil || r.current == 0 {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, "select "+attemptColumns+" from attempts a where a.record=? order by a.id", r.rowid)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var history []attemptRow
	for rows.Next() {
		var s attemptScan
		if err := rows.Scan(s.dest()...); err != nil {
			return nil, err
		}
		a, err := s.attempt(id)
		if err != nil {
			return nil, err
		}
		history = append(history, a)
	}
	return history, rows.Err()
}
