package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"idem/ledger"
)

// database returns the open database, or nil when there is no ledger yet.
func (l *Ledger) database(ctx context.Context) (*sql.DB, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.db == nil { // another process may have made it since
		if err := l.open(false); err != nil && !errors.Is(err, ledger.ErrMissing) {
			return nil, err
		}
	}
	return l.db, ctx.Err()
}

// Get implements ledger.Ledger.
func (l *Ledger) Get(ctx context.Context, id ledger.ID) (ledger.Record, error) {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return ledger.Record{ID: id, Generation: 1}, l.explain(err)
	}
	rec, err := l.get(ctx, db, id)
	return rec, l.explain(err)
}

func (l *Ledger) get(ctx context.Context, db *sql.DB, id ledger.ID) (ledger.Record, error) {
	for {
		r, a, err := readBoth(ctx, db, id)
		if err != nil {
			return ledger.Record{}, err
		}
		if r.rec.Current.State != ledger.Running {
			l.recent.Store(&a)
			return r.rec, nil
		}
		r.rec.Alive, err = l.alive(id)
		if err != nil || r.rec.Alive {
			return r.rec, err
		}
		// Dead, or just finished: the lock is given back after the record is
		// written, so that an unchanged record is that of a dead run.
		_, again, err := readBoth(ctx, db, id)
		if err != nil {
			return ledger.Record{}, err
		}
		if again.a.RunID == a.a.RunID && again.a.State == ledger.Running {
			return r.rec, nil
		}
	}
}

// alive tells whether anybody holds the key or is left over of its command.
func (l *Ledger) alive(id ledger.ID) (bool, error) {
	if there, err := l.locks.exists(); err != nil || !there {
		return false, err
	}
	name := nameOf(id)
	claimed, err := l.locks.held(name, claimLock)
	if claimed || err != nil {
		return claimed, err
	}
	return l.locks.held(name, lifeLock)
}

// listPage is how many rows List reads at once: no read transaction stays open
// while somebody looks at the result, so that none pins the write-ahead log.
const listPage = 500

// List implements ledger.Ledger.
func (l *Ledger) List(ctx context.Context, f ledger.Filter) ([]ledger.Record, error) {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return nil, l.explain(err)
	}
	var list []ledger.Record
	for before := int64(1<<63 - 1); ; {
		page, last, err := l.page(ctx, db, f, before)
		if err != nil {
			return nil, l.explain(err)
		}
		for _, rec := range page {
			if rec.Current.State == ledger.Running {
				if rec, err = l.get(ctx, db, rec.ID); err != nil {
					return nil, l.explain(err)
				}
				rec.Current.Inputs = nil
			}
			if f.Phase == "" || f.Phase == rec.Phase() {
				list = append(list, rec)
			}
			if f.Limit > 0 && len(list) == f.Limit {
				return list, nil
			}
		}
		if last == 0 {
			return list, nil
		}
		before = last
	}
}

// page reads records whose current attempt is older than before, newest first,
// and returns the last attempt it looked at, 0 at the end.
func (l *Ledger) page(ctx context.Context, db *sql.DB, f ledger.Filter, before int64) ([]ledger.Record, int64, error) {
	where, args := []string{"a.id < ?"}, []any{before}
	if f.Namespace != "" {
		where, args = append(where, "r.namespace = ?"), append(args, []byte(f.Namespace))
	}
	if f.Glob != "" {
		where, args = append(where, "cast(r.key as text) glob ?"), append(args, f.Glob)
	}
	switch f.Phase {
	case "":
	case ledger.PhaseRunning, ledger.PhaseInterrupted:
		where, args = append(where, "a.state = ?"), append(args, ledger.Running)
	case ledger.PhaseRetry:
		where, args = append(where, "a.state = ?"), append(args, ledger.None)
	default:
		where, args = append(where, "a.state = ?"), append(args, string(f.Phase))
	}
	size := listPage
	if f.Limit > 0 && f.Phase == "" {
		size = min(size, f.Limit)
	}
	rows, err := db.QueryContext(ctx, "select "+recordColumns+", "+attemptColumns+`
		from attempts a cross join records r on r.id = a.record and r.current = a.id
		where `+strings.Join(where, " and ")+" order by a.id desc limit ?", append(args, size)...)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	var page []ledger.Record
	var last int64
	for rows.Next() {
		var s attemptScan
		r, err := scanRecord(rows, s.dest()...)
		if err != nil {
			return nil, 0, err
		}
		a, err := s.attempt(r.rec.ID)
		if err != nil {
			return nil, 0, err
		}
		a.a.Inputs = nil
		r.rec.Current = a.a
		page, last = append(page, r.rec), a.rowid
	}
	if len(page) < size {
		last = 0
	}
	return page, last, rows.Err()
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
	attempts := make([]ledger.Attempt, len(rows))
	for i, r := range rows {
		attempts[i] = r.a
	}
	return attempts, nil
}

func (l *Ledger) history(ctx context.Context, q querier, id ledger.ID) ([]attemptRow, error) {
	r, err := readRecord(ctx, q, id)
	if err == sql.ErrNoRows {
		return nil, nil
	}
	if err != nil {
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
