-- The last message ids of several channels, in the order asked for.
create or replace function last_ids(channels text[], site_id text default null) returns bigint[]
language plpgsql stable parallel safe security definer set search_path from current set enable_seqscan = off
  set jit = off
as $$
begin
  perform check_site(last_ids.site_id);
  if last_ids.channels is null then
    raise exception using errcode = 'PB001', message = 'channels: must be a list of channels, not null';
  end if;
  perform check_channel(w.channel, format('channels[%s]', w.n))
    from unnest(last_ids.channels) with ordinality w(channel, n);
  return array(
    select coalesce(c.last_id, 0)
    from unnest(last_ids.channels) with ordinality w(channel, n)
    left join channels c on c.site_id = site_of(last_ids.site_id, w.channel) collate "C"
      and c.channel = w.channel collate "C"
    order by w.n
  );
end
$$;
