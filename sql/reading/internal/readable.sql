-- The oldest message of a channel that the sizes let be read: the last publish's, or the bus-wide one.
create or replace function first_readable(c channels, s settings) returns bigint language sql immutable parallel safe
return greatest(1, c.first_id, c.last_id + 1 - coalesce(c.max_backlog_size, s.max_backlog_size));

-- What a line of a notification says of the channel that was published to.
create or replace function channel_head(c channels, s settings) returns text language sql stable parallel safe
return concat_ws(E'\t', c.site_id, c.channel, s.version, first_readable(c, s));

-- The messages of a channel after an id (and up to one) that may be read now, the one place that applies the limits: by
-- size, by age, and what expire_all_backlogs() dropped. Each is looked up by its slot ("offset 0" keeps the planner
-- from joining any other way): a read costs what it returns. Functions that look rows up this way plan without
-- sequential scans, as a plan made on an empty table is kept; and without JIT: Postgres up to 17 takes what is
-- forbidden for so dear that it compiles such a query, for up to a second.
create or replace function readable(c channels, after_id bigint, upto_id bigint default null) returns setof messages
language sql stable parallel safe
begin atomic
  select m.*
  from settings s
  cross join generate_series(
    greatest(least(after_id, c.last_id) + 1, first_readable(c, s)),
    least(upto_id, c.last_id)) id
  cross join lateral (
    select t.* from messages t where t.channel_id = c.id and t.slot = (id % c.ring_size)::int offset 0
  ) m
  where m.message_id = id
    and (m.global_id is null or m.global_id > s.expired_global_id)
    and coalesce(m.expires_at, m.published_at + make_interval(secs => s.max_backlog_age)) > statement_timestamp();
end;
