-- The places and the lines of mutexes. A row counts only while its lock is held, or while
-- a process of its attempt is alive: see mutex.go. Rows that no longer count are replaced
-- or deleted by later calls.
create table mutexes (
	ticket integer not null, -- of a waiter: its lock and its order in line; 0 of a holder
	namespace blob not null,
	name blob not null,
	place integer not null, -- of a holder: 1, 2, ...; 0 of a waiter
	places integer not null, -- the limit
	key blob not null,
	window blob not null,
	run_id text not null, -- of a holder
	host blob not null,
	pid integer not null,
	user blob not null,
	since integer not null,
	checksum integer not null,
	primary key (ticket, namespace, name, place)
) without rowid;
