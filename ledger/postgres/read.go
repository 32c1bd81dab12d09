package postgres

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
)

// family is a record with the records above it: those whose keys are the key up to a slash.
type family struct {
	own   record
	above map[string]ancestor // those that have a row, by name
}

// ancestor is a record that can have records below it.
type ancestor struct {
	parent               []byte
	parentSeries, series int64
}

// ancestorColumns are the columns of the row r that scanAncestor reads.
const ancestorColumns = "r.id, r.parent, r.parent_series, r.series"

func scanAncestor(row *wire.Row) (name string, a ancestor) {
	return row.Text(), ancestor{parent: row.Bytes(), parentSeries: row.Int(), series: row.Int()}
}

// staleBelow reports whether a record or one above it belongs to an earlier series. known is
// false if a record above is not known.
func (r *record) staleBelow(above map[string]ancestor) (stale, known bool) {
	for parent, series := r.parent, r.series; parent != nil; {
		a, ok := above[string(parent)]
		if !ok {
			return false, false
		}
		if a.series != series {
			return true, true
		}
		parent, series = a.parent, a.parentSeries
	}
	return false, true
}

// prefixes returns the IDs that id may be below, the longest key first.
func prefixes(id ledger.ID) (all []ledger.ID) {
	for i := strings.LastIndexByte(id.Key, '/'); i >= 0; i = strings.LastIndexByte(id.Key[:i], '/') {
		all = append(all, ledger.ID{Namespace: id.Namespace, Key: id.Key[:i], Window: id.Window})
	}
	return all
}

// parentOf returns the ID above id that has the name, or zero.
func parentOf(id ledger.ID, name []byte) ledger.ID {
	if name == nil {
		return ledger.ID{}
	}
	for _, p := range prefixes(id) {
		if bytes.Equal(nameOf(p), name) {
			return p
		}
	}
	return ledger.ID{}
}

// namesOf returns the names of id and of all IDs above it.
func namesOf(id ledger.ID) [][]byte {
	names := [][]byte{nameOf(id)}
	for _, p := range prefixes(id) {
		names = append(names, nameOf(p))
	}
	return names
}

// familyStmt reads a record, the records above it and, for the record itself, the output in its
// row. The caller calls resolve afterwards.
func (l *Ledger) familyStmt(id ledger.ID, f *family) *wire.Stmt {
	names := namesOf(id)
	where, arg := "r.id = $2", wire.Bytes(names[0])
	if len(names) > 1 {
		where, arg = "r.id = any ($2)", wire.BytesArray(names)
	}
	s := l.stmt("select "+ancestorColumns+", pg_catalog.clock_timestamp(), case when r.id = $1 then r end from {s}.record r where "+where, wire.Bytes(names[0]), arg)
	*f = newFamily(id)
	s.Each = func(row *wire.Row) error {
		name, a := scanAncestor(row)
		if name == string(names[0]) {
			return f.set(scanWhole(row))
		}
		f.above[name] = a
		return row.Err()
	}
	return s
}

func newFamily(id ledger.ID) family {
	return family{own: record{rec: ledger.Record{ID: id}}, above: map[string]ancestor{}}
}

// set sets f.own to the row that was read.
func (f *family) set(own record, err error) error {
	if err != nil {
		return err
	}
	if own.parent != nil && own.rec.Parent == (ledger.ID{}) {
		return fmt.Errorf("%w: the record above key %q cannot be found", ledger.ErrCorrupt, own.rec.ID.Key)
	}
	f.own = own
	return nil
}

// aboveSQL reads the records above many records.
var aboveSQL = "with " + input("name bytea") + "select i.n, " + ancestorColumns + " from i join {s}.record r on r.id = i.name"

// aboveStmts reads the records above one whose row is locked. As long as it is, none of those that
// it belongs to can be forgotten.
func (l *Ledger) aboveStmts(id ledger.ID, f *family) []*wire.Stmt {
	above := prefixes(id)
	if len(above) == 0 {
		return nil
	}
	s := l.stmt(aboveSQL)
	for _, id := range above {
		s.Many = append(s.Many, []wire.Arg{wire.Bytes(nameOf(id))})
	}
	s.Each = func(row *wire.Row) error {
		name, a := scanAncestor(row)
		f.above[name] = a
		return row.Err()
	}
	return []*wire.Stmt{s}
}

// resolve makes f.own the record that a reader sees. A record without a history becomes the one
// that a Begin would create. A record whose parent has a newer series is stale, and becomes a
// forgotten one.
func (f *family) resolve() error {
	own, series := &f.own, int64(0)
	for _, a := range f.above {
		series = max(series, a.series)
	}
	if own.generation == 0 { // no row, or one that a claim has made
		own.rec.Generation, own.rec.Fence = series+1, series
		return nil
	}
	stale, known := own.staleBelow(f.above)
	switch {
	case !known: // rows below are deleted before the row above
		return fmt.Errorf("%w: the record above key %q is gone", ledger.ErrCorrupt, own.rec.ID.Key)
	case stale:
		own.forgotten(series)
	}
	return nil
}

// forgotten makes r the record that a stale one is read as. The argument is the greatest series
// of the records above. It was drawn after all numbers of the record.
func (r *record) forgotten(series int64) {
	r.stale = true
	r.rec.Generation, r.rec.Fence = max(r.rec.Generation, series)+1, max(r.rec.Fence, series)
	r.rec.Attempts, r.rec.Current, r.rec.Parent = 0, ledger.Attempt{}, ledger.ID{}
	r.parent, r.series, r.done, r.seq = nil, 0, 0, 0
	r.out, r.inline = output{}, nil
}

// read reads a record as it is now.
func (l *Ledger) read(ctx context.Context, id ledger.ID) (family, error) {
	var f family
	if err := l.do(ctx, wire.Read, l.familyStmt(id, &f)); err != nil {
		return f, err
	}
	return f, l.explain(f.resolve())
}

// Get implements ledger.Ledger. For a record that is not running, it is one round trip, and
// touches no file of this host. If this host has kept the outcome of a running one, it is sent
// first.
func (l *Ledger) Get(ctx context.Context, id ledger.ID) (ledger.Record, error) {
	f, err := l.read(ctx, id)
	if now := f.own.rec.Current; err == nil && now.State == ledger.Running {
		var changed bool
		if changed, err = l.syncRun(ctx, id, now.RunID); changed && err == nil {
			f, err = l.read(ctx, id)
		}
	}
	if err != nil {
		return ledger.Record{}, err
	}
	l.remember(f.own)
	return l.seen(ctx, f.own, filelock.AllLeftovers)
}

// seen sets Alive and Lease of a record that was read. If the locks of this host contradict the
// row, it is read again: a run that ends records its outcome before it gives its locks back.
func (l *Ledger) seen(ctx context.Context, r record, processes func() map[string][]ledger.Process) (ledger.Record, error) {
	for {
		rec := r.rec
		state := rec.Current.State
		if state != ledger.Running && state != ledger.Failed {
			return rec, nil
		}
		here, err := l.openLocal(ctx, false)
		if err != nil {
			return rec, err
		}
		ours := here != nil && r.lease.site == here.site
		rec.Lease = r.lease.describe(ours)
		if !ours {
			rec.Alive = r.lease.valid()
			return rec, nil
		}
		if rec.Alive, err = here.alive(rec.ID, state); rec.Alive || err != nil {
			return rec, l.explain(err)
		}
		if state == ledger.Failed && r.lease.holder == (wire.UUID{}) {
			return rec, nil // the row and the locks agree
		}
		again, err := l.read(ctx, rec.ID)
		if err != nil {
			return rec, err
		}
		if again.own.rec.Current.RunID == rec.Current.RunID && again.own.rec.Current.State == state && again.own.lease.holder == r.lease.holder {
			rec.Alive = state == ledger.Running && len(processes()[rec.Current.RunID]) > 0
			return rec, nil
		}
		r = again.own
	}
}

// alive reports whether this host's locks say that the record is in use.
func (s *local) alive(id ledger.ID, state ledger.State) (bool, error) {
	name := filelock.NameOf(id)
	claimed, err := s.locks.Held(name, filelock.Claim)
	if claimed || err != nil || state != ledger.Running {
		return claimed, err
	}
	return s.locks.Held(name, filelock.Life)
}

// describe returns the lease for people, or nil without a holder.
func (l lease) describe(ours bool) *ledger.Lease {
	if l.holder == (wire.UUID{}) {
		return nil
	}
	return &ledger.Lease{Host: l.host, PID: l.pid, Elsewhere: !ours, Silent: l.age, Left: l.left, Keep: l.kept}
}
