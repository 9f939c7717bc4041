-- Forgets channels that nobody has published to for so long, and that hold no message that can be read. Returns how
-- many: at most as many as said, so that those who publish to one of them meanwhile do not wait long. Ids are not
-- reused: of each bucket of names, the highest last id stays. A channel in that bucket that is published to for the
-- first time begins after it.
create or replace function forget_channels(idle interval, most int default 10000) returns bigint
language plpgsql security definer set search_path from current set enable_seqscan = off set jit = off
as $$
declare
  c channels;
  total bigint := 0;
begin
  if idle is null or idle < interval '0' then
    raise exception using errcode = 'PB003',
      message = format('idle: must be an interval of 0 or more, not %s', coalesce(idle::text, 'null'));
  end if;
  perform check_limit(most, 'most');
  -- One at a time: two could wait for each other's buckets.
  lock table forgotten in share row exclusive mode;
  for c in select t.* from channels t where t.last_published_at <= clock_timestamp() - idle order by t.id loop
    exit when total >= most;
    continue when exists (select from readable(c, 0));
    -- Not if a transaction that is open publishes to it, or has since.
    select * into c from channels t where t.id = c.id
      and t.last_published_at <= clock_timestamp() - idle for update skip locked;
    continue when not found or exists (select from readable(c, 0));
    update forgotten f set last_id = greatest(f.last_id, c.last_id) where f.bucket = bucket_of(c.site_id, c.channel);
    delete from messages m where m.channel_id = c.id;
    delete from channels t where t.id = c.id;
    total := total + 1;
  end loop;
  return total;
end
$$;
