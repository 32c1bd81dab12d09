package postgres

import (
	"context"

	"idem/ledger"
	"idem/ledger/postgres/wire"
)

// step changes the tables from the format before to its own.
type step struct {
	to     int    // the format
	script string // as schema.sql
	// The oldest formats whose programs may read and write afterwards. A step that raises
	// minReader renames the table record, see newer.
	minReader, minWriter int
}

// steps are all steps, in order. There is none to format 1.
var steps []step

// Upgrade brings the tables to the format of this program, in one transaction. Roles that may use
// the ledger get the same rights on new tables.
func Upgrade(ctx context.Context, place string, o ConnectOptions) (r ledger.Report, err error) {
	l, err := o.open(place)
	if err != nil {
		return r, err
	}
	defer l.Close()
	err = l.administer(ctx, func(t *wire.Tx) (err error) {
		r, err = l.upgrade(t, steps, format)
		return err
	})
	if err != nil {
		return ledger.Report{}, err
	}
	return r, nil
}

// upgrade makes the steps up to a format.
func (l *Ledger) upgrade(t *wire.Tx, steps []step, to int) (r ledger.Report, err error) {
	m, err := l.readMetaIn(t)
	switch {
	case err != nil:
		return r, err
	case m.minWriter > to:
		return r, m.tooNew()
	case m.format >= to:
		r.Add(ledger.LevelOK, "format", "%d; nothing to do", m.format)
		return r, nil
	}
	now := m.format
	for _, s := range steps {
		if s.to <= now || s.to > to {
			continue
		}
		var stmts []*wire.Stmt
		for _, sql := range statements(s.script) {
			stmts = append(stmts, l.stmt(sql))
		}
		stmts = append(stmts, l.stmt("update {s}.meta set format = $1, min_reader = $2, min_writer = $3", wire.Int(s.to), wire.Int(s.minReader), wire.Int(s.minWriter)))
		if err := t.Do(stmts...); err != nil {
			return r, err
		}
		now = s.to
	}
	roles, err := l.grantees(t)
	if err != nil {
		return r, err
	}
	for _, role := range roles {
		if err := l.grant(t, role); err != nil {
			return r, err
		}
	}
	r.Add(ledger.LevelOK, "format", "%d; it was %d", now, m.format)
	return r, nil
}

// grantees returns the roles that may use the ledger, but for the owner.
func (l *Ledger) grantees(t *wire.Tx) (roles []string, err error) {
	s := l.stmt(`select pg_catalog.pg_get_userbyid(a.grantee)::pg_catalog.text from pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
		where c.oid = $1::pg_catalog.text::pg_catalog.regclass and a.privilege_type = 'USAGE' and a.grantee <> 0 and a.grantee <> c.relowner order by 1`,
		wire.Text(l.schema.Replace("{s}.number")))
	s.Each = func(row *wire.Row) error { roles = append(roles, row.Text()); return nil }
	err = t.Do(s)
	return roles, err
}
