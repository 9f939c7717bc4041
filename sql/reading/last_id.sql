-- The last message id of a channel; 0 when nothing was ever published to it.
create or replace function last_id(channel text, site_id text default null) returns bigint
language plpgsql stable parallel safe security definer set search_path from current
as $$
#variable_conflict use_column
begin
  perform check_channel(last_id.channel), check_site(last_id.site_id);
  return coalesce((
    select c.last_id from channels c
    where c.site_id = site_of(last_id.site_id, last_id.channel) collate "C" and c.channel = last_id.channel collate "C"
  ), 0);
end
$$;
