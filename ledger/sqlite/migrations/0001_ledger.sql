-- The tables of version 1. Text that users choose is stored as blobs, so that
-- every byte of it comes back. Times are microseconds since 1970 in UTC.

create table records (
	id integer primary key, -- a hash of the name
	namespace blob not null,
	key blob not null,
	window blob not null,
	generation integer not null,
	fence integer not null,
	attempts integer not null, -- the number of the latest attempt
	current integer not null,  -- the attempt that decides, 0 for none
	checksum integer not null,
	unique (namespace, key, window)
);

-- Every run and every mark, kept as long as its record is not forgotten.
create table attempts (
	id integer primary key,
	record integer not null references records (id),
	number integer not null, -- 0 for a mark
	run_id text not null,
	state text not null,
	reason text not null,
	exit_code integer not null,
	signal integer not null,
	started integer not null,
	ended integer not null, -- 0 while running, and when nobody saw the end
	fingerprint text not null,
	host blob not null,
	pid integer not null,
	user blob not null,
	note blob not null,
	output_bytes integer not null,
	truncated integer not null,
	files integer not null, -- how many rows of files it has
	output_place integer not null, -- 0 none known, 1 in outputs, 2 in a file, 3 none, 4 none wanted
	output_size integer not null,
	output_sum integer not null,
	checksum integer not null,
	inputs blob not null
);

create index attempts_record on attempts (record);

create table outputs (
	attempt integer primary key references attempts (id),
	frames blob not null
);

-- What an attempt added to files of the user.
create table files (
	attempt integer not null references attempts (id),
	position integer not null, -- 0, 1, ... within the attempt
	name blob not null,
	place integer not null,
	lost integer not null,
	checksum integer not null,
	content blob not null,
	primary key (attempt, position)
);

-- How often something was committed, in one row: see witness.go.
create table commits (n integer not null);
insert into commits values (0);
