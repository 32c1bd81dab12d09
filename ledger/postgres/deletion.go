package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
)

// deletion deletes the rows of stale records in pieces, each with one commit. Between two
// pieces, other calls write. A row of a stale record never becomes one of an earlier series
// again, so each piece decides by the rows alone.
//
// The first change of a page after a checkpoint writes the whole page to the server's log. So
// records that share pages are deleted together, in the order of their table.
type deletion struct {
	ledger *Ledger
	here   *local // nil if this host has no files of the ledger
	size   int    // records of the next piece
	page   int    // records that a query reads
	window int    // records that are put in order together
	gone   int    // records that were deleted
}

func newDeletion(l *Ledger) (*deletion, error) {
	here, err := l.openLocal(context.Background(), false)
	return &deletion{ledger: l, here: here, size: firstPiece, page: mostPiece, window: window}, l.explain(err)
}

// A commit deletes as many records as it can in pieceTime. Records with large outputs take long,
// so the first piece is small. The limits bound the number of commits and the memory.
const (
	pieceTime  = 300 * time.Millisecond
	firstPiece = 500
	leastPiece = 20
	mostPiece  = 5000
	window     = 1 << 18
)

// run deletes the rows of all stale records below a parent, on all levels, but those that other
// calls hold.
func (d *deletion) run(ctx context.Context, parent ledger.ID) error {
	f, err := d.ledger.read(ctx, parent)
	if err != nil || !f.own.stored {
		return err
	}
	before := f.own.rec.Series
	if f.own.stale {
		before = math.MaxInt64
	}
	return d.below(ctx, nameOf(parent), before)
}

// childRow is a place in the index over the children of a parent.
type childRow struct {
	series, done int64
	id           []byte
}

// staleRow is a record that is deleted when its turn comes.
type staleRow struct {
	id    filelock.Name
	block int64     // of the table
	dead  wire.UUID // the holder, if it was on this host and is dead
}

// below deletes the records below a parent that belong to a series before the given one. The
// rows below a record are deleted before it.
func (d *deletion) below(ctx context.Context, parent []byte, before int64) error {
	for at, more := (childRow{series: -1}), true; more; {
		var rows []staleRow
		for more && len(rows) < d.window {
			page, err := d.read(ctx, parent, before, &at)
			if err != nil {
				return err
			}
			rows, more = append(rows, page...), len(page) > 0
		}
		slices.SortFunc(rows, func(a, b staleRow) int { return cmp.Compare(a.block, b.block) })
		for len(rows) > 0 {
			n := min(d.size, len(rows))
			var ids [][]byte
			var dead []wire.UUID
			for i := range rows[:n] {
				ids = append(ids, rows[i].id[:])
				if rows[i].dead != (wire.UUID{}) {
					dead = append(dead, rows[i].dead)
				}
			}
			switch err := d.piece(ctx, parent, before, ids, dead); {
			case errors.Is(err, ledger.ErrUnreachable) && n > 1 && ctx.Err() == nil:
				d.size = max(n/8, 1) // with large outputs, fewer records can be deleted within tryTimeout
				continue
			case err != nil:
				return err
			}
			failpoint.Here("forget.piece")
			rows = rows[n:]
		}
	}
	return nil
}

// read returns the records below a parent that follow a place in the index, and moves the place.
// It deletes the rows below them. After the last record, it returns none.
func (d *deletion) read(ctx context.Context, parent []byte, before int64, at *childRow) ([]staleRow, error) {
	var rows []staleRow
	inner := map[filelock.Name]int64{} // the series of records that have rows below them
	page := d.ledger.stmt(`select r.id, r.parent_series, r.done, r.series, r.holder, r.site, (r.ctid::pg_catalog.text::pg_catalog.point)[0]::pg_catalog.int8,
			exists (select 1 from {s}.record b where b.parent = r.id)
		from {s}.record r where r.parent = $1 and r.parent_series < $2 and (r.parent_series, r.done, r.id) > ($3, $4, $5)
		order by r.parent_series, r.done, r.id limit $6`,
		wire.Bytes(parent), wire.Int(before), wire.Int(at.series), wire.Int(at.done), wire.Bytes(at.id), wire.Int(d.page))
	page.Each = func(row *wire.Row) error {
		at.id, at.series, at.done = row.Bytes(), row.Int(), row.Int()
		series, holder, site := row.Int(), row.ID(), row.ID()
		r := staleRow{block: row.Int()}
		copy(r.id[:], at.id)
		if row.Bool() {
			inner[r.id] = series
		}
		if holder != (wire.UUID{}) && d.here != nil && site == d.here.site {
			held, err := filelock.InUse(d.here.locks, r.id)
			if err != nil {
				return err
			}
			if !held {
				r.dead = holder
			}
		}
		rows = append(rows, r)
		return row.Err()
	}
	if err := d.ledger.readInOrder(ctx, page); err != nil {
		return nil, err
	}
	for name, series := range inner {
		// Another call may make the record current again. It then gets a greater series.
		if err := d.below(ctx, name[:], series+1); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// pieceSQL deletes those of the records $1 that still are stale children of $2, have no live
// holder, and have no rows below them. The holders $4 were on this host and are dead. Rows are
// locked in the order of their names, as in other statements. The form of the test of the parent
// keeps the server from reading the index over all its children.
var pieceSQL = `with gone as materialized (select id, run_id, storage from {s}.record r
		where id = any ($1) and parent is not distinct from $2 and parent_series < $3
			and (holder is null or holder = any ($4) or takeover and lease_until < pg_catalog.clock_timestamp())
			and not exists (select 1 from {s}.record b where b.parent = r.id)
		order by id for update),
	a as (delete from {s}.attempt x using gone where x.id = gone.id returning x.run_id, x.storage),
	o as (delete from {s}.output x using gone where x.id = gone.id),
	f as (delete from {s}.file x using gone where x.id = gone.id),
	e as (delete from {s}.late x using gone where x.id = gone.id),
	m as (delete from {s}.mutex x using gone where x.id = gone.id),
	r as (delete from {s}.record x using gone where x.id = gone.id)
	select run_id from a where storage = ` + fmt.Sprint(storageUnknown) + `
	union all select run_id from gone where run_id <> '' and storage = ` + fmt.Sprint(storageUnknown) + `
	union all select '' from gone`

// piece deletes records with one commit. A repetition after a lost answer deletes nothing.
func (d *deletion) piece(ctx context.Context, parent []byte, before int64, ids [][]byte, dead []wire.UUID) error {
	slices.SortFunc(ids, slices.Compare)
	var spools []string
	s := d.ledger.stmt(pieceSQL, wire.BytesArray(ids), wire.Bytes(parent), wire.Int(before), wire.IDArray(dead))
	s.Each = func(row *wire.Row) error {
		if run := row.Text(); run != "" {
			spools = append(spools, run)
		} else {
			d.gone++
		}
		return nil
	}
	begun := time.Now()
	if err := d.ledger.do(ctx, wire.Durable, s); err != nil {
		return err
	}
	d.ledger.removeSpools(spools)
	fits := float64(pieceTime) / float64(max(time.Since(begun), 1)) * float64(len(ids))
	d.size = int(min(max(fits, leastPiece), 2*float64(d.size), mostPiece))
	return nil
}
