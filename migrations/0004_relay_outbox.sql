-- What publish_later() has put down for the nodes, with settings.relay: a table of its own, as narrow as can be and without a
-- trigger, since those who commit pay for each column. By transaction: whoever looks can leave out all that were over when
-- somebody last looked, and the dead rows with them. A row that cannot be published is kept under xid 0, see refusals.
create table relay_outbox (
  xid xid8 not null default pg_current_xact_id(),
  id bigint generated always as identity,
  channel text collate "C" not null,
  data jsonb,
  options publication,                         -- all of the message but data; null where nothing but a channel was given
  put_down_at timestamptz not null default clock_timestamp(),
  primary key (xid, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_threshold = -1,
  autovacuum_analyze_threshold = 2147483647, autovacuum_vacuum_cost_delay = 0);

insert into relay_outbox (xid, channel, data, options)
  select '3', o.channel, o.data, (o.site, o.channel, null, o.user_ids, o.group_ids, o.client_ids, o.max_backlog_size, o.max_backlog_age)::publication
  from outbox o where o.xid = '0' order by o.id;
delete from outbox where xid = '0';

-- Why a row under xid 0 was not published.
create table refusals (
  id bigint primary key,
  refused_at timestamptz not null default clock_timestamp(),
  sqlstate text not null,
  error text not null
);

-- Nothing waits that a transaction before this one has put down. 3 is the first that there can be.
alter table relaying add column from_xid xid8 not null default '3';

-- Made anew without a condition, and with other results.
drop trigger if exists publish_outbox on outbox;
drop function if exists relay(text), relay_state();
