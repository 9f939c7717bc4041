-- Bus-wide settings and secrets; one row. Rarely written: see configure() and expire_all_backlogs().
create table settings (
  singleton boolean primary key default true check (singleton),
  clear_every int not null default 100,
  max_backlog_size int not null default 1000,
  max_global_backlog_size int not null default 2000,
  max_backlog_age int not null default 604800,
  relay boolean not null default false,        -- whether what is put down is left to the nodes, see publish_later()
  relayed boolean not null default false,      -- whether that was ever so
  version bigint not null default 0,           -- raised by whatever changes what can be read, but for publications and time
  expired_global_id bigint not null default 0, -- messages up to here were dropped by expire_all_backlogs()
  -- Any role may LISTEN on a channel whose name it knows, and NOTIFY on it: the name keeps strangers from
  -- reading along, the key keeps what they send from being believed.
  notify_channel text not null default 'message_bus_' || replace(gen_random_uuid()::text, '-', ''),
  notify_key bytea not null default sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'))
);
insert into settings default values;

-- The counter behind global ids; one row. Its lock, held to the end of a transaction, makes global ids
-- visible in their order. It is taken last of all locks: publish() leaves it to announce(), at commit.
-- Narrow, so that a page has room for the versions that waiting publishers keep from being pruned.
create table bus (
  singleton boolean primary key default true check (singleton),
  last_global_id bigint not null default 0,
  ring_size int not null default 2000          -- slots of global_ring
) with (fillfactor = 10);
insert into bus default values;

-- Locked, as a table, before the counter: whoever gives out global ids waits here, in a queue where each wakes the next.
-- Waiting for the row of bus wakes all who wait, to let one through. Not an advisory lock: any role could take that.
create table turn ();

-- A row per channel, for ever: it keeps ids from being reused.
create table channels (
  id bigint generated always as identity primary key,
  site_id text collate "C" not null,           -- '' for none
  channel text collate "C" not null,
  last_id bigint not null default 0,           -- the last message id given out
  first_id bigint not null default 1,          -- the oldest that the sizes given so far let be read
  deleted_id bigint not null default 0,        -- rows up to here have been deleted
  max_backlog_size int,                        -- named by the last publish; null: the bus-wide one
  ring_size int not null,                      -- slots of this channel in messages
  unique (site_id, channel)
) with (fillfactor = 50);

-- Each channel owns a ring of slots: message m lies in slot m % ring_size and overwrites the one that has
-- left the backlog. Rows that are updated in place, by an index on the slot alone, keep the table at its
-- size (HOT updates), where deleting and inserting makes dead rows faster than vacuum removes them.
-- The fill factor leaves room in a page for the two versions that publish() and announce() write.
create table messages (
  channel_id bigint not null,
  slot int not null,
  message_id bigint not null,
  global_id bigint,                            -- null until its transaction commits
  published_at timestamptz not null,
  expires_at timestamptz,                      -- when the publish named an age; null: by the bus-wide one
  user_ids text[],
  group_ids text[],
  client_ids text[],
  data jsonb not null,
  primary key (channel_id, slot)
) with (fillfactor = 30);

-- The window over all channels: a ring too, by global id.
create table global_ring (
  slot int primary key,
  global_id bigint not null,
  channel_id bigint not null,
  message_id bigint not null
) with (fillfactor = 40);

-- What the reading functions return.
create type message as (
  global_id bigint,
  message_id bigint,
  channel text,
  site_id text,
  data jsonb,
  user_ids text[],
  group_ids text[],
  client_ids text[],
  published_at timestamptz
);

-- A message to publish, checked.
create type publication as (
  site text collate "C",
  channel text collate "C",
  data jsonb,
  user_ids text[],
  group_ids text[],
  client_ids text[],
  max_backlog_size int,
  max_backlog_age int
);

-- What publish_later() has put down, until the transaction commits: then it is published and deleted in the same breath,
-- and nobody else ever sees a row. By transaction, so that each finds its own, however many run.
-- Every row is soon dead: vacuum by count, not by a share of a table that is nearly always empty.
create table outbox (
  xid xid8 not null,
  id bigint generated always as identity,
  site text collate "C" not null,
  channel text collate "C" not null,
  data jsonb not null,
  user_ids text[],
  group_ids text[],
  client_ids text[],
  max_backlog_size int,
  max_backlog_age int,
  put_down_at timestamptz not null default clock_timestamp(),
  postponed boolean not null default false,    -- see publish_outbox()
  primary key (xid, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_threshold = -1,
  autovacuum_analyze_threshold = 2147483647, autovacuum_vacuum_cost_delay = 0);

-- The node that publishes what waits in the outbox, see relay(); one row.
create table relaying (
  singleton boolean primary key default true check (singleton),
  node text not null default '',
  seen_at timestamptz not null default '-infinity'
) with (fillfactor = 10);
insert into relaying default values;
