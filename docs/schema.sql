-- The tables as the migrations leave them, for reading. docs/tables.md explains them.
-- Written from the catalog by `npm run write:schema`.
-- Functions are in sql/. To make a schema, use `npx postbus migrate`.

create table settings (
  singleton boolean not null default true,
  clear_every integer not null default 100,
  max_backlog_size integer not null default 1000,
  max_global_backlog_size integer not null default 2000,
  max_backlog_age integer not null default 604800,
  relay boolean not null default false,
  relayed boolean not null default false,
  version bigint not null default 0,
  expired_global_id bigint not null default 0,
  notify_channel text not null default 'message_bus_'::text || replace(gen_random_uuid()::text, '-'::text, ''::text),
  notify_key bytea not null default sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'::name)),
  max_data_size integer not null default 1048576,
  backlog_size_cap integer not null default 100000,
  backlog_age_cap integer not null default 31536000,
  check (singleton),
  primary key (singleton)
);

create table bus (
  singleton boolean not null default true,
  ring_size integer not null default 126,
  passed_global_id bigint not null default 0,
  check (singleton),
  primary key (singleton)
) with (fillfactor=10);

create table turn ();

create table channels (
  id bigint generated always as identity,
  site_id text collate "C" not null,
  channel text collate "C" not null,
  last_id bigint not null default 0,
  first_id bigint not null default 1,
  deleted_id bigint not null default 0,
  max_backlog_size integer,
  ring_size integer not null,
  last_published_at timestamp with time zone not null default clock_timestamp(),
  primary key (id),
  unique (site_id, channel)
) with (fillfactor=50);

create table messages (
  channel_id bigint not null,
  slot integer not null,
  message_id bigint not null,
  global_id bigint,
  published_at timestamp with time zone not null,
  expires_at timestamp with time zone,
  user_ids text[],
  group_ids text[],
  client_ids text[],
  data jsonb not null,
  primary key (channel_id, slot)
) with (fillfactor=30);

create table global_ring (
  slot integer not null,
  global_id bigint not null,
  channel_ids bigint[] not null,
  message_ids bigint[] not null,
  primary key (slot)
) with (fillfactor=40);

create type message as (
  global_id bigint,
  message_id bigint,
  channel text,
  site_id text,
  data jsonb,
  user_ids text[],
  group_ids text[],
  client_ids text[],
  published_at timestamp with time zone
);

create type publication as (
  site text collate "C",
  channel text collate "C",
  data jsonb,
  user_ids text[],
  group_ids text[],
  client_ids text[],
  max_backlog_size integer,
  max_backlog_age integer
);

create table outbox (
  xid xid8 not null,
  id bigint generated always as identity,
  site text collate "C" not null,
  channel text collate "C" not null,
  data jsonb not null,
  user_ids text[],
  group_ids text[],
  client_ids text[],
  max_backlog_size integer,
  max_backlog_age integer,
  put_down_at timestamp with time zone not null default clock_timestamp(),
  items publication[],
  primary key (xid, id)
) with (autovacuum_vacuum_scale_factor=0,
  autovacuum_vacuum_threshold=5000,
  autovacuum_vacuum_insert_threshold=-1,
  autovacuum_analyze_threshold=2147483647,
  autovacuum_vacuum_cost_delay=0);

create table relaying (
  singleton boolean not null default true,
  node text not null default ''::text,
  seen_at timestamp with time zone not null default '-infinity'::timestamp with time zone,
  from_xid xid8 not null default '3'::xid8,
  check (singleton),
  primary key (singleton)
) with (fillfactor=10);

create table sweep (
  singleton boolean not null default true,
  channel_id bigint not null default 0,
  check (singleton),
  primary key (singleton)
) with (fillfactor=10);

create table relay_outbox (
  xid xid8 not null default pg_current_xact_id(),
  id bigint generated always as identity,
  channel text collate "C" not null,
  data jsonb,
  options publication,
  put_down_at timestamp with time zone not null default clock_timestamp(),
  primary key (xid, id)
) with (autovacuum_vacuum_scale_factor=0,
  autovacuum_vacuum_threshold=5000,
  autovacuum_vacuum_insert_threshold=-1,
  autovacuum_analyze_threshold=2147483647,
  autovacuum_vacuum_cost_delay=0);

create table refusals (
  id bigint not null,
  refused_at timestamp with time zone not null default clock_timestamp(),
  sqlstate text not null,
  error text not null,
  primary key (id)
);

create sequence newest_global_id;

create table forgotten (
  bucket integer not null,
  last_id bigint not null default 0,
  primary key (bucket)
) with (fillfactor=50);

create table incarnation (
  singleton boolean not null default true,
  id uuid not null default gen_random_uuid(),
  check (singleton),
  primary key (singleton)
);

create table schema_migration_lock (
  id character varying(255) not null,
  is_locked integer not null default 0,
  primary key (id)
);

create table schema_migration (
  name character varying(255) not null,
  timestamp character varying(255) not null,
  primary key (name)
);

-- Triggers

CREATE TRIGGER after_delete_channels AFTER DELETE ON channels
  REFERENCING OLD TABLE AS deleted
  FOR EACH STATEMENT EXECUTE FUNCTION after_delete_channels();
alter table channels enable always trigger after_delete_channels;
CREATE TRIGGER after_truncate AFTER TRUNCATE ON channels
  FOR EACH STATEMENT EXECUTE FUNCTION after_truncate();
alter table channels enable always trigger after_truncate;
CREATE TRIGGER before_truncate BEFORE TRUNCATE ON channels
  FOR EACH STATEMENT EXECUTE FUNCTION before_truncate();
alter table channels enable always trigger before_truncate;
CREATE TRIGGER after_truncate AFTER TRUNCATE ON messages
  FOR EACH STATEMENT EXECUTE FUNCTION after_truncate();
alter table messages enable always trigger after_truncate;
CREATE CONSTRAINT TRIGGER announce AFTER INSERT OR UPDATE OF message_id ON messages
  DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW
  WHEN (new.global_id IS NULL) EXECUTE FUNCTION announce();
alter table messages enable always trigger announce;
CREATE TRIGGER after_truncate AFTER TRUNCATE ON global_ring
  FOR EACH STATEMENT EXECUTE FUNCTION after_truncate();
alter table global_ring enable always trigger after_truncate;
CREATE TRIGGER before_truncate BEFORE TRUNCATE ON global_ring
  FOR EACH STATEMENT EXECUTE FUNCTION before_truncate();
alter table global_ring enable always trigger before_truncate;
CREATE CONSTRAINT TRIGGER publish_outbox AFTER INSERT ON outbox
  DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION publish_outbox();
alter table outbox enable always trigger publish_outbox;
