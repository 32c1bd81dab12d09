package ledger

import (
	"iter"
	"slices"
	"time"
)

// Filter selects records for List. A zero field does not restrict the result.
type Filter struct {
	Namespace string
	Key       string // the key, in any window
	Globs     Globs  // patterns for the key
	Phases    Phases
	// Since and Until select by the start of the latest attempt or mark: not before Since,
	// and before Until.
	Since, Until time.Time
	Limit        int // the maximum number of records
	// OldestFirst reverses the order: the record with the latest attempt or mark is last.
	OldestFirst bool
	// Under restricts the result to the steps or items directly below a record. TopLevel
	// restricts it to records without a parent.
	Under    ID
	TopLevel bool
}

// Selects reports whether f selects a record. It ignores Limit and OldestFirst. A record without any
// attempt or mark is never selected.
func (f *Filter) Selects(r Record) bool {
	cur := &r.Current
	switch {
	case cur.RunID == "":
	case f.Namespace != "" && f.Namespace != r.ID.Namespace:
	case f.Key != "" && f.Key != r.ID.Key:
	case f.Under != (ID{}) && f.Under != r.Parent:
	case f.TopLevel && r.Parent != (ID{}):
	case !f.Since.IsZero() && cur.Started.Before(f.Since):
	case !f.Until.IsZero() && !cur.Started.Before(f.Until):
	default:
		return f.Phases.Has(r.Phase()) && f.Globs.Match(r.ID.Key)
	}
	return false
}

// Phases is a set of phases. The empty set stands for all phases.
type Phases []Phase

// Has reports whether p contains a phase.
func (p Phases) Has(phase Phase) bool { return len(p) == 0 || slices.Contains(p, phase) }

// States returns the stored states of records in the phases of p, each once.
func (p Phases) States() []State {
	var states []State
	for _, phase := range p {
		state := State(phase) // no record has the state "none"
		switch phase {
		case PhaseInterrupted:
			state = Running
		case PhaseRetry:
			state = None
		}
		if !slices.Contains(states, state) {
			states = append(states, state)
		}
	}
	return states
}

// Globs are alternative patterns for a key. Without any, every key matches.
type Globs []Glob

// Match reports whether one of the patterns matches all of key.
func (g Globs) Match(key string) bool {
	return len(g) == 0 || slices.ContainsFunc(g, func(one Glob) bool { return one.Match(key) })
}

// Collect returns all records that List yields, or its error.
func Collect(records iter.Seq2[Record, error]) ([]Record, error) {
	var all []Record
	for r, err := range records {
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}
