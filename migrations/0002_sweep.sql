-- How far sweep() has come in its round through messages; one row.
create table sweep (
  singleton boolean primary key default true check (singleton),
  channel_id bigint not null default 0,
  slot int not null default 0
) with (fillfactor = 10);
insert into sweep default values;
