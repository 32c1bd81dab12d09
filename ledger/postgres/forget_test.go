package postgres

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/wire"
)

// rowsOf counts the rows of the tables.
func (r *room) rowsOf() string {
	return r.query(`select (select count(*) from {s}.record), (select count(*) from {s}.attempt), (select count(*) from {s}.output),
		(select count(*) from {s}.file), (select count(*) from {s}.late), (select count(*) from {s}.mutex)`)
}

// family3 records a parent with children, the first of which has children too, and all kinds of
// rows.
func family3(t *testing.T, l *Ledger, parent ledger.ID) (below []ledger.ID) {
	t.Helper()
	runAs(t, l, parent, ledger.ID{}, succeeded)
	child := func(id, parent ledger.ID, o ledger.Outcome) {
		below = append(below, id)
		for range 2 {
			c, err := l.Claim(t.Context(), id)
			must(t, err)
			x, err := c.Begin(t.Context(), ledger.Start{
				RunID: uuid.NewString(), MaxOutput: -1, Origin: ledger.Origin{Parent: parent}, Mutexes: []ledger.Mutex{{Name: "m", Limit: 1}},
			})
			must(t, err)
			x.Write(ledger.Stdout, random(100<<10))
			o.Files = []ledger.File{{Name: "f", Content: []byte("x")}}
			_, err = x.Finish(t.Context(), o)
			must(t, errors.Join(err, c.Release()))
		}
	}
	for i := range 6 {
		id := idOf(fmt.Sprint(parent.Key, "/", i))
		child(id, parent, []ledger.Outcome{failed, succeeded}[i%2])
		if i == 0 {
			child(idOf(id.Key+"/deep"), id, succeeded)
			child(idOf(id.Key+"/deep/er"), idOf(id.Key+"/deep"), failed)
		}
	}
	return below
}

// Forget deletes all rows of a family but one that keeps its numbers.
func TestForgetDeletesAllRows(t *testing.T) {
	r := newRoom(t)
	l := r.open("a", "")
	p := idOf("p")
	family3(t, l, p)
	must(t, l.Forget(t.Context(), p))
	if got := r.rowsOf(); got != "1|0|0|0|0|0" {
		t.Errorf("rows: got %s", got)
	}
	if err := l.Forget(t.Context(), p); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("second Forget: %v", err)
	}
	never := idOf("never")
	if err := l.Forget(t.Context(), never); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("Forget of a key that never ran: %v", err)
	}
	if got := r.rowsOf(); got != "1|0|0|0|0|0" {
		t.Errorf("rows after a refused Forget: got %s", got)
	}
}

// A Forget that was killed after its commit, or between two pieces, is completed by the next one.
// In the meantime, everything below reads as forgotten.
func TestForgetGoesOnAfterAKill(t *testing.T) {
	r := newRoom(t)
	l := r.open("a", "")
	p := idOf("p")
	below := family3(t, l, p)
	c, err := l.claim(t.Context(), p)
	must(t, err)
	_, _, err = c.forget(t.Context(), func(*wire.Tx, *record) error { return nil })
	must(t, errors.Join(err, c.Release()))
	f, err := l.read(t.Context(), p)
	must(t, err)
	forgotten := func() {
		t.Helper()
		for _, id := range below {
			rec, err := l.Get(t.Context(), id)
			must(t, err)
			if rec.Phase() != ledger.PhaseNone || rec.Attempts != 0 {
				t.Errorf("%s: got phase %s", id.Key, rec.Phase())
			}
		}
	}
	forgotten()
	d, err := newDeletion(l)
	must(t, err)
	must(t, d.piece(t.Context(), nameOf(p), f.own.rec.Series, [][]byte{nameOf(below[0]), nameOf(below[3]), nameOf(below[4])}, nil))
	if got := r.query("select count(*) from {s}.record"); got != "7" { // below[0] has records below it
		t.Errorf("rows after a piece: got %s", got)
	}
	forgotten()
	// A child that begins again, or is held, is not deleted.
	runAs(t, l, below[5], p, succeeded)
	held, err := r.open("b", "").Claim(t.Context(), below[6])
	must(t, err)
	if err := l.Forget(t.Context(), below[6]); !errors.As(err, new(*ledger.BusyError)) {
		t.Errorf("Forget of a held record: %v", err)
	}
	must(t, d.run(t.Context(), p))
	if got := r.query("select count(*) from {s}.record"); got != "3" {
		t.Errorf("rows after the deletion: got %s", got)
	}
	rec, err := l.Get(t.Context(), below[5])
	must(t, err)
	if rec.Phase() != ledger.PhaseSucceeded {
		t.Errorf("a child of the new series: got phase %s", rec.Phase())
	}
	must(t, held.Release())
	must(t, l.Forget(t.Context(), p))
	if got := r.rowsOf(); got != "1|0|0|0|0|0" {
		t.Errorf("rows: got %s", got)
	}
	forgotten()
}

// A child that runs on another host prevents a new series while its lease is valid. After that it
// is interrupted, and a new series forgets it unless its holder keeps it.
func TestForgetOfAChildElsewhere(t *testing.T) {
	for _, keep := range []bool{false, true} {
		r := newRoom(t)
		a, b := r.open("a", ""), r.open("b", "")
		p, id := idOf("p"), idOf("p/c")
		runAs(t, a, p, ledger.ID{}, succeeded)
		_, err := beginAs(t.Context(), a, id, p, nil)
		must(t, err)
		var busy *ledger.BusyError
		if err := b.Forget(t.Context(), p); !errors.As(err, &busy) || busy.ID != id || busy.Record.Phase() != ledger.PhaseRunning {
			t.Fatalf("Forget while a child runs elsewhere: %v", err)
		}
		a.leases.abandon()
		r.query(fmt.Sprintf("update {s}.record set takeover = %v, lease_until = now() - interval '1 second' where holder is not null returning 1", !keep))
		err = b.Forget(t.Context(), p)
		if keep && !errors.As(err, new(*ledger.KeptError)) || !keep && err != nil {
			t.Fatalf("keep %v: Forget after the lease: %v", keep, err)
		}
		rec, err := b.Get(t.Context(), id)
		must(t, err)
		if want := map[bool]ledger.Phase{false: ledger.PhaseNone, true: ledger.PhaseInterrupted}[keep]; rec.Phase() != want {
			t.Errorf("keep %v: got phase %s, want %s", keep, rec.Phase(), want)
		}
	}
}

// A child whose call was killed on this host is deleted at once, although its lease is valid.
func TestForgetOfAKilledChild(t *testing.T) {
	h := forms["host"].harness(t)
	place := h.New(t)
	a, err := h.Open(place)
	must(t, err)
	b, err := h.Open(place)
	must(t, err)
	defer b.Close()
	p := idOf("p")
	runAs(t, b.(*Ledger), p, ledger.ID{}, succeeded)
	_, err = beginAs(t.Context(), a.(*Ledger), idOf("p/c"), p, nil)
	must(t, err)
	h.Crash(a)
	must(t, b.Forget(t.Context(), p))
	if got := pgtest.Shared(t).Query(t, "select count(*) from "+schemaOf(place)+".record"); got != "1" {
		t.Errorf("rows: got %s", got)
	}
}

// A deletion takes the records in the order of their table, so that its pieces share few pages.
// The index over the children has another order.
func TestForgetInTheOrderOfTheTable(t *testing.T) {
	r := newRoom(t)
	l := r.open("a", "")
	p := idOf("p")
	runAs(t, l, p, ledger.ID{}, succeeded)
	runAs(t, l, idOf("p/c"), p, succeeded)
	r.query(`insert into {s}.record (id, namespace, key, win, generation, fence, seq, parent, parent_series, done)
		select sha256(i::text::bytea), namespace, key, win, generation, fence, i, parent, parent_series, hashint4(i) from {s}.record, generate_series(1, 300) i where parent is not null returning 1`)
	r.query(`create table {s}.deleted (tx xid8 default pg_current_xact_id(), block int);
		create function {s}.note() returns trigger language plpgsql security definer as $$ begin
			insert into {s}.deleted (block) values ((old.ctid::text::point)[0]); return old; end $$;
		create trigger note before delete on {s}.record for each row execute function {s}.note(); select 1`)
	c, err := l.claim(t.Context(), p)
	must(t, err)
	_, _, err = c.forget(t.Context(), func(*wire.Tx, *record) error { return nil })
	must(t, errors.Join(err, c.Release()))
	d, err := newDeletion(l)
	must(t, err)
	d.size, d.page, d.window = 10, 70, 140 // 3 windows, the last one with the rest
	must(t, d.run(t.Context(), p))
	if got := r.rowsOf(); got != "1|0|0|0|0|0" || d.gone != 301 {
		t.Errorf("deleted %d, rows: got %s", d.gone, got)
	}
	back := r.query(`with piece as (select tx, min(block) least, max(block) most from {s}.deleted group by tx)
		select count(*) from (select least < lag(most) over (order by tx) as back from piece) o where back`)
	if back != "2" {
		t.Errorf("got %s pieces that begin before the end of the one before, want only the first ones of 2 windows", back)
	}
}
