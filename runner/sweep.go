package runner

import (
	"context"
	"errors"
	"slices"
	"sync"

	"idem/ledger"
)

// Swept is the result of a Sweep, as far as it has got.
type Swept struct {
	Changed int // records
	Same    int // records that were as wanted already
	Others  int // records that another call changed or forgot in the meantime
	Busy    int // records that a call or a process holds
	// Holding are the errors of some busy records.
	Holding []*ledger.BusyError
}

const (
	// sweepGroup is the number of changes that a Sweep makes at the same time, so that a
	// ledger can commit them together. Each takes a few descriptors.
	sweepGroup = 64
	// maxHolding limits Swept.Holding.
	maxHolding = 3
)

// Sweep calls change, which makes its changes with the context that it gets, for the records directly below a parent that are in a phase, or for
// all of them. A record that is busy, or that has changed since it was listed, is counted
// and left as it is. After each group of records it calls told.
//
// Each change is made for itself, so after the death of the process a further Sweep goes
// on where this one was. Another error of change ends the Sweep after its group.
func Sweep(ctx context.Context, l ledger.Ledger, f ledger.Filter, change func(context.Context, ledger.Record) error, told func(Swept)) (Swept, error) {
	var s Swept
	var group []ledger.Record
	flush := func() error {
		err := s.group(ctx, l, group, change)
		group = group[:0]
		told(s)
		return err
	}
	for rec, err := range l.List(ctx, f) {
		if err != nil {
			return s, err
		}
		if group = append(group, rec); len(group) < sweepGroup {
			continue
		}
		if err := flush(); err != nil {
			return s, err
		}
	}
	return s, flush()
}

// group changes some records at the same time.
func (s *Swept) group(ctx context.Context, l ledger.Ledger, records []ledger.Record, change func(context.Context, ledger.Record) error) error {
	if len(records) == 0 {
		return nil
	}
	var mu sync.Mutex
	var fault error
	changes := make([]func(context.Context), len(records))
	for i, rec := range slices.Clone(records) {
		changes[i] = func(ctx context.Context) {
			err := change(ctx, rec)
			mu.Lock()
			defer mu.Unlock()
			if !s.count(err) && fault == nil {
				fault = err
			}
		}
	}
	ledger.Together(ctx, l, changes...)
	return fault
}

// count counts a record for which change has returned err. It reports whether the Sweep
// may go on.
func (s *Swept) count(err error) bool {
	var busy *ledger.BusyError
	switch {
	case err == nil:
		s.Changed++
	case errors.Is(err, ErrSame):
		s.Same++
	case errors.Is(err, ledger.ErrChanged), errors.Is(err, ledger.ErrNotFound):
		s.Others++
	case errors.As(err, &busy):
		s.Busy++
		if len(s.Holding) < maxHolding {
			s.Holding = append(s.Holding, busy)
		}
	default:
		return false
	}
	return true
}
