-- Which past the ids belong to, see incarnation(); one row. Its id is another one after whatever breaks the past of the bus:
-- a schema made anew, a table emptied, channels deleted. A dump carries the id along, but not the row's xmin.
create table incarnation (
  singleton boolean primary key default true check (singleton),
  id uuid not null default gen_random_uuid()
);
insert into incarnation default values;

-- Made anew with parameters, and with other results.
drop function if exists node_state();
