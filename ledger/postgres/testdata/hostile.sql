-- A schema {evil} that another user controls, and two roles whose search_path begins with it. Its
-- functions count their calls in a sequence, which no rollback undoes, and fail.
create schema {evil};
grant usage on schema {evil} to public;
create sequence {evil}.calls;
grant all on sequence {evil}.calls to public;
create role {evil}_owner login;
create role {evil}_ci login;
grant create on database {database} to {evil}_owner;

create function {evil}.count_call() returns void language plpgsql set search_path = pg_catalog as $f$ begin
	perform nextval('{evil}.calls');
	raise exception 'a function of another schema was called';
end $f$;

do $do$ declare
	it text;
	setting text;
	f record;
	usual constant text := '^(bool|_?bytea|int2|int4|_?int8|_?text|name|regclass|oid|_?uuid|interval|timestamptz|bit|numeric|float8|date|timestamp'
		|| '|anyarray|anyelement|anycompatible|anycompatiblearray|void)$';
	body constant text := 'begin perform {evil}.count_call(); end';
begin
	foreach it in array array['{evil}_owner', '{evil}_ci'] loop
		foreach setting in array array['search_path = {evil}, pg_catalog', 'standard_conforming_strings = off', 'escape_string_warning = off',
				'bytea_output = escape', 'timezone = ''Asia/Kathmandu''', 'datestyle = German', 'intervalstyle = sql_standard',
				'default_transaction_isolation = serializable', 'transform_null_equals = on', 'synchronous_commit = off'] loop
			execute format('alter role %I set ' || setting, it);
		end loop;
	end loop;
	for f in select p.proname, pg_get_function_identity_arguments(p.oid) as args, format_type(p.prorettype, null) as result, p.proretset from pg_proc p
		where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind = 'f' and p.provariadic = 0
			and (select t.typname from pg_type t where t.oid = p.prorettype) ~ usual
			and (select coalesce(bool_and(t.typname ~ usual), true) from unnest(p.proargtypes) a join pg_type t on t.oid = a) loop
		begin
			execute format('create function {evil}.%I(%s) returns %s %s language plpgsql as %L',
				f.proname, f.args, case when f.proretset then 'setof' else '' end, f.result, body);
		exception when others then null; -- a few cannot be written so
		end;
	end loop;
	for f in select o.oprname, format_type(nullif(o.oprleft, 0), null) as l, format_type(o.oprright, null) as r,
			format_type(o.oprresult, null) as result, 'op' || row_number() over () as func from pg_operator o
		where o.oprnamespace = 'pg_catalog'::regnamespace and (select t.typname from pg_type t where t.oid = o.oprright) ~ usual
			and (o.oprleft = 0 or (select t.typname from pg_type t where t.oid = o.oprleft) ~ usual) loop
		begin
			execute format('create function {evil}.%I(%s) returns %s language plpgsql as %L', f.func, concat_ws(', ', f.l, f.r), f.result, body);
			execute format('create operator {evil}.%s (function = {evil}.%I, %s rightarg = %s)', f.oprname, f.func, 'leftarg = ' || f.l || ',', f.r);
		exception when others then null;
		end;
	end loop;
	create aggregate {evil}.count(*) (sfunc = {evil}.int8inc, stype = pg_catalog.int8, initcond = '0');
	foreach it in array array['bytea', 'uuid', 'text', 'int8', 'int4', 'int2', 'bool', 'timestamptz', 'interval', 'regclass'] loop
		execute format('create domain {evil}.%I as pg_catalog.xml', it);
	end loop;
	foreach it in array array['meta', 'record', 'attempt', 'output', 'file', 'late', 'mutex'] loop
		execute format('create table {evil}.%I (other pg_catalog.int4)', it);
		execute format('grant all on {evil}.%I to public', it);
	end loop;
	create sequence {evil}.number;
	grant all on {evil}.number to public;
end $do$;
