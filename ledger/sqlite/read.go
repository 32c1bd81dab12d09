package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"

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
	if l.db == nil { // another process may have created it since Open
		if err := l.openLater(); err != nil && !errors.Is(err, ledger.ErrMissing) {
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
			l.recent.Store(&a)
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
	name := filelock.NameOf(id)
	claimed, err := l.locks.Held(name, filelock.Claim)
	if claimed || err != nil {
		return claimed, err
	}
	return l.locks.Held(name, filelock.Life)
}

// listPage is the number of records that List reads at once. It bounds the time for which
// a read transaction is open. No transaction is open while the caller handles a result.
// A longer transaction would pin the write-ahead log.
const listPage = 500

// List implements ledger.Ledger. One query reads the rowids of all matching records, in
// order. Then the records are read page by page. Paging over the order itself would miss
// a key that is run again between two pages.
func (l *Ledger) List(ctx context.Context, f ledger.Filter) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		if err := l.list(ctx, f, func(r ledger.Record) bool { return yield(r, nil) }); err != nil {
			yield(ledger.Record{}, l.explain(err))
		}
	}
}

func (l *Ledger) list(ctx context.Context, f ledger.Filter, yield func(ledger.Record) bool) error {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return err
	}
	rowids, err := matching(ctx, db, f)
	if err != nil {
		return err
	}
	n := 0
	processes := sync.OnceValue(filelock.AllLeftovers)
	above := lineage{}
	for page := range slices.Chunk(rowids, listPage) {
		records, err := readRecords(ctx, db, page, above)
		if err != nil {
			return err
		}
		for _, rec := range records {
			if rec.Current.State == ledger.Running {
				if rec, err = l.get(ctx, db, rec.ID, processes); err != nil {
					return err
				}
				rec.Current.Inputs = nil
				if rec.Current.RunID == "" { // its only attempt was never started
					continue
				}
			}
			if f.Phase != "" && f.Phase != rec.Phase() {
				continue
			}
			if n++; !yield(rec) || n == f.Limit {
				return nil
			}
		}
	}
	return nil
}

// allNamespaces lists all namespaces by searching the index for the next greater one. With
// it, a key can be found in all namespaces without reading every record.
const allNamespaces = `with recursive namespaces(name) as (
	select min(namespace) from records
	union all
	select (select min(namespace) from records where namespace > name) from namespaces where name is not null
) `

// matching returns the rowids of the records that may match f, the one with the latest
// attempt first. If the phase depends on the locks, it returns all candidates and ignores
// f.Limit.
func matching(ctx context.Context, q querier, f ledger.Filter) ([]int64, error) {
	var where []string
	var args []any
	and := func(condition string, arg any) { where, args = append(where, condition), append(args, arg) }
	if f.Namespace != "" {
		and("r.namespace = ?", []byte(f.Namespace))
	}
	// The query walks over the attempts from the latest on. With a key, there are few
	// records, and it walks over these.
	with, from := "", "attempts a cross join records r on r.id = a.record and r.current = a.id"
	if f.Key != "" {
		and("r.key = ?", []byte(f.Key))
		from = "records r cross join attempts a on a.id = r.current"
		if f.Namespace == "" {
			with, from = allNamespaces, "namespaces cross join "+from+" and r.namespace = namespaces.name"
		}
	}
	if f.Glob != "" {
		and("cast(r.key as text) glob ?", string(f.Glob))
	}
	limit := f.Limit
	if !f.TopLevel { // a stale record matches, but is not listed
		limit = 0
	}
	if f.TopLevel {
		where = append(where, "r.parent = 0")
	}
	if f.Under != (ledger.ID{}) {
		and("r.parent <> 0 and r.parent = ?", numberOf(f.Under))
		from = "records r cross join attempts a on a.id = r.current"
		if f.Phase != "" && f.Phase != ledger.PhaseSucceeded {
			where = append(where, "r.done = 0")
		}
	}
	switch f.Phase {
	case "":
	case ledger.PhaseRunning, ledger.PhaseInterrupted:
		and("a.state = ?", ledger.Running)
		limit = 0
	case ledger.PhaseRetry:
		and("(a.state = ? or a.state = 'running' and length(a.note) > 0)", ledger.None)
	default:
		// An attempt with a list may never have been started. Then the one before counts.
		and("(a.state = ? or a.state = 'running' and length(a.note) > 0)", string(f.Phase))
	}
	query := with + "select r.id from " + from
	if len(where) > 0 {
		query += " where " + strings.Join(where, " and ")
	}
	query += " order by a.id desc"
	if limit > 0 {
		query, args = query+" limit ?", append(args, limit)
	}
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var rowids []int64
	for rows.Next() {
		var rowid int64
		if err := rows.Scan(&rowid); err != nil {
			return nil, err
		}
		rowids = append(rowids, rowid)
	}
	return rowids, rows.Err()
}

// readRecords reads records in the given order. Inputs and Alive are not set. A record that
// was forgotten is omitted.
func readRecords(ctx context.Context, q querier, rowids []int64, above lineage) ([]ledger.Record, error) {
	ids, err := json.Marshal(rowids)
	if err != nil {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, "select "+recordColumns+", "+attemptColumns+`
		from json_each(?) ids cross join records r on r.id = ids.value cross join attempts a on a.id = r.current
		order by ids.key`, string(ids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []recordRow
	for rows.Next() {
		var s attemptScan
		r, err := scanRecord(rows, s.dest()...)
		if err != nil {
			return nil, err
		}
		a, err := s.attempt(r.rec.ID)
		if err != nil {
			return nil, err
		}
		a.a.Inputs = nil
		r.rec.Current = a.a
		found = append(found, r)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	var records []ledger.Record
	for _, r := range found {
		stale, err := above.stale(ctx, q, r)
		if err != nil {
			return nil, err
		}
		if !stale {
			records = append(records, r.rec)
		}
	}
	return records, nil
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
