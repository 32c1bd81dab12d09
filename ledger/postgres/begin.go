package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
)

// Begin implements ledger.Claim.
func (c *claim) Begin(ctx context.Context, s ledger.Start) (ledger.Execution, error) {
	if err := c.checkHeld(); err != nil {
		return nil, err
	}
	l := c.ledger
	life, err := c.here.locks.Take(c.name, filelock.Life)
	if errors.Is(err, filelock.ErrHeld) {
		return nil, l.busy(ctx, c.id, true)
	}
	if err != nil {
		return nil, l.explain(err)
	}
	c.mu.Lock()
	c.life = life
	c.mu.Unlock()
	failpoint.Here("begin.life")
	e := &execution{claim: c, life: life.File}
	if err := c.beginKept(ctx, e, s); err != nil {
		e.endLife(ledger.ReasonExit)
		l.leases.exited(c.held)
		return nil, err
	}
	c.changed()
	c.mu.Lock()
	c.run = s.RunID
	c.mu.Unlock()
	failpoint.Here("begin.done")
	e.startOutput(s)
	return e, nil
}

// beginKept is begin with a keeper, whose start comes first. So idem can die at any moment.
func (c *claim) beginKept(ctx context.Context, e *execution, s ledger.Start) error {
	l := c.ledger
	l.leases.command(c.held, s.RunID)
	if err := l.leases.keeping.command(c.held); err != nil {
		return l.explain(err)
	}
	failpoint.Here("begin.kept")
	if err := c.begin(ctx, e, s); err != nil {
		return err
	}
	if l.leases.late(c.held) { // after a suspend, for example
		c.changed()
		return l.explain(errors.Join(ledger.ErrTooLate, e.Abandon(ctx)))
	}
	return nil
}

// begin records the attempt. Most attempts need one statement. An attempt that changes
// several records needs a transaction that first locks and reads them.
func (c *claim) begin(ctx context.Context, e *execution, s ledger.Start) error {
	c.mu.Lock()
	f, dirty := c.now, c.dirty
	was, own := c.now.own.rec.Current, c.run
	simple := len(s.Mutexes) == 0 && c.ticket == 0 && !c.mutex && !c.mayHold
	c.mu.Unlock()
	if dirty {
		var err error
		if f, err = c.ledger.read(ctx, c.id); err != nil {
			return err
		}
		if now := f.own.rec.Current; now.RunID == was.RunID && now.RunID != own && now.State != was.State {
			return ledger.ErrChanged // the attempt before has got its outcome, see done.go
		}
	}
	if simple && !s.Renew && !s.Fresh && !f.own.stale && f.unchanging(s.Origin.Parent) {
		// Under the claim, records above the key may have changed since.
		if err := c.beginOne(ctx, e, s, f); !errors.Is(err, ledger.ErrChanged) {
			return err
		}
	}
	return c.beginMany(ctx, e, s, f.own.rec.Current)
}

// unchanging reports whether the record can begin as a child of parent with a change of one
// row. The zero parent keeps the recorded one. A parent that has a row above it may become
// a child of that, and then each change locks all rows above.
func (f *family) unchanging(parent ledger.ID) bool {
	if parent == (ledger.ID{}) && f.own.parent == nil {
		return len(f.above) == 0 || f.own.generation != 0
	}
	if parent == (ledger.ID{}) {
		parent = f.own.rec.Parent
	}
	above, ok := f.above[string(nameOf(parent))]
	return ok && len(f.above) == 1 && above.parent == nil && (f.own.parent == nil || f.own.rec.Parent == parent)
}

// lostColumns returns attemptColumns of a row, each with a prefix, as they are when the attempt is
// over. Without a recorded end it was lost, and the last of its output may not have reached the
// ledger.
func lostColumns(o string) string {
	columns := make([]string, len(attemptColumns))
	for i, name := range attemptColumns {
		switch name {
		case "state":
			columns[i] = "case " + o + "state when 'running' then 'failed' else " + o + "state end"
		case "reason":
			columns[i] = "case " + o + "state when 'running' then 'lost' else " + o + "reason end"
		case "truncated":
			columns[i] = o + "truncated or " + o + "state = 'running' and " + o + "storage <> 4"
		default:
			columns[i] = o + name
		}
	}
	return strings.Join(columns, ", ")
}

func (c *claim) beginOne(ctx context.Context, e *execution, s ledger.Start, f family) error {
	l, now := c.ledger, f.own.rec
	var parent []byte
	var series int64
	if p := s.Origin.Parent; p != (ledger.ID{}) {
		parent = nameOf(p)
		series = f.above[string(parent)].series
	} else if f.own.parent != nil {
		parent, series = f.own.parent, f.own.series
	}
	storage := storageUnknown
	if s.MaxOutput == 0 {
		storage = storageRefused
	}
	sql := beginSQL
	if now.Current.RunID != "" {
		sql = beginAgainSQL
	}
	stmt := l.many(sql, wire.Bytes(c.name[:]), wire.ID(c.held.holder), wire.Text(now.Current.RunID), wire.Text(string(now.Current.State)),
		wire.Int(f.own.generation), wire.Int(now.Generation), wire.Text(s.RunID), wire.Raw(s.Fingerprint), wire.Raw(s.Owner.Host),
		wire.Int(s.Owner.PID), wire.Raw(s.Owner.User), wire.BytesOrNull(parent), wire.Int(series), wire.Int(storage), wire.Text(s.Origin.RunID),
		wire.Bytes(s.Inputs))
	stmt.Each = func(row *wire.Row) error {
		e.fence, e.attempt.Number, e.attempt.Started = row.Int(), int(row.Int()), row.Time()
		return nil
	}
	e.generation = now.Generation
	since := sinceBoot()
	err := l.retry(ctx, l.opt.ConnectTimeout, func(ctx context.Context) error {
		since = sinceBoot()
		return l.session.Do(ctx, wire.Durable, stmt)
	})
	if err == nil && stmt.Rows == 0 {
		err = c.readBegun(ctx, e, s)
	}
	if err != nil {
		return fmt.Errorf("%w; nothing was started, but the key may now count as interrupted", err)
	}
	l.leases.renewed(c.held, since)
	e.begun(s, storage)
	return nil
}

// readBegun looks whether an earlier try of Begin was committed whose answer was lost. The error
// is ledger.ErrChanged if the key is not as it was when it was claimed.
func (c *claim) readBegun(ctx context.Context, e *execution, s ledger.Start) error {
	f, err := c.ledger.read(ctx, c.id)
	if err != nil {
		return err
	}
	own := f.own
	if own.rec.Current.RunID != s.RunID || own.rec.Current.State != ledger.Running || own.lease.holder != c.held.holder {
		return c.ledger.explain(ledger.ErrChanged)
	}
	e.fence, e.generation = own.rec.Fence, own.rec.Generation
	e.attempt.Number, e.attempt.Started = own.rec.Current.Number, own.rec.Current.Started
	return nil
}

// begun completes the attempt that Begin has recorded.
func (e *execution) begun(s ledger.Start, storage int) {
	a := &e.attempt
	a.RunID, a.State, a.Fingerprint, a.Inputs, a.Owner = s.RunID, ledger.Running, s.Fingerprint, s.Inputs, s.Owner
	a.NoOutput, a.ParentRun = storage == storageRefused, s.Origin.RunID
}
