package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/localdir"
)

// oldLedger is the ledger that a restore replaces. It may be damaged: a restore is for that.
type oldLedger struct {
	*Ledger
	conn   querier // nil: there is nothing to read
	unread error   // why it cannot be read whole
}

func openOld(ctx context.Context, place string, trust bool) (*oldLedger, error) {
	l, err := Options{Trust: trust}.Open(place)
	switch {
	case err == nil:
		db, err := l.database(ctx)
		if err != nil {
			return nil, l.explain(err)
		}
		o := &oldLedger{Ledger: l}
		if db != nil { // else its creation was cut off
			o.conn = db
		}
		return o, nil
	case !errors.Is(err, ledger.ErrCorrupt):
		return nil, err
	}
	o := &oldLedger{Ledger: &Ledger{dir: localdir.New(place), scripts: migrations}, unread: err}
	o.locks = filelock.New(o.dir)
	if info, err := o.dir.Lookup("ledger.db"); err == nil && info != nil && info.Size() > 0 {
		if db, err := o.connectRaw(); err == nil { // stays open, see Ledger.connect
			o.conn = db
		}
	}
	return o, nil
}

// quiet waits for the writers' turn, and checks that no call uses the ledger. Until end, no
// call can begin an attempt.
func (o *oldLedger) quiet(ctx context.Context) (end func(), err error) {
	if o.conn == nil && o.unread == nil {
		return o.uncreated()
	}
	locks, err := o.locks.Exists()
	if err != nil {
		return nil, err
	}
	if !locks { // its calls are refused
		return func() {}, nil
	}
	return o.unusedBy(func() ([]ledger.ID, error) { return o.running(ctx) })
}

// running is Ledger.running for a ledger that may be damaged. Without the list, it looks for
// processes of the running attempts that can be read.
func (o *oldLedger) running(ctx context.Context) (ids []ledger.ID, err error) {
	m := &merger{old: o}
	if o.db != nil {
		ids, err = o.Ledger.running(ctx)
		if err == nil || m.unreadable(err) != nil {
			return ids, err
		}
	}
	ids = nil
	err = m.walk(ctx, func(was recordRow, last attemptRow) error {
		if last.a.State == ledger.Running && len(filelock.LeftoversOf(last.a.RunID)) > 0 {
			ids = append(ids, was.rec.ID)
		}
		return nil
	})
	return ids[:min(len(ids), mostRunning)], err
}

// uncreated is quiet for a directory without a ledger: no call can create one until end.
func (o *oldLedger) uncreated() (end func(), err error) {
	end, err = filelock.Init(o.dir, os.O_CREATE)
	if err != nil {
		return nil, err
	}
	locks, err := o.locks.Exists()
	if locks {
		err = fmt.Errorf("%w: a call has just created a ledger there", ledger.ErrChanged)
	}
	if err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// check checks that the ledger is still at its place.
func (o *oldLedger) check() error {
	if o.unread != nil {
		return nil
	}
	return o.dir.Check()
}
