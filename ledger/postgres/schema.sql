-- The tables of format 1. {s} is the quoted schema. Text that users choose is bytea, so that
-- every byte of it comes back. docs/ARCHITECTURE.md says why the tables are as they are.

create table {s}.meta (
	one boolean primary key default true check (one),
	ledger uuid not null,            -- this ledger, also after a move of the server
	format integer not null,
	min_reader integer not null,     -- the oldest format whose programs may read; an upgrade that raises it renames record
	min_writer integer not null,     -- the oldest format whose programs may write
	timeline integer not null,       -- of the server's log, as confirmed last
	system bigint not null,          -- the server's system identifier
	failover text not null,          -- refuse or accept
	confirmations bigint not null default 1, -- how often a person has accepted the content for all hosts
	secret bytea not null,           -- see ledger.Store
	made timestamptz not null
);

-- The source of fences, series, generations after a forget, tickets and the order of records.
-- A number is never used twice.
create sequence {s}.number as bigint;

-- One row for each key, with its claim and its current attempt. So one row answers a replay. It
-- is read as one value, see scanWhole: a later format may only append columns.
create table {s}.record (
	id bytea primary key,            -- SHA-256 of namespace, key and window
	namespace bytea not null,
	key bytea not null,
	win bytea not null,
	generation bigint not null,
	fence bigint not null,
	attempts integer not null default 0,
	seq bigint not null default 0,   -- the order of the latest attempts and marks; 0: no history
	parent bytea,                    -- of a step or an item
	parent_series bigint not null default 0,
	series bigint not null default 0,
	done bigint not null default 0,  -- of a child that has succeeded, a hash of its name and fingerprint

	holder uuid,                     -- the claim; null: free
	site uuid,                       -- the local directory of the holder
	claim_host bytea,
	claim_pid integer,
	lease bigint,                    -- microseconds, chosen by the holder
	renewed timestamptz,
	lease_until timestamptz,
	takeover boolean,                -- false: after the lease, only a person may free the key

	number integer not null default 0,
	run_id text not null default '',
	state text not null default '',
	reason text not null default '',
	exit_code integer not null default 0,
	signal integer not null default 0,
	started timestamptz,
	ended timestamptz,
	fingerprint bytea not null default '',
	host bytea not null default '',
	pid integer not null default 0,
	usr bytea not null default '',
	note bytea not null default '',
	output_bytes bigint not null default 0,
	truncated boolean not null default false,
	incomplete boolean not null default false,
	redacted boolean not null default false,
	files integer not null default 0,
	storage smallint not null default 0,  -- where the output is, see rows.go
	size bigint not null default 0,       -- of the output as recorded
	sum bigint not null default 0,
	chunks integer not null default 0,    -- rows of output
	parent_run text not null default '',
	inputs bytea not null default '',
	inline bytea                          -- an output of at most 32 KiB
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02);
alter table {s}.record alter column inline set storage external;
-- No index has a column of the lease, so that a renewal changes none (heap-only tuples).
create index record_key on {s}.record using hash (key);
create index record_order on {s}.record (namespace, seq);
create index record_running on {s}.record (id) where state = 'running' and parent is not null;
create index record_parent on {s}.record (parent, parent_series, done, id) where parent is not null;

-- The earlier attempts and marks of each record.
create table {s}.attempt (
	id bytea not null,
	seq bigint not null,
	number integer not null,
	run_id text not null,
	state text not null,
	reason text not null,
	exit_code integer not null,
	signal integer not null,
	started timestamptz,
	ended timestamptz,
	fingerprint bytea not null,
	host bytea not null,
	pid integer not null,
	usr bytea not null,
	note bytea not null,
	output_bytes bigint not null,
	truncated boolean not null,
	incomplete boolean not null,
	redacted boolean not null,
	files integer not null,
	storage smallint not null,
	size bigint not null,
	sum bigint not null,
	chunks integer not null,
	parent_run text not null,
	inputs bytea not null,
	inline bytea,
	primary key (id, seq)
);
alter table {s}.attempt alter column inline set storage external;

-- Outputs that are too large for their record, in pieces of at most 256 KiB.
create table {s}.output (
	run_id text not null,
	n integer not null,              -- 0, 1, ...
	id bytea not null,               -- the record
	frames bytea not null,
	primary key (run_id, n)
);
alter table {s}.output alter column frames set storage external;
create index output_record on {s}.output (id);

-- What attempts added to files of the user.
create table {s}.file (
	run_id text not null,
	n integer not null,
	id bytea not null,
	name bytea not null,
	place integer not null,
	lost boolean not null,
	sum bigint not null,
	content bytea not null,
	primary key (run_id, n)
);
alter table {s}.file alter column content set storage external;
create index file_record on {s}.file (id);

-- Outcomes that arrived after another run had taken the key over.
create table {s}.late (
	id bytea not null,
	run_id text not null,
	arrived timestamptz not null,
	ended timestamptz,
	state text not null,
	reason text not null,
	exit_code integer not null,
	signal integer not null,
	host bytea not null,
	primary key (id, run_id)
);

-- Places and lines of mutexes. A row counts while the claim of its record is held.
create table {s}.mutex (
	namespace bytea not null,
	name bytea not null,
	ticket bigint not null,          -- of a waiter: its order in line; 0 of a holder
	place integer not null,          -- of a holder: 1, 2, ...; 0 of a waiter
	places integer not null,         -- the limit
	id bytea not null,               -- the record of the call
	key bytea not null,
	win bytea not null,
	holder uuid not null,            -- its claim
	site uuid not null,              -- the local directory of that claim
	run_id text not null,
	host bytea not null,
	pid integer not null,
	usr bytea not null,
	since timestamptz not null,
	primary key (namespace, name, ticket, place)
);
create index mutex_record on {s}.mutex (id);
