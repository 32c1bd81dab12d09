package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/postgres/wire"
)

// Confirm accepts the present content of the ledger: after a promotion or a restore for all
// hosts, and if another ledger is at the URL for this host. For all hosts, it needs the right to
// change the table meta, which only the owner of the tables has.
func Confirm(ctx context.Context, place string, o ConnectOptions) (Report, error) {
	l, err := o.open(place)
	if err != nil {
		return Report{}, err
	}
	defer l.Close()
	var r Report
	var now meta
	var system bool
	err = l.administer(ctx, func(t *wire.Tx) (err error) {
		r = Report{}
		if now, system, err = l.confirm(t, &r); err != nil {
			return err
		}
		return nil
	})
	if errors.Is(err, ledger.ErrDenied) {
		return Report{}, fmt.Errorf("%w; only the role that owns the tables may confirm", err)
	}
	if err != nil {
		return Report{}, err
	}
	if err := l.confirmHere(&r, now.ledger); err != nil {
		return r, l.explain(err)
	}
	if len(r.Lines) == 0 && system {
		r.add(LevelOK, "timeline", "%d is confirmed; nothing to do", now.timeline)
	}
	return r, nil
}

// confirm stores the present timeline and database system, if they are others. same reports
// whether the system is the one that was stored.
func (l *Ledger) confirm(t *wire.Tx, r *Report) (m meta, same bool, err error) {
	if m, err = l.lockMeta(t); err != nil {
		return m, false, err
	}
	switch {
	case m.minWriter > format:
		return m, false, ledger.ErrVersion
	case m.timeline == 0:
		return m, false, fmt.Errorf("%w: the server is a standby", ledger.ErrReadOnly)
	}
	s := l.stmt("select system = " + systemNow + " from {s}.meta")
	s.Each = func(row *wire.Row) error { same = row.Bool(); return nil }
	if err := t.Do(s); err != nil || same && m.timeline == m.confirmed {
		return m, same, err
	}
	if m.timeline != m.confirmed {
		r.add(LevelOK, "timeline", "%d is confirmed for all hosts; it was %d", m.timeline, m.confirmed)
	}
	if !same {
		r.add(LevelOK, "system", "the database system is confirmed for all hosts; the tables come from another one")
	}
	return m, same, t.Do(l.stmt("update {s}.meta set timeline = $1, system = "+systemNow, wire.Int(m.timeline)))
}

// confirmHere makes the ledger the one that this host expects at the URL.
func (l *Ledger) confirmHere(r *Report, id wire.UUID) error {
	known, err := l.knownID()
	if err != nil || known == id || known == (wire.UUID{}) {
		return err
	}
	if err := l.learnID(id); err != nil {
		return err
	}
	r.add(LevelOK, "host", "ledger %s is confirmed for this host; it was %s", uuid.UUID(id), uuid.UUID(known))
	return nil
}
