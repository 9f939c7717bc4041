-- The argument checks, one place for publish() and publish_many(). Each is a plain expression, so that it is
-- inlined where it is used; check_message() finds the words when one of them does not hold.
-- Names that begin with __ or /__ are the bus's own. A lookahead in the pattern would double its time.
create or replace function is_channel(channel text) returns boolean language sql immutable parallel safe
return (length(channel) <= 255 and channel ~ '^[^\u0001-\u001f\u007f-\u009f]+$' and not starts_with(channel, '__')
  and not starts_with(channel, '/__')) is true;

create or replace function is_site(site_id text) returns boolean language sql immutable parallel safe
return site_id is null or (site_id <> '' and length(site_id) <= 255 and site_id !~ '[\u0001-\u001f\u007f-\u009f]');

create or replace function is_target(ids text[]) returns boolean language sql immutable parallel safe
return ids is null or (array_ndims(ids) = 1 and array_position(ids, null) is null) is true;

-- True if each list of ids has at most 1 MB of text. Not inlined, because is_message() seldom asks for it.
create or replace function are_short(user_ids text[], group_ids text[], client_ids text[]) returns boolean
language plpgsql stable parallel safe
as $$
begin
  return ids_bytes(user_ids) <= 1048576 and ids_bytes(group_ids) <= 1048576 and ids_bytes(client_ids) <= 1048576;
end
$$;

create or replace function is_global(channel text) returns boolean language sql immutable parallel safe
return starts_with(channel, '/global/');

-- Where a channel's rows are kept: those under /global/ belong to no site.
create or replace function site_of(site_id text, channel text) returns text language sql immutable parallel safe
return case when is_global(channel) then '' else coalesce(site_id, '') end;

create or replace function is_message(
  channel text, user_ids text[], group_ids text[], client_ids text[], site_id text, max_backlog_size int,
  max_backlog_age int
) returns boolean language sql stable parallel safe -- as are_short() is; or it would not be inlined
return is_channel(channel) and is_site(site_id)
  and (user_ids is null and group_ids is null or not is_global(channel))
  and is_target(user_ids) and is_target(group_ids) and is_target(client_ids)
  and (pg_column_size((user_ids, group_ids, client_ids)) < 8000 or are_short(user_ids, group_ids, client_ids))
  and (max_backlog_size is null or max_backlog_size >= 1) and (max_backlog_age is null or max_backlog_age >= 1);

-- Raises what is wrong with a message; place tells which one it was, as in 'messages[2].'.
create or replace function check_message(
  channel text, user_ids text[], group_ids text[], client_ids text[], site_id text, max_backlog_size int,
  max_backlog_age int,
  place text default ''
) returns void
language plpgsql immutable parallel safe
as $$
begin
  perform check_channel(channel, place || 'channel');
  perform check_site(site_id, place || 'site_id');
  if is_global(channel) and (user_ids is not null or group_ids is not null) then
    raise exception using errcode = 'PB002',
      message = format('%s: a channel under /global/ has no users or groups', place ||
        case when user_ids is null then 'group_ids' else 'user_ids' end),
      hint = 'Ids of users and groups belong to a site. Target clients (client_ids), or publish to a channel of the site.';
  end if;
  perform check_targets(user_ids, place || 'user_ids');
  perform check_targets(group_ids, place || 'group_ids');
  perform check_targets(client_ids, place || 'client_ids');
  perform check_limit(max_backlog_size, place || 'max_backlog_size');
  perform check_limit(max_backlog_age, place || 'max_backlog_age');
end
$$;

create or replace function check_channel(channel text, argument text default 'channel') returns void
language plpgsql immutable parallel safe
as $$
begin
  if not is_channel(channel) then
    raise exception using errcode = 'PB001',
      message = format('%s: %s is not a channel', argument, coalesce(quote_literal(left(channel, 300)), 'null')),
      hint = 'A channel has 1 to 255 characters, no control characters, and does not begin with __ or /__.';
  end if;
end
$$;

create or replace function check_site(site_id text, argument text default 'site_id') returns void
language plpgsql immutable parallel safe
as $$
begin
  if not is_site(site_id) then
    raise exception using errcode = 'PB004',
      message = format('%s: %L is not a site', argument, left(site_id, 300)),
      hint = 'A site has 1 to 255 characters and no control characters. Leave it null for no site.';
  end if;
end
$$;

create or replace function check_targets(ids text[], argument text) returns void
language plpgsql immutable parallel safe
as $$
begin
  if octet_length(array_to_string(ids, ',')) > 1048576 then
    raise exception using errcode = 'PB002',
      message = format('%s: the ids have more than 1048576 bytes together', argument),
      hint = 'Publish to a group, or to a channel of its own.';
  elsif not is_target(ids) then
    raise exception using errcode = 'PB002',
      message = format('%s: must be null or a list of at least one id, none of them null', argument),
      hint = 'Null means everyone. An empty list would reach nobody.';
  end if;
end
$$;

create or replace function check_limit(value int, argument text, most int default null) returns void
language plpgsql immutable parallel safe
as $$
begin
  if value < 1 then
    raise exception using errcode = 'PB003',
      message = format('%s: must be 1 or more, not %s', argument, value),
      hint = 'Leave it out for the bus-wide setting.';
  elsif value > most then
    raise exception using errcode = 'PB003', message = format('%s: must be %s or less, not %s', argument, most, value);
  end if;
end
$$;
