package postgres

import (
	"context"
	"strings"
	"time"

	"idem/ledger/postgres/wire"
)

// The limits from which on Check warns.
const (
	fewConnections  = 10
	longTransaction = time.Hour
	manyBehind      = 1_000_000 // transactions
)

// settings looks at settings of the role and the database that idem depends on, and at what other
// sessions take.
func (c *check) settings(ctx context.Context) error {
	l := c.ledger
	var isolation string
	var limit, most, used, free, age, behind int64
	s := l.stmt(`select pg_catalog.current_setting('default_transaction_isolation'),
		(select s.setting::pg_catalog.int8 from pg_catalog.pg_settings s where s.name = 'statement_timeout'),
		n.most, n.used, n.most - n.used,
		(select coalesce(extract(epoch from pg_catalog.max(pg_catalog.clock_timestamp() - a.xact_start)), 0)::pg_catalog.int8
			from pg_catalog.pg_stat_activity a where a.backend_xmin is not null),
		(select s.last - s.oldest from (select pg_catalog.pg_snapshot_xmax(x.now)::pg_catalog.text::pg_catalog.int8 as last,
			pg_catalog.pg_snapshot_xmin(x.now)::pg_catalog.text::pg_catalog.int8 as oldest from (select pg_catalog.pg_current_snapshot() as now) x) s)
		from (select pg_catalog.current_setting('max_connections')::pg_catalog.int8
				- pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int8 as most,
			(select pg_catalog.count(*) from pg_catalog.pg_stat_activity a where a.usesysid is not null) as used) n`)
	s.Each = func(row *wire.Row) error {
		isolation, limit, most, used, free, age, behind = row.Text(), row.Int(), row.Int(), row.Int(), row.Int(), row.Int(), row.Int()
		return nil
	}
	if err := l.do(ctx, wire.Read, s); err != nil {
		return err
	}
	user := quoteName(l.cfg.User())
	if isolation != "read committed" {
		c.add(LevelWarning, "isolation", "%s is the default of role %s: calls at the same moment repeat their statements", isolation, l.cfg.User()).
			hint("alter role %s set default_transaction_isolation = 'read committed'", user)
	}
	if limit > 0 && time.Duration(limit)*time.Millisecond < tryTimeout {
		c.add(LevelWarning, "statement_timeout", "%v: large outputs and lists may fail", time.Duration(limit)*time.Millisecond).
			hint("alter role %s set statement_timeout = 0", user)
	}
	level := LevelOK
	if free < fewConnections {
		level = LevelWarning
	}
	line := c.add(level, "connections", "%d of %d are used", used, most)
	if level != LevelOK {
		line.hint("use a pooler, or a greater max_connections")
	}
	switch old := time.Duration(age) * time.Second; {
	case old >= longTransaction:
		c.add(LevelWarning, "vacuum", "a transaction is open for %v, and rows that were replaced since cannot be freed", old).
			hint("find it in pg_stat_activity")
	case behind >= manyBehind:
		c.add(LevelWarning, "vacuum", "%d transactions began since the oldest open one, and rows that were replaced since cannot be freed", behind).
			hint("find it in pg_stat_activity")
	default:
		c.add(LevelOK, "vacuum", "no transaction is open for long")
	}
	return nil
}

// rights looks at what the role may do.
func (c *check) rights(ctx context.Context) error {
	l := c.ledger
	var missing []string
	var owns, creates, super bool
	may := l.stmt(`select t.name || ': ' || t.needs from (
			select 'meta' as name, 'select' as needs, pg_catalog.has_table_privilege($1::pg_catalog.text || '.meta', 'select') as has
			union all select n, p, pg_catalog.has_table_privilege($1::pg_catalog.text || '.' || n, p)
				from pg_catalog.unnest($2::pg_catalog.text[]) n, pg_catalog.unnest('{select,insert,update,delete}'::pg_catalog.text[]) p
			union all select 'number', 'usage', pg_catalog.has_sequence_privilege($1::pg_catalog.text || '.number', 'usage')) t
		where not t.has`, wire.Text(l.schema.Replace("{s}")), wire.TextArray(rowTables))
	may.Each = func(row *wire.Row) error { missing = append(missing, row.Text()); return nil }
	more := l.stmt(`select pg_catalog.pg_has_role(c.relowner, 'member'), pg_catalog.has_schema_privilege(c.relnamespace, 'create'), r.rolsuper
		from pg_catalog.pg_class c, pg_catalog.pg_roles r where c.oid = $1::pg_catalog.text::pg_catalog.regclass and r.rolname = current_user`,
		wire.Text(l.schema.Replace("{s}.record")))
	more.Each = func(row *wire.Row) error { owns, creates, super = row.Bool(), row.Bool(), row.Bool(); return nil }
	if err := l.do(ctx, wire.Read, may, more); err != nil {
		return err
	}
	user := l.cfg.User()
	switch {
	case len(missing) > 0:
		c.add(LevelFault, "rights", "role %s lacks rights: %s", user, strings.Join(missing, ", ")).hint("as the owner: %s", l.grantHint())
	case super:
		c.add(LevelWarning, "rights", "role %s is a superuser, and needs only to read and change rows", user).hint("use a role of: idem ledger init --grant ROLE URL")
	case owns || creates:
		c.add(LevelWarning, "rights", "role %s may change the tables, and needs only to read and change rows", user).hint("use a role of: idem ledger init --grant ROLE URL")
	default:
		c.add(LevelOK, "rights", "role %s may read and change rows, and no more", user)
	}
	return nil
}
