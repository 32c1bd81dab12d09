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
// level, if its phase is the one of the filter.
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
		s.filter.Limit = 0 // it counts the lines
		if f.Phase == "" {
			s.filter.Limit = f.Limit
		}
		tallies, err := talliesOf(ctx, l)
		if err != nil {
			yield(listed{}, err)
			return
		}
		s.tallies = tallies
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

// above returns the records of the level that have a record of the filter's phase
// somewhere below them. The latest is first.
func (s *lister) above(ctx context.Context) ([]ledger.Record, error) {
	if s.filter.Phase == "" {
		return nil, nil
	}
	var found []ledger.Record
	known := map[ledger.ID]bool{}
	for id, tally := range s.tallies {
		if tally[s.filter.Phase] == 0 || !s.covers(id) {
			continue
		}
		for id != (ledger.ID{}) && !known[id] {
			known[id] = true
			rec, err := s.Get(ctx, id)
			if err != nil {
				return nil, err
			}
			if rec.Parent == s.filter.Under && s.matches(id) {
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

func (s *lister) matches(id ledger.ID) bool {
	return s.filter.Glob == "" || s.filter.Glob.Match(id.Key)
}

// bare returns the parents on the top level that are not recorded themselves. The parents
// in seen have been listed.
func (s *lister) bare(ctx context.Context, seen map[ledger.ID]bool) ([]ledger.Record, error) {
	if s.filter.Phase != "" || !s.filter.TopLevel || s.filter.Limit > 0 {
		return nil, nil
	}
	var found []ledger.Record
	for id := range s.tallies {
		if seen[id] || !s.covers(id) || s.nested(id) || !s.matches(id) {
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
