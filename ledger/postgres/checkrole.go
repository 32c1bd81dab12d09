package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"idem/ledger"
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
	var most, used, free, age, behind int64
	s := l.stmt(`select pg_catalog.current_setting('default_transaction_isolation'),
		n.most, n.used, n.most - n.used,
		(select coalesce(extract(epoch from pg_catalog.max(pg_catalog.clock_timestamp() - a.xact_start)), 0)::pg_catalog.int8
			from pg_catalog.pg_stat_activity a where a.backend_xmin is not null),
		(select s.last - s.oldest from (select pg_catalog.pg_snapshot_xmax(x.now)::pg_catalog.text::pg_catalog.int8 as last,
			pg_catalog.pg_snapshot_xmin(x.now)::pg_catalog.text::pg_catalog.int8 as oldest from (select pg_catalog.pg_current_snapshot() as now) x) s)
		from (select pg_catalog.current_setting('max_connections')::pg_catalog.int8
				- pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int8 as most,
			(select pg_catalog.count(*) from pg_catalog.pg_stat_activity a where a.usesysid is not null) as used) n`)
	s.Each = func(row *wire.Row) error {
		isolation, most, used, free, age, behind = row.Text(), row.Int(), row.Int(), row.Int(), row.Int(), row.Int()
		return nil
	}
	if err := l.do(ctx, wire.Read, s); err != nil {
		return err
	}
	if isolation != "read committed" {
		c.Add(ledger.LevelWarning, "isolation", "%s is the default of role %s: calls at the same moment repeat their statements", isolation, l.cfg.User()).
			SetHint("alter role %s set default_transaction_isolation = 'read committed'", quoteName(l.cfg.User()))
	}
	level := ledger.LevelOK
	if free < fewConnections {
		level = ledger.LevelWarning
	}
	line := c.Add(level, "connections", "%d of %d are used", used, most)
	if level != ledger.LevelOK {
		line.SetHint("use a pooler, or a greater max_connections")
	}
	switch old := time.Duration(age) * time.Second; {
	case old >= longTransaction:
		c.Add(ledger.LevelWarning, "vacuum", "a transaction is open for %v, and rows that were replaced since cannot be freed", old).
			SetHint("find it in pg_stat_activity")
	case behind >= manyBehind:
		c.Add(ledger.LevelWarning, "vacuum", "%d transactions began since the oldest open one, and rows that were replaced since cannot be freed", behind).
			SetHint("find it in pg_stat_activity")
	default:
		c.Add(ledger.LevelOK, "vacuum", "no transaction is open for long")
	}
	return nil
}

// rights looks at what the role may do.
func (c *check) rights(ctx context.Context) error {
	l := c.ledger
	var missing, gone []string
	var owns, creates, super bool
	var hidden string
	may := l.stmt(`select t.name, t.needs, t.is is null from (
			select 'meta' as name, 'select' as needs, pg_catalog.to_regclass($1::pg_catalog.text || '.meta') as is
			union all select n, p, pg_catalog.to_regclass($1::pg_catalog.text || '.' || n)
				from pg_catalog.unnest($2::pg_catalog.text[]) n, pg_catalog.unnest('{select,insert,update,delete}'::pg_catalog.text[]) p
			union all select 'number', 'usage', pg_catalog.to_regclass($1::pg_catalog.text || '.number')) t
		where t.is is null or not case t.needs when 'usage' then pg_catalog.has_sequence_privilege(t.is, t.needs)
			else pg_catalog.has_table_privilege(t.is, t.needs) end`, wire.Text(l.schema.Replace("{s}")), wire.TextArray(rowTables))
	may.Each = func(row *wire.Row) error {
		name, needs := row.Text(), row.Text()
		if !row.Bool() {
			missing = append(missing, name+": "+needs)
		} else if !slices.Contains(gone, name) {
			gone = append(gone, name)
		}
		return nil
	}
	more := l.stmt(`select pg_catalog.pg_has_role(c.relowner, 'member'), pg_catalog.has_schema_privilege(c.relnamespace, 'create'), r.rolsuper,
		coalesce((select pg_catalog.string_agg(t.relname::pg_catalog.text, ', ' order by t.relname) from pg_catalog.pg_class t
			where t.relnamespace = c.relnamespace and t.relkind = 'r' and pg_catalog.row_security_active(t.oid)), '')
		from pg_catalog.pg_class c, pg_catalog.pg_roles r where c.oid = $1::pg_catalog.text::pg_catalog.regclass and r.rolname = current_user`,
		wire.Text(l.schema.Replace("{s}.meta")))
	more.Each = func(row *wire.Row) error {
		owns, creates, super, hidden = row.Bool(), row.Bool(), row.Bool(), row.Text()
		return nil
	}
	if err := l.do(ctx, wire.Read, may, more); err != nil {
		return err
	}
	user := l.cfg.User()
	if len(gone) > 0 {
		c.Add(ledger.LevelFault, "tables", "missing: %s", strings.Join(gone, ", ")).SetHint("restore the database from a backup; see docs/recovery.md")
	}
	if hidden != "" {
		c.Add(ledger.LevelWarning, "rights", "row security is active in tables: %s; calls of keys whose rows it hides are refused", hidden).
			SetHint("give each tenant a schema of its own")
	}
	switch {
	case len(missing) > 0:
		c.Add(ledger.LevelFault, "rights", "role %s lacks rights: %s", user, strings.Join(missing, ", ")).SetHint("as the owner: %s", c.grantHint())
	case super:
		c.Add(ledger.LevelWarning, "rights", "role %s is a superuser, and needs only to read and change rows", user).SetHint("use a role of: %s", c.asOwner("init --grant ROLE"))
	case owns || creates:
		c.Add(ledger.LevelWarning, "rights", "role %s may change the tables, and needs only to read and change rows", user).SetHint("use a role of: %s", c.asOwner("init --grant ROLE"))
	default:
		c.Add(ledger.LevelOK, "rights", "role %s may read and change rows, and no more", user)
	}
	return nil
}
