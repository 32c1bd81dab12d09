package sqlite

import (
	"context"
	"errors"
	"slices"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/mutex"
)

// A place of a mutex, or a place in its line, is a row of mutexes and a lock. The locks
// decide. A row says which limit and which attempt a lock belongs to. A row without its lock
// means nothing, except for a command that has closed its descriptors: see inUse.
//
// Only a write transaction takes places, so it sees each place with its row. A row that is
// missing while its place is locked belongs to a Begin that has failed and is about to
// unlock.

// mutexRow is a row of mutexes.
type mutexRow struct {
	mutex.Row
	// lockless reports that a holder has no lock, but processes. It is not stored.
	lockless bool
}

var errChecksum = errors.New("wrong checksum")

const mutexColumns = `select ticket, namespace, name, place, places, key, window, run_id, host, pid, user, since, checksum from mutexes `

func scanMutex(s scanner) (mutexRow, error) {
	var r mutexRow
	var namespace, name, key, window, host, user []byte
	var since, sum int64
	err := s.Scan(&r.Ticket, &namespace, &name, &r.Place, &r.Limit, &key, &window, &r.Use.RunID, &host, &r.Use.Owner.PID, &user, &since, &sum)
	if err != nil {
		return r, err
	}
	r.Namespace, r.Name = string(namespace), string(name)
	r.Use.ID = ledger.ID{Namespace: r.Namespace, Key: string(key), Window: string(window)}
	r.Use.Owner.Host, r.Use.Owner.User = string(host), string(user)
	r.Use.Since = fromMicros(since)
	if sum != r.checksum() {
		return r, errChecksum
	}
	return r, nil
}

func (r mutexRow) checksum() int64 {
	var d digest
	d.text(r.Namespace, r.Name, r.Use.ID.Key, r.Use.ID.Window, r.Use.RunID, r.Use.Owner.Host, r.Use.Owner.User)
	d.numbers(r.Ticket, int64(r.Place), int64(r.Limit), int64(r.Use.Owner.PID), micros(r.Use.Since))
	return d.sum()
}

const oneMutex = mutexColumns + "where ticket=0 and namespace=?1 and name=?2 union all " +
	mutexColumns + "where ticket>0 and namespace=?1 and name=?2 order by ticket, place"

// readMutex reads the rows of one mutex: the holders by place, then the waiters in order.
func (l *Ledger) readMutex(ctx context.Context, q querier, namespace, name string) ([]mutexRow, error) {
	return l.readMutexes(ctx, q, oneMutex, []byte(namespace), []byte(name))
}

// readMutexes returns the rows of a query. The fault of a damaged row is a
// ledger.FaultMutex, because it affects no record.
func (l *Ledger) readMutexes(ctx context.Context, q querier, query string, args ...any) ([]mutexRow, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []mutexRow
	for rows.Next() {
		r, err := scanMutex(rows)
		if err != nil {
			return nil, l.dir.Damage(ledger.FaultMutex, "ledger.db", "a mutex cannot be read: "+err.Error())
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// store inserts the row, or replaces the one of the same place or ticket.
func (r mutexRow) store(ctx context.Context, tx querier) error {
	u := r.Use
	_, err := tx.ExecContext(ctx, `insert or replace into mutexes (ticket, namespace, name, place, places, key, window,
		run_id, host, pid, user, since, checksum) values (?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		r.Ticket, []byte(r.Namespace), []byte(r.Name), r.Place, r.Limit, []byte(u.ID.Key), []byte(u.ID.Window),
		u.RunID, []byte(u.Owner.Host), u.Owner.PID, []byte(u.Owner.User), micros(u.Since), r.checksum())
	return err
}

// inUse reports whether a row counts, and sets Leftover and lockless. A holder without its lock
// counts if its attempt is recorded as running and has processes, as alive reports.
func (l *Ledger) inUse(ctx context.Context, q querier, r *mutexRow, alive func(runID string) bool) (bool, error) {
	if r.Ticket > 0 {
		return l.locks.Held(filelock.TicketName(r.Ticket), filelock.Claim)
	}
	held, err := l.locks.Held(r.lockName(), filelock.Life)
	if err != nil {
		return false, err
	}
	if held {
		call, err := l.locks.Held(filelock.NameOf(r.Use.ID), filelock.Claim)
		r.Use.Leftover = !call
		return true, err
	}
	// A call that ends records the outcome before it unlocks. So a call whose attempt is
	// still running has died.
	var running bool
	err = q.QueryRowContext(ctx, "select exists (select 1 from attempts where record=? and run_id=? and state='running')",
		numberOf(r.Use.ID), r.Use.RunID).Scan(&running)
	r.Use.Leftover, r.lockless = true, true
	return err == nil && running && alive(r.Use.RunID), err
}

func (r mutexRow) lockName() filelock.Name { return filelock.PlaceName(r.Namespace, r.Name, r.Place) }

// judge returns a function that says whether a row counts, as inUse does.
func (l *Ledger) judge(ctx context.Context, q querier, alive func(runID string) bool) func(*mutexRow) (mutex.Standing, error) {
	return func(r *mutexRow) (mutex.Standing, error) {
		used, err := l.inUse(ctx, q, r, alive)
		if used {
			return mutex.Used, err
		}
		return mutex.Dead, err
	}
}

// look returns a mutex as it is now.
func (l *Ledger) look(ctx context.Context, q querier, namespace, name string, alive func(runID string) bool) (mutex.View[mutexRow], error) {
	rows, err := l.readMutex(ctx, q, namespace, name)
	if err != nil {
		return mutex.View[mutexRow]{}, err
	}
	return mutex.Look(namespace, name, rows, l.judge(ctx, q, alive))
}

// place is a place of a mutex that a claim holds.
type place struct {
	row  mutexRow
	lock *filelock.Lock
}

// takeMutexes takes the mutexes of s for the attempt that tx begins, all or none. If the claim
// has them already, it stores the run ID of the new attempt. The caller unlocks the new places
// if tx fails.
func (c *claim) takeMutexes(ctx context.Context, tx querier, s ledger.Start) (taken []place, err error) {
	c.mu.Lock()
	held, ticket := c.places, c.ticket
	c.mu.Unlock()
	for _, p := range held {
		p.row.Use.RunID = s.RunID
		if err := p.row.store(ctx, tx); err != nil {
			return nil, err
		}
	}
	if len(held) > 0 || len(s.Mutexes) == 0 && ticket.number == 0 {
		return nil, nil
	}
	use := ledger.MutexUse{ID: c.id, RunID: s.RunID, Owner: s.Owner, Since: fromMicros(micros(c.ledger.now()))}
	alive := filelock.SearchOnce()
	for _, m := range s.Mutexes {
		p, err := c.takeMutex(ctx, tx, m, ticket.number, use, alive)
		if err != nil {
			return taken, err
		}
		taken = append(taken, p)
	}
	if ticket.number > 0 {
		_, err = tx.ExecContext(ctx, "delete from mutexes where ticket=?", ticket.number)
	}
	if err == nil && len(s.Mutexes) > 0 {
		err = c.ledger.sweep(ctx, tx, c.id.Namespace, s.Mutexes[len(s.Mutexes)-1].Name)
	}
	failpoint.Here("begin.mutexes")
	return taken, err
}

func (c *claim) takeMutex(ctx context.Context, tx querier, m ledger.Mutex, ticket int64, use ledger.MutexUse, alive func(runID string) bool) (place, error) {
	l := c.ledger
	v, err := l.look(ctx, tx, c.id.Namespace, m.Name, alive)
	if err != nil {
		return place{}, err
	}
	free, err := v.Admit(m, ticket)
	if err != nil {
		return place{}, err
	}
	r := mutexRow{Row: mutex.Row{Namespace: v.Namespace, Name: v.Name, Place: free, Limit: m.Limit, Use: use}}
	lock, err := l.locks.Take(r.lockName(), filelock.Life)
	if errors.Is(err, filelock.ErrHeld) {
		err = v.Refuse(m)
	}
	if err != nil {
		return place{}, err
	}
	if err := replaceDead(ctx, tx, v.Dead, r); err != nil {
		_ = lock.Release()
		return place{}, err
	}
	return place{r, lock}, nil
}

// releaseAll unlocks places that no committed row names.
func releaseAll(places []place) {
	for _, p := range places {
		_ = p.lock.Release()
	}
}

// replaceDead stores the row of a new holder, and deletes the rows that do not count.
func replaceDead(ctx context.Context, tx querier, dead []mutexRow, r mutexRow) error {
	for _, d := range dead {
		if err := d.remove(ctx, tx); err != nil {
			return err
		}
	}
	return r.store(ctx, tx)
}

func (r mutexRow) remove(ctx context.Context, tx querier) error {
	_, err := tx.ExecContext(ctx, "delete from mutexes where ticket=? and namespace=? and name=? and place=?",
		r.Ticket, []byte(r.Namespace), []byte(r.Name), r.Place)
	return err
}

// sweptRows is how many rows a call looks at on each side of a name. With more than one, the
// rows of mutexes that are never used again get fewer, whatever the order of the names is.
const sweptRows = 2

// sweep deletes rows of other mutexes that do not count, next to a name in the order of names.
// So mutexes that are named after customers or orders leave few rows. It keeps a row whose
// attempt is recorded as running, because a search for its processes takes long. It keeps
// rows that cannot be read: the calls that use these mutexes report the damage.
func (l *Ledger) sweep(ctx context.Context, tx querier, namespace, name string) error {
	for _, side := range []string{
		"where ticket=0 and (namespace, name) > (?, ?) order by namespace, name limit ?",
		"where ticket=0 and (namespace, name) < (?, ?) order by namespace desc, name desc limit ?",
	} {
		rows, err := l.readMutexes(ctx, tx, mutexColumns+side, []byte(namespace), []byte(name), sweptRows)
		if err != nil {
			return nil
		}
		for _, r := range rows {
			used, err := l.inUse(ctx, tx, &r, func(string) bool { return true })
			if err == nil && !used {
				err = r.remove(ctx, tx)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// keepMutexes makes the places that an attempt has taken those of the claim, which leaves its
// lines.
func (c *claim) keepMutexes(taken []place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(taken) > 0 {
		c.places = taken
	}
	c.ticket.end()
}

// Mutexes implements ledger.Ledger.
func (l *Ledger) Mutexes(ctx context.Context, namespace string, names ...string) ([]ledger.MutexState, error) {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return nil, l.explain(err)
	}
	judge := l.judge(ctx, db, filelock.SearchOnce())
	var rows []mutexRow
	if namespace != "" && len(names) > 0 { // need not read all mutexes
		names = slices.Clone(names)
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			one, err := l.readMutex(ctx, db, namespace, name)
			if err != nil {
				return nil, l.explain(err)
			}
			rows = append(rows, one...)
		}
	} else if rows, err = l.readMutexes(ctx, db, mutexColumns+"order by namespace, name, ticket, place"); err != nil {
		return nil, l.explain(err)
	}
	if namespace != "" {
		rows = slices.DeleteFunc(rows, func(r mutexRow) bool { return r.Namespace != namespace })
	}
	states, err := mutex.States(rows, names, judge)
	return states, l.explain(err)
}
