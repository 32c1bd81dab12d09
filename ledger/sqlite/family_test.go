package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"idem/ledger"
)

// child returns the ID of a record below a parent.
func child(parent ledger.ID, name any) ledger.ID {
	parent.Key += fmt.Sprint("/", name)
	return parent
}

// runsBelow runs a child that writes output.
func runsBelow(t *testing.T, l *Ledger, id, parent ledger.ID, out []byte) {
	t.Helper()
	c, err := l.Claim(t.Context(), id)
	must(t, err)
	defer c.Release()
	e, err := c.Begin(t.Context(), ledger.Start{RunID: id.Key[len("k/"):], Fingerprint: "h1:f", MaxOutput: -1, Origin: ledger.Origin{Parent: parent}})
	must(t, err)
	e.Write(ledger.Stdout, out)
	_, err = e.Finish(t.Context(), success)
	must(t, err)
}

// TestForgetIsResumed: a kill after the commit of Forget, or between two pieces, leaves rows
// that nothing finds. A further Forget deletes them with all outputs, and no token returns.
func TestForgetIsResumed(t *testing.T) {
	place := fresh(t)
	l := opened(t, place)
	runs(t, l, theKey, "r", nil, success)
	const n = 12
	for i := range n {
		runsBelow(t, l, child(theKey, i), theKey, large)
	}
	deep := child(child(theKey, 3), "deep")
	runsBelow(t, l, child(theKey, "x"), theKey, []byte("inline\n"))
	c, err := l.Claim(t.Context(), deep)
	must(t, err)
	e, err := c.Begin(t.Context(), ledger.Start{RunID: "deep", Origin: ledger.Origin{Parent: child(theKey, 3)}})
	must(t, err)
	_, err = e.Finish(t.Context(), success)
	must(t, err)
	must(t, c.Release())
	other := ledger.ID{Namespace: "default", Key: "other"}
	runs(t, l, other, "other", large, success)

	// The process is killed after the first commit.
	parent, err := l.forgetRecord(t.Context(), theKey, asItIs)
	must(t, err)
	rows := func(table string) int64 { return asked(t, place, "select count(*) from "+table) }
	wantForgotten := func() {
		t.Helper()
		for _, id := range []ledger.ID{theKey, child(theKey, 0), child(theKey, 3), deep, child(theKey, "x")} {
			if rec, err := l.Get(t.Context(), id); err != nil || rec.Phase() != ledger.PhaseNone || rec.Generation < 2 {
				t.Errorf("%s: got %+v, %v", id.Key, rec, err)
			}
		}
		if list, err := ledger.Collect(l.List(t.Context(), ledger.Filter{})); err != nil || len(list) != 1 || list[0].ID != other {
			t.Errorf("got %+v, %v", list, err)
		}
	}
	wantForgotten()
	if got := rows("records"); got != n+4 {
		t.Errorf("%d rows", got)
	}
	// A second process is killed after a piece. A child comes back in between.
	d := newDeletion(l)
	some := []int64{numberOf(child(theKey, 0)), numberOf(child(theKey, 3))}
	slices.Sort(some)
	more := append(some, numberOf(other))
	newest, err := newestAttempt(t.Context(), l.db)
	must(t, err)
	stale := staleRecords{parent.rowid, some, newest}
	attempts := rows("attempts")
	first := staleRecords{parent.rowid, []int64{numberOf(child(theKey, 1))}, newest}
	must(t, d.piece(t.Context(), []int64{asked(t, place, "select current from records where key = cast('k/1' as blob)")}, first.deleteAttempts))
	wantForgotten()
	if got := rows("attempts"); got != attempts-1 {
		t.Errorf("%d attempts", got)
	}
	must(t, d.piece(t.Context(), more, stale.deleteRecords)) // they have attempts
	if got := rows("records"); got != n+4 {
		t.Errorf("%d rows", got)
	}
	ids := attemptsOf(t, l, more)
	must(t, d.piece(t.Context(), ids, stale.deleteAttempts))
	must(t, d.piece(t.Context(), more, stale.deleteRecords))
	wantForgotten()
	if got := rows("attempts"); got != attempts-3 { // another key has one
		t.Errorf("%d attempts", got)
	}
	if got := rows("records"); got != n+3 { // the one that has a row below it is kept
		t.Errorf("%d rows", got)
	}
	runsBelow(t, l, child(theKey, 5), theKey, []byte("again\n"))
	// The number of a deleted attempt may be that of one of a record which is not stale.
	fifth := staleRecords{parent.rowid, []int64{numberOf(child(theKey, 5))}, newest}
	must(t, d.piece(t.Context(), []int64{asked(t, place, "select current from records where key = cast('k/5' as blob)")}, fifth.deleteAttempts))
	must(t, d.piece(t.Context(), fifth.records, fifth.deleteRecords))
	if rec, err := l.Get(t.Context(), child(theKey, 5)); err != nil || rec.Phase() != ledger.PhaseSucceeded || rec.Attempts != 1 {
		t.Errorf("got %+v, %v", rec, err)
	}
	for _, want := range []error{nil, ledger.ErrNotFound} {
		if err := l.Forget(t.Context(), theKey); !errors.Is(err, want) {
			t.Errorf("got error %v, want %v", err, want)
		}
		wantForgotten()
	}
	for table, want := range map[string]int64{"records": 2, "attempts": 1, "outputs": 0} {
		if got := rows(table); got != want {
			t.Errorf("%s has %d rows", table, got)
		}
	}
	if files, err := os.ReadDir(filepath.Join(place, "output")); err != nil || len(files) != 1 {
		t.Errorf("outputs: %v, %v", files, err)
	}
	integrity(t, place)
}

// TestStaleBelow lists children page by page. Failed ones share one value of done, and some have
// several attempts.
func TestStaleBelow(t *testing.T) {
	l := opened(t, fresh(t))
	var want, attempts []int64
	for i := range 9 {
		id := child(theKey, i)
		if i%4 > 0 {
			want = append(want, numberOf(id))
		}
		for range i % 4 {
			c, err := l.Claim(t.Context(), id)
			must(t, err)
			e, err := c.Begin(t.Context(), ledger.Start{RunID: fmt.Sprint("r", len(attempts)), Origin: ledger.Origin{Parent: theKey}})
			must(t, err)
			o := failure
			if i == 7 {
				o = success
			}
			_, err = e.Finish(t.Context(), o)
			must(t, err)
			must(t, c.Release())
			attempts = append(attempts, int64(len(attempts)+1))
		}
	}
	slices.Sort(want)
	parent, err := l.forgetRecord(t.Context(), theKey, asItIs)
	must(t, err)
	for page := 1; page < 20; page++ {
		for most := 1; most < 9; most++ {
			d := &deletion{ledger: l, page: page, most: most}
			var records, listed []int64
			for at := (childRow{series: -1}); ; {
				some, of, next, err := d.staleBelow(t.Context(), l.db, parent.rowid, at)
				must(t, err)
				if len(some) == 0 {
					break
				}
				records, listed, at = append(records, some...), append(listed, of...), next
			}
			slices.Sort(records) // the rest of the attempts of a record may be in the next list, with it
			slices.Sort(listed)
			if records = slices.Compact(records); !slices.Equal(records, want) || !slices.Equal(listed, attempts) {
				t.Fatalf("pages of %d, lists of %d: got records %v with %v, want %v with %v", page, most, records, listed, want, attempts)
			}
		}
	}
}

// attemptsOf returns the sorted rowids of the attempts of records.
func attemptsOf(t *testing.T, l *Ledger, records []int64) []int64 {
	t.Helper()
	ids, err := numbers(t.Context(), l.db, "select id from attempts where record in (select value from json_each(?)) order by id", jsonOf(records))
	must(t, err)
	return ids
}

// A kill between the deletion of attempts and that of their records leaves stale records whose
// attempts are gone. The numbers of these attempts are given to attempts of other records.
func TestNumbersOfDeletedAttemptsAreUsedAgain(t *testing.T) {
	place := fresh(t)
	l := opened(t, place)
	runs(t, l, theKey, "r", nil, success)
	for i := range 3 {
		runsBelow(t, l, child(theKey, i), theKey, nil)
	}
	parent, err := l.forgetRecord(t.Context(), theKey, asItIs)
	must(t, err)
	newest, err := newestAttempt(t.Context(), l.db)
	must(t, err)
	stale := staleRecords{parent.rowid, []int64{numberOf(child(theKey, 0)), numberOf(child(theKey, 1)), numberOf(child(theKey, 2))}, newest}
	slices.Sort(stale.records)
	ids := attemptsOf(t, l, stale.records)
	must(t, newDeletion(l).piece(t.Context(), ids, stale.deleteAttempts))
	for i := range 4 {
		runs(t, l, ledger.ID{Namespace: "default", Key: fmt.Sprint("other", i)}, fmt.Sprint("o", i), nil, success)
	}
	if used := asked(t, place, "select count(*) from attempts a join records r on r.current = a.id where a.record <> r.id"); used == 0 {
		t.Fatal("no number is used again")
	}
	for i := range 3 {
		rec, err := l.Get(t.Context(), child(theKey, i))
		if err != nil || rec.Phase() != ledger.PhaseNone {
			t.Errorf("got %+v, %v, want a forgotten record", rec, err)
		}
		runsBelow(t, l, child(theKey, i), theKey, nil)
	}
	// A process that has read the list before goes on with it.
	must(t, newDeletion(l).piece(t.Context(), ids, stale.deleteAttempts))
	for _, id := range []ledger.ID{child(theKey, 0), child(theKey, 2), {Namespace: "default", Key: "other0"}, {Namespace: "default", Key: "other3"}} {
		if rec, err := l.Get(t.Context(), id); err != nil || rec.Phase() != ledger.PhaseSucceeded {
			t.Errorf("%s: got %+v, %v, want a success", id.Key, rec, err)
		}
	}
	if err := l.Forget(t.Context(), child(theKey, 0)); err != nil {
		t.Error(err)
	}
	integrity(t, place)
}

// TestRowsOfVersion2AreRead: an idem of the previous version that has the ledger open writes
// rows without the columns of steps. They are read, and may become children.
func TestRowsOfVersion2AreRead(t *testing.T) {
	place := fresh(t)
	l := opened(t, place)
	runs(t, l, child(theKey, "a"), "r1", nil, success)
	raw(t, place, `create table copy as select id, namespace, key, window, generation, fence, attempts, current, checksum from records;
		delete from records;
		insert into records (id, namespace, key, window, generation, fence, attempts, current, checksum) select * from copy`)
	if rec, err := l.Get(t.Context(), child(theKey, "a")); err != nil || rec.Phase() != ledger.PhaseSucceeded {
		t.Errorf("got %+v, %v", rec, err)
	}
	runsBelow(t, l, child(theKey, "a"), theKey, nil)
	if rec, err := l.Get(t.Context(), child(theKey, "a")); err != nil || rec.Attempts != 2 || rec.Parent != theKey {
		t.Errorf("got %+v, %v", rec, err)
	}
}

// TestDamagedFamilyIsRefused: a child whose parent row is gone or changed is refused instead of
// run again.
func TestDamagedFamilyIsRefused(t *testing.T) {
	for name, damage := range map[string]string{
		"gone":    "delete from records where key = cast('k' as blob)",
		"series":  "update records set series = series + 1 where key = cast('k' as blob)",
		"parent":  "update records set parent = 0 where key = cast('k/a' as blob)",
		"another": "update records set parent = parent + 1 where key = cast('k/a' as blob)",
		"done":    "update records set done = done + 1 where key = cast('k/a' as blob)",
	} {
		t.Run(name, func(t *testing.T) {
			place := fresh(t)
			l := opened(t, place)
			runs(t, l, theKey, "r1", nil, success)
			runsBelow(t, l, child(theKey, "a"), theKey, nil)
			raw(t, place, damage)
			if rec, err := l.Get(t.Context(), child(theKey, "a")); !errors.Is(err, ledger.ErrCorrupt) {
				t.Errorf("got %+v, %v", rec, err)
			}
		})
	}
}

// TestDoneOfAChildWithChildren checks that the success of a child is stored also if its row has
// changed since Begin, because a record below it was begun, and that its floor stays.
func TestDoneOfAChildWithChildren(t *testing.T) {
	l := opened(t, fresh(t))
	item := child(theKey, "item")
	c, err := l.Claim(t.Context(), item)
	must(t, err)
	e, err := c.Begin(t.Context(), ledger.Start{RunID: "item", Fingerprint: "h1:f", Origin: ledger.Origin{Parent: theKey}})
	must(t, err)
	runsBelow(t, l, child(item, "step"), item, nil)
	before, err := readRow(t.Context(), l.db, numberOf(item))
	must(t, err)
	if before.stored == e.(*execution).record.stored {
		t.Fatal("the row is as Begin has stored it, so nothing was tested")
	}
	_, err = e.Finish(t.Context(), success)
	must(t, err)
	must(t, c.Release())
	done, err := l.Successes(t.Context(), theKey)
	must(t, err)
	if !done.Has(item, "h1:f") {
		t.Error("the success of the item is not in the survey")
	}
	after, err := readRow(t.Context(), l.db, numberOf(item))
	must(t, err)
	if after.kin.floor != before.kin.floor || after.kin.floor == 0 {
		t.Errorf("got floor %d, want %d", after.kin.floor, before.kin.floor)
	}
}

// A ledger without steps and items has no index for them, which each replay would pay for.
func TestTheIndexIsMadeWithTheFirstChild(t *testing.T) {
	place := fresh(t)
	l := opened(t, place)
	runs(t, l, theKey, "r", nil, success)
	indexes := func() int64 {
		return asked(t, place, "select count(*) from sqlite_schema where name = 'records_parent'")
	}
	if got := indexes(); got != 0 {
		t.Errorf("without a child: got %d indexes, want none", got)
	}
	if all, err := l.Tallies(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("without a child: got %v, %v, want nothing", all, err)
	}
	// Another handle has compiled its statements before the index exists.
	other := opened(t, place)
	_, err := other.Tallies(t.Context(), theKey)
	must(t, err)
	for i := range 2 {
		runsBelow(t, l, child(theKey, i), theKey, nil)
		if got := indexes(); got != 1 {
			t.Errorf("with a child: got %d indexes, want 1", got)
		}
	}
	all, err := other.Tallies(t.Context())
	if must(t, err); all[theKey][ledger.PhaseSucceeded] != 2 {
		t.Errorf("got %v, want 2 successes", all)
	}
}
