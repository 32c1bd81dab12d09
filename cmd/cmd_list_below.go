package cmd

import (
	"context"
	"iter"
	"slices"
	"strings"

	"idem/ledger"
)

// listed is a record in a list, with the number of records directly below it by phase.
type listed struct {
	ledger.Record
	below ledger.Tally
}

// belowText counts the records below r by state, such as "97 succeeded, 3 failed".
func (r listed) belowText() string {
	if len(r.below) == 0 {
		return ""
	}
	return tallyText(r.below)
}

// lister lists records on one level: those without a parent, or those below one. A record
// further below is not listed. But it is the reason to list the record above it on that
// level, if the filter selects its phase and its start.
type lister struct {
	ledger.Ledger
	filter  ledger.Filter
	tallies map[ledger.ID]ledger.Tally // of all parents
}

// collapsed lists the records of one level that the filter selects, the one with the
// latest attempt first.
func collapsed(ctx context.Context, l ledger.Ledger, f ledger.Filter) iter.Seq2[listed, error] {
	return func(yield func(listed, error) bool) {
		n := 0
		limited := func(r listed, err error) bool {
			n++
			return yield(r, err) && n != f.Limit
		}
		s := lister{Ledger: l, filter: f}
		if s.asksBelow() {
			s.filter.Limit = 0 // a record below another one may be no line
		}
		var err error
		if s.tallies, err = talliesOf(ctx, l); err != nil {
			yield(listed{}, err)
			return
		}
		s.each(ctx, limited)
	}
}

// each calls yield for each record until it returns false.
func (s *lister) each(ctx context.Context, yield func(listed, error) bool) {
	above, err := s.above(ctx)
	if err != nil {
		yield(listed{}, err)
		return
	}
	seen := map[ledger.ID]bool{}
	take := func(rec ledger.Record) bool {
		if seen[rec.ID] {
			return true
		}
		if _, parent := s.tallies[rec.ID]; parent {
			seen[rec.ID] = true
		}
		rec.Current.Inputs = nil
		return yield(listed{rec, s.tallies[rec.ID]}, nil)
	}
	for rec, err := range s.List(ctx, s.filter) {
		if err != nil {
			yield(listed{}, err)
			return
		}
		for len(above) > 0 && above[0].Current.Started.After(rec.Current.Started) {
			if !take(above[0]) {
				return
			}
			above = above[1:]
		}
		if !take(rec) {
			return
		}
	}
	bare, err := s.bare(ctx, seen)
	if err != nil {
		yield(listed{}, err)
		return
	}
	for _, rec := range slices.Concat(above, bare) {
		if !take(rec) {
			return
		}
	}
}

// asksBelow reports whether a record below can be the reason to list one above it.
func (s *lister) asksBelow() bool { return len(s.filter.Phases) > 0 || s.bounded() }

// bounded reports whether the filter has a condition about time.
func (s *lister) bounded() bool { return !s.filter.Since.IsZero() || !s.filter.Until.IsZero() }

// reasons yields the parents that have a record that the filter selects directly below them.
func (s *lister) reasons(ctx context.Context) iter.Seq2[ledger.ID, error] {
	return func(yield func(ledger.ID, error) bool) {
		if !s.bounded() {
			for id, tally := range s.tallies {
				if slices.ContainsFunc(s.filter.Phases, func(p ledger.Phase) bool { return tally[p] > 0 }) && !yield(id, nil) {
					return
				}
			}
			return
		}
		if len(s.tallies) == 0 {
			return
		}
		below := ledger.Filter{Namespace: s.filter.Namespace, Phases: s.filter.Phases, Since: s.filter.Since, Until: s.filter.Until}
		for rec, err := range s.List(ctx, below) {
			if (err != nil || rec.Parent != (ledger.ID{})) && !yield(rec.Parent, err) {
				return
			}
		}
	}
}

// above returns the records of the level that are listed because of a record somewhere
// below them. The latest is first.
func (s *lister) above(ctx context.Context) ([]ledger.Record, error) {
	if !s.asksBelow() {
		return nil, nil
	}
	var found []ledger.Record
	known := map[ledger.ID]bool{}
	for id, err := range s.reasons(ctx) {
		if err != nil {
			return nil, err
		}
		if !s.covers(id) {
			continue
		}
		for id != (ledger.ID{}) && !known[id] {
			known[id] = true
			rec, err := s.Get(ctx, id)
			if err != nil {
				return nil, err
			}
			if rec.Parent == s.filter.Under && s.filter.Globs.Match(id.Key) {
				found = append(found, rec)
			}
			id = rec.Parent
		}
	}
	slices.SortFunc(found, func(a, b ledger.Record) int { return b.Current.Started.Compare(a.Current.Started) })
	return found, nil
}

// covers reports whether a record may be on the level or below it, in the namespace of the
// filter.
func (s *lister) covers(id ledger.ID) bool {
	under := s.filter.Under
	if s.filter.TopLevel {
		return s.filter.Namespace == "" || s.filter.Namespace == id.Namespace
	}
	return id.Namespace == under.Namespace && id.Window == under.Window && strings.HasPrefix(id.Key, under.Key+"/")
}

// bare returns the parents on the top level that are not recorded themselves. They end a list
// that needs no reason below. The parents in seen have been listed.
func (s *lister) bare(ctx context.Context, seen map[ledger.ID]bool) ([]ledger.Record, error) {
	if s.asksBelow() || !s.filter.TopLevel {
		return nil, nil
	}
	var found []ledger.Record
	for id := range s.tallies {
		if seen[id] || !s.covers(id) || s.nested(id) || !s.filter.Globs.Match(id.Key) {
			continue
		}
		rec, err := s.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		if rec.Phase() == ledger.PhaseNone {
			found = append(found, rec)
		}
	}
	slices.SortFunc(found, func(a, b ledger.Record) int { return strings.Compare(a.ID.Key, b.ID.Key) })
	return found, nil
}

// nested reports whether the key of a parent is below the key of another parent.
func (s *lister) nested(id ledger.ID) bool {
	for above := id; ; {
		end := strings.LastIndexByte(above.Key, '/')
		if end < 0 {
			return false
		}
		above.Key = above.Key[:end]
		if _, ok := s.tallies[above]; ok {
			return true
		}
	}
}
