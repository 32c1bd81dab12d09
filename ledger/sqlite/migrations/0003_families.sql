-- Steps and items: see family.go. In rows of earlier versions, all new numbers are 0, and
-- the checksum of such a row does not change.

alter table records add column parent integer not null default 0;        -- the record above, 0 for none
alter table records add column parent_series integer not null default 0; -- the series of the parent it belongs to
alter table records add column series integer not null default 0;        -- for the records below
alter table records add column floor integer not null default 0;         -- the maximum of all numbers below
alter table records add column done integer not null default 0;          -- a hash of a success, for Successes
alter table attempts add column parent_run text not null default '';

-- The first record below another one creates the index records_parent, see family.go.
