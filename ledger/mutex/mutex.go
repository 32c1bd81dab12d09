// Package mutex has the rule of mutexes that all stored ledgers share: which attempt holds a
// place, which one is next in line, and which place is free. It reads and writes nothing.
package mutex

import (
	"iter"
	"slices"

	"idem/ledger"
)

// Row is a place of a mutex, or a place in its line, as a ledger stores it. A ledger embeds it,
// and adds how it knows whether the row counts.
type Row struct {
	Namespace string
	Name      string
	Ticket    int64 // of a waiter: its order in line, the same in all its lines; 0 of a holder
	Place     int   // of a holder: 1, 2, ...; 0 of a waiter
	Limit     int
	Use       ledger.MutexUse
}

func (r Row) row() Row { return r }

// Rower is a type that embeds Row.
type Rower interface{ row() Row }

// Standing says what a row means at this moment.
type Standing int

const (
	// Dead is the row of a claim that has ended or has left the line. It does not count.
	Dead Standing = iota
	// Used is a row that counts.
	Used
	// Own is a row of the claim that asks. It counts, but the claim does not exclude itself.
	Own
)

// View is a mutex at one moment, as one claim sees it.
type View[R Rower] struct {
	Namespace string
	Name      string
	Own       *R   // the place of the claim that asks
	Holders   []R  // without Own, in the order of the rows
	Waiters   []R  // in line, with the claim that asks
	Waits     bool // the claim that asks is among the waiters
	Dead      []R  // the rows that do not count
}

// Look returns a mutex that has the given rows: its holders, and its waiters in order. Rows of
// other mutexes are passed over. The ledger's function judge returns the standing of a row, and
// may note in the row why it counts. The error is one of judge.
func Look[R Rower](namespace, name string, rows []R, judge func(*R) (Standing, error)) (View[R], error) {
	v := View[R]{Namespace: namespace, Name: name}
	for _, r := range rows {
		at := r.row()
		if at.Name != name || at.Namespace != namespace {
			continue
		}
		standing, err := judge(&r)
		switch {
		case err != nil:
			return v, err
		case standing == Dead:
			v.Dead = append(v.Dead, r)
		case at.Ticket > 0:
			v.Waiters, v.Waits = append(v.Waiters, r), v.Waits || standing == Own
		case standing == Own:
			v.Own = &r
		default:
			v.Holders = append(v.Holders, r)
		}
	}
	return v, nil
}

// Before returns the waiter just before a ticket, or nil. Without a ticket, which is 0, it is the
// last one in line.
func (v View[R]) Before(ticket int64) *R {
	for i := len(v.Waiters) - 1; i >= 0; i-- {
		if ticket == 0 || v.Waiters[i].row().Ticket < ticket {
			return &v.Waiters[i]
		}
	}
	return nil
}

// Place returns the lowest place that a claim with the given limit can take, or 0. The line is
// not considered.
func (v View[R]) Place(limit int) int {
	if len(v.Holders) >= limit {
		return 0
	}
	var taken []int
	for _, r := range v.Holders {
		if r.row().Limit != limit {
			return 0
		}
		taken = append(taken, r.row().Place)
	}
	place := 1
	for slices.Contains(taken, place) {
		place++
	}
	return place
}

// Admit returns the place that a claim with a ticket, or with 0, takes now. The error is a
// *ledger.MutexError if there is none, or if another claim is before it in line.
func (v View[R]) Admit(want ledger.Mutex, ticket int64) (place int, err error) {
	if place = v.Place(want.Limit); place == 0 || v.Before(ticket) != nil {
		return 0, v.Refuse(want)
	}
	return place, nil
}

// Settle returns a mutex as a waiter with a ticket may rely on it. The ledger's function look reads
// the rows, and then the locks. In between, a claim that was before the waiter in line can begin:
// it stores its place, and then its ticket is dead. The rows of such a look lack the place. So a
// free place counts only if each dead ticket was dead before the rows were read.
func Settle[R Rower](want ledger.Mutex, ticket int64, look func() (View[R], error)) (View[R], error) {
	dead := map[int64]bool{0: true} // 0 is that of a holder, who stores nothing more
	for {
		v, err := look()
		if err != nil {
			return v, err
		}
		_, refused := v.Admit(want, ticket)
		known := len(dead)
		for _, r := range v.Dead {
			dead[r.row().Ticket] = true
		}
		if refused != nil || len(dead) == known {
			return v, nil
		}
	}
}

// Refuse returns the error of a mutex that cannot be taken.
func (v View[R]) Refuse(want ledger.Mutex) error {
	return &ledger.MutexError{Mutex: want, State: v.State()}
}

// State returns what people see of the mutex.
func (v View[R]) State() ledger.MutexState {
	s := ledger.MutexState{Namespace: v.Namespace, Name: v.Name}
	for _, r := range v.Holders {
		s.Limit = r.row().Limit
		s.Holders = append(s.Holders, r.row().Use)
	}
	for _, r := range v.Waiters {
		s.Waiters = append(s.Waiters, r.row().Use)
	}
	return s
}

// States returns the mutexes in use among rows of many mutexes, in the order of the rows. Rows of
// one mutex follow each other. With names, other mutexes are passed over. The errors are those of
// judge, see Look.
func States[R Rower](rows []R, names []string, judge func(*R) (Standing, error)) ([]ledger.MutexState, error) {
	var states []ledger.MutexState
	for one := range each(rows) {
		at := one[0].row()
		if len(names) > 0 && !slices.Contains(names, at.Name) {
			continue
		}
		v, err := Look(at.Namespace, at.Name, one, judge)
		if err != nil {
			return nil, err
		}
		if len(v.Holders)+len(v.Waiters) > 0 {
			states = append(states, v.State())
		}
	}
	return states, nil
}

// each yields the rows of one mutex after the other.
func each[R Rower](rows []R) iter.Seq[[]R] {
	return func(yield func([]R) bool) {
		for len(rows) > 0 {
			first := rows[0].row()
			n := slices.IndexFunc(rows, func(r R) bool { return r.row().Namespace != first.Namespace || r.row().Name != first.Name })
			if n < 0 {
				n = len(rows)
			}
			if !yield(rows[:n]) {
				return
			}
			rows = rows[n:]
		}
	}
}
