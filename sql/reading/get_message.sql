-- One message, or null when it cannot be read (any more).
create or replace function get_message(channel text, message_id bigint, site_id text default null) returns message
language plpgsql stable parallel safe security definer set search_path from current set enable_seqscan = off
  set jit = off
as $$
#variable_conflict use_column
declare
  result message;
begin
  perform check_channel(get_message.channel), check_site(get_message.site_id);
  select m.global_id, m.message_id, c.channel::text, nullif(c.site_id, '')::text, m.data, m.user_ids, m.group_ids,
    m.client_ids, m.published_at into result
    from channels c cross join readable(c, greatest(get_message.message_id, 1) - 1, get_message.message_id) m
    where c.site_id = site_of(get_message.site_id, get_message.channel) collate "C"
      and c.channel = get_message.channel collate "C"
      and get_message.message_id >= 1;
  return result;
end
$$;
