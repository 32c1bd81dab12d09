-- The function done, by which a command records its success in the transaction of its work.
-- done.go says why it is as it is. {s} is the quoted schema.

-- One row for each call of done in a transaction that is not committed yet. Nobody else sees a row.
create table {s}.doing (
	n bigint primary key,
	id bytea not null,
	fence bigint not null
);

-- uvarint is that of Go's package encoding/binary.
create function {s}.uvarint(n bigint) returns bytea
language plpgsql immutable strict set search_path = pg_catalog, pg_temp as $$
declare
	b bytea := decode('', 'hex');
begin
	while n >= 128 loop
		b := b || set_byte(decode('00', 'hex'), 0, (n & 127 | 128)::integer);
		n := n >> 7;
	end loop;
	return b || set_byte(decode('00', 'hex'), 0, n::integer);
end $$;

-- prefixed is Append of package lenprefix for one field.
create function {s}.prefixed(field bytea) returns bytea
language sql immutable strict set search_path = pg_catalog, pg_temp as $$
	select {s}.uvarint(octet_length(field)) || field
$$;

-- token_of is Token of package hashkey.
create function {s}.token_of(namespace bytea, key bytea, win bytea, generation bigint) returns uuid
language plpgsql immutable strict set search_path = pg_catalog, pg_temp as $$
declare
	h bytea;
begin
	h := sha256(decode(repeat('00', 16), 'hex') || {s}.prefixed('idem token v1'::bytea) || {s}.prefixed(namespace)
		|| {s}.prefixed(key) || {s}.prefixed(win) || {s}.uvarint(generation));
	h := set_byte(h, 6, get_byte(h, 6) & 15 | 128);
	h := set_byte(h, 8, get_byte(h, 8) & 63 | 128);
	return encode(substr(h, 1, 16), 'hex')::uuid;
end $$;

-- done_of is DoneOf of package survey.
create function {s}.done_of(id bytea, fingerprint bytea) returns bigint
language plpgsql immutable strict set search_path = pg_catalog, pg_temp as $$
declare
	h bytea := sha256({s}.prefixed(id) || {s}.prefixed(fingerprint));
	n bigint := ('x' || encode(substr(id, 1, 2) || substr(h, 3, 6), 'hex'))::bit(64)::bigint;
begin
	return case n when 0 then 1 else n end;
end $$;

create function {s}.done(token uuid, fence bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
	name bytea;
	gone boolean := true;
begin
	if done.token is null or done.fence is null then
		raise exception using errcode = 'IDEM0', message = 'idem: done requires IDEM_TOKEN and IDEM_FENCE, and one of them is null';
	end if;
	with recursive m (namespace) as (
		(select r.namespace from {s}.record r order by r.namespace limit 1)
		union all
		select (select r.namespace from {s}.record r where r.namespace > m.namespace order by r.namespace limit 1) from m where m.namespace is not null)
	select r.id, not (r.state = 'running' or r.state = 'succeeded' and r.reason = 'transaction') into name, gone
		from m join {s}.record r on r.namespace = m.namespace and r.seq = done.fence
		where {s}.token_of(r.namespace, r.key, r.win, r.generation) = done.token;
	if name is null or gone then
		raise exception using errcode = 'IDEM1', message = 'idem: the attempt with fence ' || done.fence || ' is over, so its transaction cannot be committed';
	end if;
	insert into {s}.doing (n, id, fence) values (nextval({number}::regclass), name, done.fence);
end $$;

create function {s}.commit_done() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
	nearest bytea;
	above bytea[];
	valid boolean := true;
begin
	delete from {s}.doing d where d.n = new.n;
	select r.parent into nearest from {s}.record r where r.id = new.id;
	if nearest is not null then
		above := array(with recursive a (id, parent) as (
			select r.id, r.parent from {s}.record r where r.id = nearest
			union all select r.id, r.parent from a join {s}.record r on r.id = a.parent)
			select a.id from a);
		perform 1 from {s}.record r where r.id = any (above) order by octet_length(r.key) for key share;
		with recursive a (parent, series) as (
			select r.parent, r.parent_series from {s}.record r where r.id = new.id
			union all select r.parent, r.parent_series from a join {s}.record r on r.id = a.parent)
		select not exists (select 1 from a where a.parent is not null and not exists (
			select 1 from {s}.record p where p.id = a.parent and p.series = a.series)) into valid;
	end if;
	if valid then
		update {s}.record r set state = 'succeeded', reason = 'transaction', exit_code = 0, signal = 0, ended = clock_timestamp(),
				incomplete = r.storage <> 4, done = case when r.parent is null then 0 else {s}.done_of(r.id, r.fingerprint) end
			where r.id = new.id and r.seq = new.fence and r.state = 'running';
		if found then
			return null;
		end if;
		perform 1 from {s}.record r where r.id = new.id and r.seq = new.fence
			and r.state = 'succeeded' and r.reason = 'transaction' for no key update;
		if found then
			return null;
		end if;
	end if;
	raise exception using errcode = 'IDEM1', message = 'idem: the attempt with fence ' || new.fence || ' is over, so its transaction cannot be committed';
end $$;

create constraint trigger doing after insert on {s}.doing deferrable initially deferred
	for each row execute function {s}.commit_done();

revoke all on function {s}.uvarint(bigint), {s}.prefixed(bytea), {s}.token_of(bytea, bytea, bytea, bigint), {s}.done_of(bytea, bytea),
	{s}.done(uuid, bigint), {s}.commit_done() from public;
