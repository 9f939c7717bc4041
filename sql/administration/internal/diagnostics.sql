-- What an administrator wants to see of the bus: its counters and settings, and the channels with the largest backlogs.
-- Those are looked through, by their last 10000 messages: what has expired does not count.
create or replace function diagnostics() returns jsonb
language plpgsql stable security definer set search_path from current set enable_seqscan = off set jit = off
as $$
begin
  return jsonb_build_object(
    'lastGlobalId', last_global_id(),
    'channels', (select count(*) from channels),
    'settings', (select jsonb_build_object('clearEvery', s.clear_every, 'maxBacklogSize', s.max_backlog_size,
      'maxGlobalBacklogSize', s.max_global_backlog_size, 'maxBacklogAge', s.max_backlog_age,
      'maxDataSize', s.max_data_size,
      'backlogSizeCap', s.backlog_size_cap, 'backlogAgeCap', s.backlog_age_cap, 'relay', s.relay) from settings s),
    'largest', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'siteId', nullif(c.site_id, ''), 'channel', c.channel, 'lastId', c.last_id, 'messages', (
          select count(*) from readable((select k from channels k where k.id = c.id), c.last_id - stretch())
        )) order by c.size desc, c.id), '[]')
      from (
        select k.id, k.site_id, k.channel, k.last_id,
          least(k.last_id - k.first_id + 1, coalesce(k.max_backlog_size, s.max_backlog_size)) as size
        from channels k cross join settings s order by size desc, k.id limit 20
      ) c
    )
  );
end
$$;
