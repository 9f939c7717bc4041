-- The messages of a channel after an id, oldest first.
create or replace function backlog(channel text, after_id bigint default 0, site_id text default null) returns setof
  message
language plpgsql stable parallel safe security definer set search_path from current set enable_seqscan = off
  set jit = off
as $$
#variable_conflict use_column
begin
  perform check_channel(backlog.channel), check_site(backlog.site_id);
  return query
    select m.global_id, m.message_id, c.channel::text, nullif(c.site_id, '')::text, m.data, m.user_ids, m.group_ids,
      m.client_ids, m.published_at
    from channels c cross join readable(c, coalesce(backlog.after_id, 0)) m
    where c.site_id = site_of(backlog.site_id, backlog.channel) collate "C" and c.channel = backlog.channel collate "C"
    order by m.message_id;
end
$$;
