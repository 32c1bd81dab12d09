package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/postgres/dsn"
	"idem/ledger/postgres/wire"
)

// Confirm accepts the present content of the ledger. After a promotion or a restore, it does so for
// all hosts. The role then needs the right to change the table meta. Only the owner of the tables
// has this right.
// If another ledger is at the URL, or the server has forgotten what this host had recorded, Confirm
// accepts that for this host.
func Confirm(ctx context.Context, place string, o ConnectOptions) (ledger.Report, error) {
	l, err := o.open(place)
	if err != nil {
		return ledger.Report{}, err
	}
	defer l.Close()
	var r ledger.Report
	var now meta
	var denied bool
	err = l.administer(ctx, func(t *wire.Tx) (err error) {
		r = ledger.Report{}
		now, err = l.confirm(t, &r)
		denied = len(r.Lines) > 0 && dsn.Class(err) == dsn.Denied
		return err
	})
	if denied {
		err = fmt.Errorf("%w; only the role that owns the tables may confirm for all hosts", err)
	}
	if err != nil {
		return ledger.Report{}, err
	}
	if err := l.confirmHere(&r, now.ledger); err != nil {
		return r, l.explain(err)
	}
	forgotten, err := l.forgetWitness(ctx, now.ledger)
	if err != nil {
		return r, err
	}
	if forgotten && len(r.Lines) == 0 { // restored at the same timeline
		err = l.administer(ctx, func(t *wire.Tx) error { return t.Do(l.stmt("update {s}.meta set confirmations = confirmations + 1")) })
		switch {
		case err == nil:
			r.Add(ledger.LevelOK, "forgotten", "what the database has forgotten is confirmed for all hosts")
		case errors.Is(err, ledger.ErrDenied):
			r.Add(ledger.LevelOK, "forgotten", "what the database has forgotten is confirmed for this host; the owner of the tables can confirm it for all hosts")
		default:
			return r, err
		}
	}
	if len(r.Lines) == 0 {
		r.Add(ledger.LevelOK, "timeline", "%d is confirmed; nothing to do", now.timeline)
	}
	return r, nil
}

// confirm stores the present timeline and database system, if they have changed.
func (l *Ledger) confirm(t *wire.Tx, r *ledger.Report) (m meta, err error) {
	if m, err = l.readMetaIn(t); err != nil {
		return m, err
	}
	switch {
	case m.minWriter > format:
		return m, m.tooNew()
	case m.timeline == 0:
		return m, fmt.Errorf("%w: the server is a standby", ledger.ErrReadOnly)
	}
	var same bool
	s := l.stmt("select system = " + systemNow + " from {s}.meta")
	s.Each = func(row *wire.Row) error { same = row.Bool(); return nil }
	if err := t.Do(s); err != nil || same && m.timeline == m.confirmed {
		return m, err
	}
	if m.timeline != m.confirmed {
		r.Add(ledger.LevelOK, "timeline", "%d is confirmed for all hosts; it was %d", m.timeline, m.confirmed)
	}
	if !same {
		r.Add(ledger.LevelOK, "system", "the database system is confirmed for all hosts; the tables come from another one")
	}
	return m, t.Do(l.stmt("update {s}.meta set confirmations = confirmations + 1, timeline = $1, system = "+systemNow, wire.Int(m.timeline)))
}

// confirmHere makes the ledger the one that this host expects at the URL.
func (l *Ledger) confirmHere(r *ledger.Report, id wire.UUID) error {
	known, err := l.knownID()
	if err != nil || known == (wire.UUID{}) {
		return err
	}
	if known != id {
		if err := l.learnID(id); err != nil {
			return err
		}
		r.Add(ledger.LevelOK, "host", "ledger %s is confirmed for this host; it was %s", uuid.UUID(id), uuid.UUID(known))
	}
	return nil
}
