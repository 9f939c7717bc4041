-- What a node asks of the database. A role that runs nodes needs EXECUTE on these, besides the public functions.

-- The NOTIFY channel and the key that signs payloads.
create or replace function node_state(out notify_channel text, out notify_key bytea)
language plpgsql stable security definer set search_path from current
as $$
begin
  select s.notify_channel, s.notify_key into node_state.notify_channel, node_state.notify_key from settings s;
end
$$;

-- Many reads in one: for each (site, channel, after) its state, and a row a message. after: an id; -1 from now on;
-- -2 the last message, -3 the last two …; all from one snapshot. sites: '' for none. Data comes as text, ready to be sent.
create or replace function read_channels(sites text[], channel_names text[], after_ids bigint[]) returns table (
  request int, last_id bigint, message_id bigint, global_id bigint, user_ids text[], group_ids text[], client_ids text[], data text
)
language plpgsql stable security definer set search_path from current set enable_seqscan = off
as $$
#variable_conflict use_column
begin
  return query
    select r.n::int - 1, coalesce(c.last_id, 0), m.message_id, m.global_id, m.user_ids, m.group_ids, m.client_ids, m.data::text
    from unnest(sites, channel_names, after_ids) with ordinality r(site, channel, after_id, n)
    left join channels c on c.site_id = r.site and c.channel = r.channel
    left join lateral (
      select m.* from readable(c, case when r.after_id < 0 then c.last_id + r.after_id + 1 else r.after_id end) m
      where m.global_id is not null
    ) m on true
    order by r.n, m.message_id;
end
$$;

-- The same for all channels together, by global id.
create or replace function read_global(after_global_id bigint) returns table (
  last_global_id bigint, message_id bigint, global_id bigint, site text, channel text, user_ids text[], group_ids text[], client_ids text[], data text
)
language plpgsql stable security definer set search_path from current
as $$
begin
  return query
    select b.last_global_id, g.message_id, g.global_id, coalesce(g.site_id, ''), g.channel, g.user_ids, g.group_ids, g.client_ids, g.data::text
    from bus b left join global_backlog(case when read_global.after_global_id < 0 then b.last_global_id + read_global.after_global_id + 1 else read_global.after_global_id end) g on true
    order by g.global_id;
end
$$;
