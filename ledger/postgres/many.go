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

// oneRow is the only row of parameters of a statement, as the table i.
func oneRow(columns ...string) string {
	selected := make([]string, len(columns))
	for i, c := range columns {
		name, typ, _ := strings.Cut(c, " ")
		selected[i] = "$" + strconv.Itoa(i+1) + "::pg_catalog." + typ + " as " + name
	}
	return "(select " + strings.Join(selected, ", ") + ") i"
}

// many returns a statement that is made for one row, and together with those of other requests
// of the same SQL for many rows.
func (l *Ledger) many(sql string, row ...wire.Arg) *wire.Stmt {
	s := l.stmt(sql)
	s.Many = [][]wire.Arg{row}
	return s
}

// A statement locks rows in the order of their names, so that two of them cannot wait for each other. A
// group of requests has several statements in one transaction. The rows of two groups differ, since
// each one is of a claim. Only a renewal locks rows of other groups, so it waits for none.

// claimSQL takes the claim of a record, and creates its row. It does nothing while another
// holder's lease is valid, unless that holder was on this host: its lock is free, so it is dead. If
// its attempt has no recorded end, its processes must have been searched first. A keeper would end
// them when it finds another holder in the row. It also does nothing if the server was promoted, or
// has forgotten the witness of the host. person is for a claim that only a person may take.
// It is not durable: if the server forgets it, Begin finds another holder or none. The row of a
// key without a history has generation 0, see family.resolve.
var claimSQL = "with " + input(claimRow...) + ", c as (" + claimInsert("i", "exists (select 1 from i where i.id = excluded.id and i.searched)",
	"exists (select 1 from i where i.id = excluded.id and i.person)") + `
		returning r.id, r as row)
	select i.n, ` + claimResult("i.id", "c.row") + " from i join c on c.id = i.id"

// claimOne is claimSQL for one row.
var claimOne = claimInsert(oneRow(claimRow...), "$17", "$18") + " returning " + claimResult("r.id", "r")

var claimRow = []string{
	"id bytea", "namespace bytea", "key bytea", "win bytea", "holder uuid", "site uuid", "host bytea", "pid int8", "lease int8",
	"takeover bool", "ledger uuid", "format int8", "witness bytea", "fence int8", "witness_generation int8",
	"witness_run text", "searched bool", "person bool",
}

func claimInsert(rows, searched, person string) string {
	return `insert into {s}.record as r (id, namespace, key, win, generation, fence, holder, site, claim_host, claim_pid, lease, renewed, lease_until, takeover)
		select i.id, i.namespace, i.key, i.win, 0, 0, i.holder, i.site, i.host, i.pid, i.lease, pg_catalog.clock_timestamp(),
			pg_catalog.clock_timestamp() + i.lease * '1 microsecond'::pg_catalog.interval, i.takeover
		from ` + rows + ` where exists (select 1 from {s}.meta m where m.ledger = i.ledger and m.min_writer <= i.format
			and (m.failover = 'accept' or i.person or m.timeline = ` + timelineNow + `))
			and (i.witness is null or i.person or exists (select 1 from {s}.record w where w.id = i.witness and ` + witnessed("i.fence", "i.witness_generation", "i.witness_run") + `))
		order by i.id
		on conflict (id) do update set holder = excluded.holder, site = excluded.site, claim_host = excluded.claim_host,
			claim_pid = excluded.claim_pid, lease = excluded.lease, renewed = excluded.renewed,
			lease_until = excluded.lease_until, takeover = excluded.takeover
		where r.holder is null or r.holder = excluded.holder
			or r.site = excluded.site and (r.state <> 'running' or ` + searched + `)
			or r.lease_until < pg_catalog.clock_timestamp() and (r.takeover or ` + person + `)`
}

// claimResult is what claimSQL returns of a record: whether only a person could end the claim
// before, meta.confirmations, and what scanWhole reads.
func claimResult(id, row string) string {
	return "coalesce((select b.holder is not null and not b.takeover from {s}.record b where b.id = " + id + `), false),
		(select m.confirmations from {s}.meta m), pg_catalog.clock_timestamp(), ` + row
}

// beginSQL stores the first attempt of records without a history. The row of the parent is locked
// against a new series until the commit. The parent has no parent, so it is not stale.
var beginSQL = beginFrom("select i.* ", "")

// beginAgainSQL is beginSQL for records with a history. It moves the current attempt to the table
// attempt. A running one was lost.
var beginAgainSQL = beginFrom("select i.*, r as old ", `
	h as (insert into {s}.attempt (id, seq, inline, `+columnsOf("", attemptColumns)+`)
		select o.id, (o.old).seq, (o.old).inline, `+lostColumns("(o.old).")+` from o where (o.old).run_id <> ''),`)

func beginFrom(selected, history string) string {
	return "with " + input("id bytea", "holder uuid", "was_run text", "was_state text", "was_generation int8", "generation int8", "run_id text",
		"fingerprint bytea", "host bytea", "pid int8", "usr bytea", "parent bytea", "series int8", "storage int8", "parent_run text", "inputs bytea") + `,
	p as materialized (select r.id, r.series from {s}.record r where r.id in (select i.parent from i) and r.parent is null
		order by r.id for key share),
	o as materialized (` + selected + `from i join {s}.record r on r.id = i.id
		where r.holder = i.holder and r.run_id = i.was_run and r.state = i.was_state and r.generation = i.was_generation
			and (i.parent is null or exists (select 1 from p where p.id = i.parent and p.series = i.series))
		order by r.id for no key update of r),` + history + `
	q as materialized (select o.*, pg_catalog.nextval({number}::pg_catalog.regclass) as number from o)
	update {s}.record r set generation = q.generation, fence = q.number, seq = q.number, attempts = r.attempts + 1,
			parent = q.parent, parent_series = case when q.parent is null then 0 else q.series end, done = 0,
			number = r.attempts + 1, run_id = q.run_id, state = 'running', reason = '', exit_code = 0, signal = 0,
			started = pg_catalog.clock_timestamp(), ended = null, fingerprint = q.fingerprint, host = q.host, pid = q.pid, usr = q.usr, note = '',
			output_bytes = 0, truncated = false, incomplete = false, redacted = false, files = 0, storage = q.storage, size = 0, sum = 0,
			chunks = 0, parent_run = q.parent_run, inputs = q.inputs, inline = null, renewed = pg_catalog.clock_timestamp(),
			lease_until = pg_catalog.clock_timestamp() + r.lease * '1 microsecond'::pg_catalog.interval
		from q where r.id = q.id
		returning q.n, r.fence, r.attempts, r.started`
}

// finishSQL records an outcome. It does not ask for the holder: an attempt whose lease has ended
// can be finished as long as no other attempt or mark has taken its place. The fence is compared
// with the order of the current attempt. After another attempt was abandoned, the record has the
// fence of that one, but the order of this one. With final, the claim is given back in the same
// commit. A success that the command has recorded itself, see done.go,
// gets its output, and remains a success whatever the outcome is. age is the time in microseconds
// since the end.
var finishSQL = "with " + input("id bytea", "run_id text", "fence int8", "final bool", "holder uuid", "state text", "reason text", "exit_code int8",
	"signal int8", "output_bytes int8", "truncated bool", "incomplete bool", "redacted bool", "files int8", "storage int8", "size int8", "sum int8",
	"chunks int8", "inline bytea", "done int8", "age int8") + `,
	o as materialized (select i.* from i join {s}.record r on r.id = i.id
		where r.run_id = i.run_id and r.seq = i.fence and (r.state = 'running' or r.state = 'succeeded' and r.reason = 'transaction')
		order by r.id for no key update of r)
	update {s}.record r set state = case when r.state = 'running' then o.state else r.state end,
			reason = case when r.state = 'running' or o.state = 'succeeded' then o.reason else r.reason end,
			exit_code = case when r.state = 'running' or o.state = 'succeeded' then o.exit_code else r.exit_code end,
			signal = case when r.state = 'running' or o.state = 'succeeded' then o.signal else r.signal end,
			ended = greatest(r.started, pg_catalog.clock_timestamp() - o.age * '1 microsecond'::pg_catalog.interval),
			output_bytes = o.output_bytes, truncated = o.truncated, incomplete = o.incomplete, redacted = o.redacted, files = o.files,
			storage = o.storage, size = o.size, sum = o.sum, chunks = o.chunks, inline = o.inline,
			done = case when r.parent is null then 0 when r.state = 'running' or o.state = 'succeeded' then o.done else r.done end,
			holder = case when o.final and r.holder = o.holder then null else r.holder end
		from o where r.id = o.id
		returning o.n, r.ended, r.state, r.reason, r.exit_code, r.signal, r.generation`

// giveBackSQL ends a claim.
var giveBackSQL = "with " + input("id bytea", "holder uuid") + `,
	o as materialized (select r.id, i.n from i join {s}.record r on r.id = i.id where r.holder = i.holder order by r.id for no key update of r)
	update {s}.record r set holder = null from o where r.id = o.id returning o.n`

// renewSQL renews leases. It returns each row that still has its holder, and whether it was renewed. A
// row that another transaction has locked is not: it may be one of a group that waits for a row of
// this statement. The run ID is that of an attempt that has no recorded end.
var renewSQL = "with " + input("id bytea", "holder uuid") + `,
	o as materialized (select r.id from i join {s}.record r on r.id = i.id where r.holder = i.holder
		order by r.id for no key update of r skip locked),
	u as (update {s}.record r set renewed = pg_catalog.clock_timestamp(),
			lease_until = pg_catalog.clock_timestamp() + r.lease * '1 microsecond'::pg_catalog.interval
		from o where r.id = o.id returning r.id, case r.state when 'running' then r.run_id else '' end as run)
	select i.n, r.id, u.id is not null, coalesce(u.run, '')
		from i join {s}.record r on r.id = i.id and r.holder = i.holder left join u on u.id = r.id`
