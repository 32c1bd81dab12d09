package mutex

import (
	"errors"
	"slices"
	"testing"

	"idem/ledger"
)

// row is a row whose standing is known.
type row struct {
	Row
	standing Standing
	err      error
}

func judge(r *row) (Standing, error) { return r.standing, r.err }

func holder(place, limit int) row {
	return row{Row: Row{Namespace: "n", Name: "m", Place: place, Limit: limit}, standing: Used}
}

func waiter(ticket int64) row {
	return row{Row: Row{Namespace: "n", Name: "m", Ticket: ticket, Limit: 1}, standing: Used}
}

func (r row) as(s Standing) row { r.standing = s; return r }

func (r row) of(namespace, name string) row { r.Namespace, r.Name = namespace, name; return r }

func look(t *testing.T, rows ...row) View[row] {
	t.Helper()
	v, err := Look("n", "m", rows, judge)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestAdmit: a claim takes the lowest free place, if all holders have its limit, and if no other
// claim is before it in line.
func TestAdmit(t *testing.T) {
	for _, test := range []struct {
		name   string
		rows   []row
		limit  int
		ticket int64
		want   int // 0: refused
	}{
		{"free", nil, 1, 0, 1},
		{"taken", []row{holder(1, 1)}, 1, 0, 0},
		{"second", []row{holder(1, 2)}, 2, 0, 2},
		{"gap", []row{holder(1, 4), holder(3, 4)}, 4, 0, 2},
		{"gap, in any order", []row{holder(3, 4), holder(2, 4), holder(1, 4)}, 4, 0, 4},
		{"first", []row{holder(2, 3), holder(3, 3)}, 3, 0, 1},
		{"full", []row{holder(1, 2), holder(2, 2)}, 2, 0, 0},
		{"greater limit", []row{holder(1, 1)}, 2, 0, 0},
		{"smaller limit", []row{holder(1, 3)}, 2, 0, 0},
		{"one of two has another limit", []row{holder(1, 3), holder(2, 5)}, 3, 0, 0},
		{"dead", []row{holder(1, 1).as(Dead)}, 1, 0, 1},
		{"dead with another limit", []row{holder(1, 1).as(Dead), holder(2, 2)}, 2, 0, 1},
		{"another mutex", []row{holder(1, 1).of("n", "other")}, 1, 0, 1},
		{"another namespace", []row{holder(1, 1).of("other", "m")}, 1, 0, 1},
		{"a line, without a ticket", []row{waiter(5)}, 1, 0, 0},
		{"a line of the dead", []row{waiter(5).as(Dead)}, 1, 0, 1},
		{"first in line", []row{waiter(5).as(Own), waiter(6)}, 1, 5, 1},
		{"second in line", []row{waiter(5), waiter(6).as(Own)}, 1, 6, 0},
		{"first in line, but taken", []row{holder(1, 1), waiter(5).as(Own)}, 1, 5, 0},
		{"before the line that it has left", []row{waiter(6)}, 1, 5, 1},
	} {
		v := look(t, test.rows...)
		got, err := v.Admit(ledger.Mutex{Name: "m", Limit: test.limit}, test.ticket)
		var refused *ledger.MutexError
		if got != test.want || errors.As(err, &refused) != (test.want == 0) {
			t.Errorf("%s: got place %d, error %v, want place %d", test.name, got, err, test.want)
		}
		if refused != nil && (refused.Mutex.Limit != test.limit || len(refused.State.Holders) != len(v.Holders) || len(refused.State.Waiters) != len(v.Waiters)) {
			t.Errorf("%s: got %+v", test.name, refused)
		}
	}
}

// TestSettle: a waiter does not rely on a free place while rows may lack that of a claim that has
// left the line.
func TestSettle(t *testing.T) {
	own, gone := waiter(5).as(Own), waiter(4).as(Dead)
	for _, test := range []struct {
		name  string
		looks [][]row // the last one counts
		place int
	}{
		{"free", [][]row{{own}}, 1},
		{"taken", [][]row{{holder(1, 1), own}}, 0},
		{"taken, behind a dead waiter", [][]row{{holder(1, 1), gone, own}}, 0},
		{"second in line, behind a dead waiter", [][]row{{waiter(3), gone, own}}, 0},
		{"free after a dead holder", [][]row{{holder(1, 1).as(Dead), own}}, 1},
		{"the waiter before has begun", [][]row{{gone, own}, {holder(1, 1), own}}, 0},
		{"it has ended since", [][]row{{gone, own}, {holder(1, 1).as(Dead), own}}, 1},
		{"it has left the line", [][]row{{gone, own}, {own}}, 1},
		{"it has died", [][]row{{gone, own}, {gone, own}}, 1},
		{"two have begun", [][]row{{waiter(3).as(Dead), waiter(4).as(Dead), own}, {own}}, 1},
		{"one after the other", [][]row{{waiter(3).as(Dead), own}, {waiter(3).as(Dead), gone, own}, {holder(1, 1), own}}, 0},
	} {
		looks := 0
		v, err := Settle(ledger.Mutex{Name: "m", Limit: 1}, 5, func() (View[row], error) {
			if looks++; looks > len(test.looks) {
				t.Fatalf("%s: got more than %d looks", test.name, len(test.looks))
			}
			return Look("n", "m", test.looks[looks-1], judge)
		})
		place, _ := v.Admit(ledger.Mutex{Name: "m", Limit: 1}, 5)
		if err != nil || place != test.place || looks != len(test.looks) {
			t.Errorf("%s: got place %d after %d looks, error %v, want place %d after %d", test.name, place, looks, err, test.place, len(test.looks))
		}
	}
}

// TestBefore: each waiter has only the one just before it in its way.
func TestBefore(t *testing.T) {
	v := look(t, holder(1, 1), waiter(3), waiter(4).as(Dead), waiter(7), waiter(9))
	for ticket, want := range map[int64]int64{3: 0, 7: 3, 8: 7, 9: 7, 10: 9, 0: 9} {
		var got int64
		if r := v.Before(ticket); r != nil {
			got = r.Ticket
		}
		if got != want {
			t.Errorf("before %d: got %d, want %d", ticket, got, want)
		}
	}
}

// TestOwn: a claim finds its place apart from those of other claims, and its ticket in line.
func TestOwn(t *testing.T) {
	v := look(t, holder(1, 2).as(Own), holder(2, 2))
	if v.Own == nil || v.Own.Place != 1 || len(v.Holders) != 1 || v.Waits {
		t.Errorf("got %+v", v)
	}
	v = look(t, waiter(1), waiter(2).as(Own), waiter(3))
	if v.Own != nil || !v.Waits || len(v.Waiters) != 3 {
		t.Errorf("got %+v", v)
	}
	if v = look(t, waiter(1), holder(1, 1).as(Dead)); v.Waits || len(v.Dead) != 1 {
		t.Errorf("got %+v", v)
	}
}

// TestJudgeMayNote: what the ledger notes in a row is in the view.
func TestJudgeMayNote(t *testing.T) {
	v, err := Look("n", "m", []row{holder(1, 2), waiter(1)}, func(r *row) (Standing, error) {
		r.Use.Leftover = true
		return Used, nil
	})
	if err != nil || !v.Holders[0].Use.Leftover || !v.State().Waiters[0].Leftover {
		t.Errorf("got %+v, error %v", v, err)
	}
}

// TestStates: mutexes in use are listed once, in order. Those of which all rows are dead are not.
func TestStates(t *testing.T) {
	rows := []row{
		holder(1, 1).of("a", "x"), waiter(2).of("a", "x"),
		holder(1, 1).of("a", "y").as(Dead),
		waiter(2).of("a", "z"),
		holder(1, 2).of("b", "x"), holder(2, 2).of("b", "x"),
		holder(1, 9).of("b", "y"),
	}
	type brief struct {
		namespace, name         string
		limit, holders, waiters int
	}
	for _, test := range []struct {
		names []string
		want  []brief
	}{
		{nil, []brief{{"a", "x", 1, 1, 1}, {"a", "z", 0, 0, 1}, {"b", "x", 2, 2, 0}, {"b", "y", 9, 1, 0}}},
		{[]string{"y", "z"}, []brief{{"a", "z", 0, 0, 1}, {"b", "y", 9, 1, 0}}},
		{[]string{"none"}, nil},
	} {
		states, err := States(rows, test.names, judge)
		var got []brief
		for _, s := range states {
			got = append(got, brief{s.Namespace, s.Name, s.Limit, len(s.Holders), len(s.Waiters)})
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q: got %v, error %v, want %v", test.names, got, err, test.want)
		}
	}
}

// TestErrorOfJudge: a row that cannot be judged admits no claim.
func TestErrorOfJudge(t *testing.T) {
	bad := holder(1, 2)
	bad.err = errors.New("bad")
	if _, err := Look("n", "m", []row{holder(2, 2), bad}, judge); !errors.Is(err, bad.err) {
		t.Errorf("Look: got error %v", err)
	}
	if _, err := Settle(ledger.Mutex{Name: "m", Limit: 2}, 5, func() (View[row], error) { return Look("n", "m", []row{bad}, judge) }); !errors.Is(err, bad.err) {
		t.Errorf("Settle: got error %v", err)
	}
	if _, err := States([]row{bad}, nil, judge); !errors.Is(err, bad.err) {
		t.Errorf("States: got error %v", err)
	}
	if _, err := States([]row{bad}, []string{"other"}, judge); err != nil {
		t.Errorf("States of other names: got error %v", err)
	}
}
