package postgres

import (
	"strconv"
	"strings"

	"idem/ledger/postgres/wire"
)

// input returns the rows of parameters of a statement with wire.Stmt.Many, as the table i. Each
// column is a name and a type of pg_catalog. The column n is added: the number of the request.
// The server expands unnest with several arrays to pg_catalog.unnest only without a schema.
func input(columns ...string) string {
	columns = append(columns, "n int8")
	arrays, names := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		name, typ, _ := strings.Cut(c, " ")
		arrays[i], names[i] = "$"+strconv.Itoa(i+1)+"::pg_catalog."+typ+"[]", name
	}
	return "i as materialized (select * from unnest(" + strings.Join(arrays, ", ") + ") as i (" + strings.Join(names, ", ") + "))"
}

// many returns a statement that is made for one row, and together with those of other requests
// of the same SQL for many rows.
func (l *Ledger) many(sql string, row ...wire.Arg) *wire.Stmt {
	s := l.stmt(sql)
	s.Many = [][]wire.Arg{row}
	return s
}

// The statements lock rows in the order of their names, so that two of them cannot wait for each
// other.

// claimSQL takes the claim of a record, and creates its row. It does nothing while another
// holder's lease is valid, unless that holder was on this host: its lock is free, so it is dead. If
// its attempt has no recorded end, its processes must have been searched first. A keeper would end
// them when it finds another holder in the row. person is for a claim that only a person may end.
// It also does nothing if the server has forgotten the witness of the host.
// It is not durable: if the server forgets it, Begin finds another holder or none. The row of a
// key without a history has generation 0, see family.resolve. It returns whether only a person
// could end the claim before, from the row as it was, and meta.confirmations.
var claimSQL = "with " + input("id bytea", "namespace bytea", "key bytea", "win bytea", "holder uuid", "site uuid", "host bytea", "pid int8", "lease int8",
	"takeover bool", "ledger uuid", "format int8", "searched bool", "person bool", "witness bytea", "fence int8") + `,
	c as (insert into {s}.record as r (id, namespace, key, win, generation, fence, holder, site, claim_host, claim_pid, lease, renewed, lease_until, takeover)
		select i.id, i.namespace, i.key, i.win, 0, 0, i.holder, i.site, i.host, i.pid, i.lease, pg_catalog.clock_timestamp(),
			pg_catalog.clock_timestamp() + i.lease * '1 microsecond'::pg_catalog.interval, i.takeover
		from i where exists (select 1 from {s}.meta m where m.ledger = i.ledger and m.min_writer <= i.format
			and (m.failover = 'accept' or m.timeline = ` + timelineNow + `))
			and (i.witness is null or exists (select 1 from {s}.record w where w.id = i.witness and ` + witnessed("i.fence") + `))
		order by i.id
		on conflict (id) do update set holder = excluded.holder, site = excluded.site, claim_host = excluded.claim_host,
			claim_pid = excluded.claim_pid, lease = excluded.lease, renewed = excluded.renewed,
			lease_until = excluded.lease_until, takeover = excluded.takeover
		where r.holder is null or r.holder = excluded.holder
			or r.site = excluded.site and (r.state <> 'running' or exists (select 1 from i where i.id = excluded.id and i.searched))
			or r.lease_until < pg_catalog.clock_timestamp() and (r.takeover or exists (select 1 from i where i.id = excluded.id and i.person))
		returning r.id)
	select i.n, coalesce((select r.holder is not null and not r.takeover from {s}.record r where r.id = i.id), false),
		(select m.confirmations from {s}.meta m)
	from i join c on c.id = i.id`

// beginSQL moves the current attempt to the table attempt, and stores the new one in its place.
// A running one was lost. The row of the parent is locked against a new series until the commit.
// The parent has no parent, so it is not stale.
var beginSQL = "with " + input("id bytea", "holder uuid", "was_run text", "was_state text", "was_generation int8", "generation int8", "run_id text",
	"fingerprint bytea", "host bytea", "pid int8", "usr bytea", "parent bytea", "series int8", "storage int8", "parent_run text", "inputs bytea") + `,
	p as materialized (select r.id, r.series from {s}.record r where r.id in (select i.parent from i) and r.parent is null
		order by r.id for key share),
	o as materialized (select r.*, i.n as request from i join {s}.record r on r.id = i.id
		where r.holder = i.holder and r.run_id = i.was_run and r.state = i.was_state and r.generation = i.was_generation
			and (i.parent is null or exists (select 1 from p where p.id = i.parent and p.series = i.series))
		order by r.id for no key update of r),
	h as (insert into {s}.attempt (id, seq, inline, ` + columnsOf("", attemptColumns) + `)
		select o.id, o.seq, o.inline, ` + lostColumns() + ` from o where o.run_id <> ''),
	u as (update {s}.record r set generation = i.generation, fence = q.number, seq = q.number, attempts = r.attempts + 1,
			parent = i.parent, parent_series = case when i.parent is null then 0 else i.series end, done = 0,
			number = r.attempts + 1, run_id = i.run_id, state = 'running', reason = '', exit_code = 0, signal = 0,
			started = pg_catalog.clock_timestamp(), ended = null, fingerprint = i.fingerprint, host = i.host, pid = i.pid, usr = i.usr, note = '',
			output_bytes = 0, truncated = false, incomplete = false, redacted = false, files = 0, storage = i.storage, size = 0, sum = 0,
			chunks = 0, parent_run = i.parent_run, inputs = i.inputs, inline = null, renewed = pg_catalog.clock_timestamp(),
			lease_until = pg_catalog.clock_timestamp() + r.lease * '1 microsecond'::pg_catalog.interval
		from (select o.request, pg_catalog.nextval({number}::pg_catalog.regclass) as number from o) q join i on i.n = q.request
		where r.id = i.id
		returning r.id, r.fence, r.attempts, r.started)
	select i.n, u.fence, u.attempts, u.started from i join u on u.id = i.id`

// finishSQL records an outcome. It does not ask for the holder: an attempt whose lease has ended
// can be finished as long as no other attempt or mark has taken its place. With final, the claim
// is given back in the same commit. A success that the command has recorded itself, see done.go,
// gets its output, and remains a success whatever the outcome is. age is the time in microseconds
// since the end.
var finishSQL = "with " + input("id bytea", "run_id text", "fence int8", "final bool", "holder uuid", "state text", "reason text", "exit_code int8",
	"signal int8", "output_bytes int8", "truncated bool", "incomplete bool", "redacted bool", "files int8", "storage int8", "size int8", "sum int8",
	"chunks int8", "inline bytea", "done int8", "age int8") + `,
	o as materialized (select r.id, i.n as request from i join {s}.record r on r.id = i.id
		where r.run_id = i.run_id and r.fence = i.fence and (r.state = 'running' or r.state = 'succeeded' and r.reason = 'transaction')
		order by r.id for no key update of r),
	u as (update {s}.record r set state = case when r.state = 'running' then i.state else r.state end,
			reason = case when r.state = 'running' or i.state = 'succeeded' then i.reason else r.reason end,
			exit_code = case when r.state = 'running' or i.state = 'succeeded' then i.exit_code else r.exit_code end,
			signal = case when r.state = 'running' or i.state = 'succeeded' then i.signal else r.signal end,
			ended = greatest(r.started, pg_catalog.clock_timestamp() - i.age * '1 microsecond'::pg_catalog.interval),
			output_bytes = i.output_bytes, truncated = i.truncated, incomplete = i.incomplete, redacted = i.redacted, files = i.files,
			storage = i.storage, size = i.size, sum = i.sum, chunks = i.chunks, inline = i.inline,
			done = case when r.parent is null then 0 when r.state = 'running' or i.state = 'succeeded' then i.done else r.done end,
			holder = case when i.final and r.holder = i.holder then null else r.holder end
		from o join i on i.n = o.request where r.id = o.id
		returning r.id, r.ended, r.state, r.reason, r.exit_code, r.signal)
	select i.n, u.ended, u.state, u.reason, u.exit_code, u.signal from i join u on u.id = i.id`

// giveBackSQL ends a claim.
var giveBackSQL = "with " + input("id bytea", "holder uuid") + `,
	o as materialized (select r.id, i.n as request from i join {s}.record r on r.id = i.id where r.holder = i.holder order by r.id for no key update of r),
	u as (update {s}.record r set holder = null from o where r.id = o.id returning r.id)
	select i.n from i join u on u.id = i.id`

// renewSQL renews leases. It returns the run ID of an attempt that has no recorded end.
var renewSQL = "with " + input("id bytea", "holder uuid") + `,
	o as materialized (select r.id from i join {s}.record r on r.id = i.id where r.holder = i.holder order by r.id for no key update of r),
	u as (update {s}.record r set renewed = pg_catalog.clock_timestamp(),
			lease_until = pg_catalog.clock_timestamp() + r.lease * '1 microsecond'::pg_catalog.interval
		from o where r.id = o.id returning r.id, case r.state when 'running' then r.run_id else '' end as run)
	select i.n, u.id, u.run from i join u on u.id = i.id`
