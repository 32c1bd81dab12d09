package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	"idem/internal/failpoint"
	"idem/internal/lenprefix"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/mutex"
	"idem/ledger/postgres/wire"
)

// taking is what a Begin needs to take mutexes. It is read from the claim before the
// transaction, because Release holds c.mu while it waits for its turn on the connection.
type taking struct {
	*claim
	start  ledger.Start
	ticket int64
	holds  bool
}

// prepareMutexes is called before the transaction of Begin.
func (c *claim) prepareMutexes(s ledger.Start) taking {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mayHold = c.mayHold || len(s.Mutexes) > 0
	return taking{c, s, c.ticket, c.mutex || c.mayHold}
}

// lockKey returns the advisory lock of a mutex. The transaction that changes the mutex has it
// until its end. Two mutexes with the same key only wait for each other.
func (l *Ledger) lockKey(namespace, name string) int64 {
	sum := sha256.Sum256(lenprefix.Append(nil, "idem mutex", l.cfg.Schema, namespace, name))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// lockMutexes locks mutexes until the end of the transaction, all in the same order. A
// transaction does this before it locks any row, so that two cannot wait for each other.
func (l *Ledger) lockMutexes(t *wire.Tx, namespace string, mutexes []ledger.Mutex) error {
	if len(mutexes) == 0 {
		return nil
	}
	keys := make([]int64, len(mutexes))
	for i, m := range mutexes {
		keys[i] = l.lockKey(namespace, m.Name)
	}
	slices.Sort(keys)
	return t.Do(l.stmt("select pg_catalog.pg_advisory_xact_lock(k) from pg_catalog.unnest($1::pg_catalog.int8[]) k", wire.IntArray(keys)))
}

// lock locks the mutexes. It is the first step of the transaction.
func (m taking) lock(t *wire.Tx) error {
	return m.ledger.lockMutexes(t, m.id.Namespace, m.start.Mutexes)
}

// take takes the mutexes, all or none, and leaves the lines. Rows that the claim has
// already, from an earlier attempt or from a Begin whose answer was lost, get the run ID
// of the new attempt.
func (m taking) take(t *wire.Tx) error {
	s := m.start
	if len(s.Mutexes) == 0 && m.ticket == 0 && !m.holds {
		return nil
	}
	l, id, holder := m.ledger, wire.Bytes(m.name[:]), wire.ID(m.held.holder)
	stmts := []*wire.Stmt{
		// Rows of earlier claims of the key do not count, because this claim was given.
		l.stmt("delete from {s}.mutex where id = $1 and holder <> $2", id, holder),
		l.stmt("update {s}.mutex set run_id = $3 where id = $1 and holder = $2 and ticket = 0", id, holder, wire.Text(s.RunID)),
	}
	var rows, near []mutexRow
	if len(s.Mutexes) > 0 {
		stmts = append(stmts, l.rowsOf(m.id.Namespace, mutexNames(s.Mutexes), &rows))
		stmts = append(stmts, l.neighbours(m.id.Namespace, s.Mutexes[len(s.Mutexes)-1].Name, &near)...)
	}
	if err := t.Do(stmts...); err != nil {
		return err
	}
	changes := []*wire.Stmt{l.stmt("delete from {s}.mutex where id = $1 and holder = $2 and ticket > 0", id, holder)}
	judge := judge(m.here, m.held.holder, filelock.SearchOnce())
	for _, want := range s.Mutexes {
		v, err := mutex.Look(m.id.Namespace, want.Name, rows, judge)
		if err != nil {
			return err
		}
		if v.Own != nil {
			continue
		}
		place, err := v.Admit(want, m.ticket)
		if err != nil {
			return err
		}
		for _, d := range v.Dead {
			changes = append(changes, l.removeRow(d))
		}
		changes = append(changes, m.insert(want, place))
	}
	for _, r := range near {
		// A search for processes takes long, so an attempt that is recorded as running counts.
		if err := r.prove(m.here, func(string) bool { return true }); err == nil && r.proof == dead {
			changes = append(changes, l.sweepRow(r))
		}
	}
	err := t.Do(changes...)
	failpoint.Here("begin.mutexes")
	return err
}

func (m taking) insert(want ledger.Mutex, place int) *wire.Stmt {
	o := m.start.Owner
	return m.ledger.stmt(`insert into {s}.mutex (namespace, name, ticket, place, places, id, key, win, holder, run_id, host, pid, usr, since, site)
		values ($1, $2, 0, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, pg_catalog.clock_timestamp(), $13)`,
		wire.Raw(m.id.Namespace), wire.Raw(want.Name), wire.Int(place), wire.Int(want.Limit), wire.Bytes(m.name[:]), wire.Raw(m.id.Key), wire.Raw(m.id.Window),
		wire.ID(m.held.holder), wire.Text(m.start.RunID), wire.Raw(o.Host), wire.Int(o.PID), wire.Raw(o.User), wire.ID(m.here.site))
}

const rowWhere = "namespace = $1 and name = $2 and ticket = $3 and place = $4 and holder = $5"

func (l *Ledger) removeRow(r mutexRow) *wire.Stmt {
	return l.stmt("delete from {s}.mutex where "+rowWhere, r.where()...)
}

// sweepRow is removeRow for a mutex that is not locked. It leaves a row that another
// transaction changes, because waiting for it could be a deadlock.
func (l *Ledger) sweepRow(r mutexRow) *wire.Stmt {
	return l.stmt("delete from {s}.mutex where (namespace, name, ticket, place) in (select namespace, name, ticket, place from {s}.mutex where "+
		rowWhere+" for update skip locked)", r.where()...)
}

func (r mutexRow) where() []wire.Arg {
	return []wire.Arg{wire.Raw(r.Namespace), wire.Raw(r.Name), wire.Int(r.Ticket), wire.Int(r.Place), wire.ID(r.holder)}
}

// sweptRows is how many rows a call looks at on each side of a name. With more than one, the
// rows of mutexes that are never used again get fewer, whatever the order of the names is.
const sweptRows = 2

// neighbours reads rows of other mutexes, next to a name in the order of names. The caller
// deletes those that do not count. So mutexes that are named after customers or orders leave
// few rows.
func (l *Ledger) neighbours(namespace, name string, all *[]mutexRow) []*wire.Stmt {
	*all = nil
	var stmts []*wire.Stmt
	for _, side := range []string{
		"where (m.namespace, m.name) > ($1, $2) order by m.namespace, m.name limit $3",
		"where (m.namespace, m.name) < ($1, $2) order by m.namespace desc, m.name desc limit $3",
	} {
		s := l.stmt(mutexSelect+side, wire.Raw(namespace), wire.Raw(name), wire.Int(sweptRows))
		s.Each = collect(all)
		stmts = append(stmts, s)
	}
	return stmts
}

// keepMutexes is called after the transaction of take, with its error. A claim can have lost its
// places: its lease had ended, and another host has taken them.
func (c *claim) keepMutexes(s ledger.Start, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.mutex = c.mutex || len(s.Mutexes) > 0
		c.endTicket()
	case errors.As(err, new(*ledger.MutexError)):
		c.mutex = false
	}
}

// leave returns the statements that give places and tickets back, in the transaction that gives
// the claim back. The caller holds c.mu.
func (c *claim) leave() []*wire.Stmt {
	if !c.mutex && !c.mayHold && c.ticket == 0 {
		return nil
	}
	return []*wire.Stmt{c.ledger.stmt("delete from {s}.mutex where id = $1 and holder = $2", wire.Bytes(c.name[:]), wire.ID(c.held.holder))}
}

// leaveWithOutcome is leave in the commit of the last outcome of the claim.
func (c *claim) leaveWithOutcome() []*wire.Stmt {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leave()
}

// Mutexes implements ledger.Ledger.
func (l *Ledger) Mutexes(ctx context.Context, namespace string, names ...string) ([]ledger.MutexState, error) {
	here, err := l.openLocal(ctx, false)
	if err != nil {
		return nil, l.explain(err)
	}
	var rows []mutexRow
	read := l.stmt(mutexSelect + mutexOrder)
	switch {
	case namespace != "" && len(names) > 0:
		read = l.rowsOf(namespace, names, &rows)
	case namespace != "":
		read = l.stmt(mutexSelect+"where m.namespace = $1"+mutexOrder, wire.Raw(namespace))
	}
	read.Each = collect(&rows)
	err = l.retry(ctx, l.opt.ConnectTimeout, func(ctx context.Context) error {
		rows = nil
		return l.session.Do(ctx, wire.Read, read)
	})
	if err != nil {
		return nil, err
	}
	states, err := mutex.States(rows, names, judge(here, wire.UUID{}, filelock.SearchOnce()))
	return states, l.explain(err)
}
