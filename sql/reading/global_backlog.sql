-- The messages of all channels after a global id, oldest first: those in the global window that their channels
-- still hold. It is wide open: grant it to those alone who may read everything.
create or replace function global_backlog(after_global_id bigint default 0) returns setof message
language plpgsql stable security definer set search_path from current set enable_seqscan = off set jit = off
as $$
begin
  return query
    select m.global_id, m.message_id, c.channel::text, nullif(c.site_id, '')::text, m.data, m.user_ids, m.group_ids,
      m.client_ids, m.published_at
    from bus b cross join settings s cross join last_global_id() as last(id)
    cross join greatest(least(coalesce(after_global_id, 0), last.id), last.id - s.max_global_backlog_size,
      b.passed_global_id) as after(id)
    cross join generate_series(block_of(after.id + 1), block_of(last.id)) w(block)
    cross join lateral (select t.* from global_ring t where t.slot = (w.block % b.ring_size)::int offset 0) r
    cross join unnest(r.channel_ids, r.message_ids) e(channel_id, message_id)
    cross join lateral (select t.* from channels t where t.id = e.channel_id offset 0) c
    cross join lateral (select t.* from readable(c, e.message_id - 1, e.message_id) t offset 0) m
    where block_of(r.global_id) = w.block and m.global_id > after.id
    order by m.global_id;
end
$$;
