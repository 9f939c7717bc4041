-- How far one publish may reach: the sizes and ages that it may name for its channel and message.

-- Raises if a size or age is above the bus-wide cap, or a size below the bus-wide one and the role has no right to
-- that. Whoever calls publish() is not current_user here, but the role that the session has set, or its user: a session
-- can set only roles that it is a member of. Asked only if a size or age is not between the bus-wide setting and its
-- cap.
create or replace function check_reach(max_backlog_size int, max_backlog_age int, place text default '',
  role name default null) returns void
language plpgsql stable
as $$
declare
  s settings;
begin
  select * into s from settings;
  if current_setting('postbus.checked', true) = reach_pass(s) then
    return;
  end if;
  if max_backlog_size > greatest(s.backlog_size_cap, s.max_backlog_size) then
    raise exception using errcode = 'PB003',
      message = format('%smax_backlog_size: must be %s or less, which is the backlog_size_cap, not %s',
        place, greatest(s.backlog_size_cap, s.max_backlog_size), max_backlog_size),
      hint = 'Raise the cap for the whole bus: configure(backlog_size_cap => …).';
  end if;
  if max_backlog_age > greatest(s.backlog_age_cap, s.max_backlog_age) then
    raise exception using errcode = 'PB003',
      message = format('%smax_backlog_age: must be %s or less, which is the backlog_age_cap, not %s',
        place, greatest(s.backlog_age_cap, s.max_backlog_age), max_backlog_age),
      hint = 'Raise the cap for the whole bus: configure(backlog_age_cap => …).';
  end if;
  role := coalesce(role, nullif(current_setting('role'), 'none'), session_user);
  if max_backlog_size < s.max_backlog_size
    and not has_function_privilege(role, 'shrink_backlogs(publication[], text, text, text)', 'execute') then
    raise exception using errcode = 'PB008',
      message = format('%smax_backlog_size: %s is below the bus-wide %s, and %I may not shrink backlogs', place,
        max_backlog_size, s.max_backlog_size, role),
      hint = format('It would drop messages that others may still read. Leave it out; or grant execute on function %I.shrink_backlogs to %I.', current_schema(), role);
  end if;
end
$$;

-- publish() for a message that was checked earlier: when it was queued, or when publish_changes() made a trigger. The
-- role that is now at work need not have the right that check_reach() asks for. It is told by a setting, which nobody
-- else can set to that value, and no code of others runs before it is gone. Client messages: errors only, as in
-- announce().
create or replace function publish_checked(m publication) returns bigint
language plpgsql set client_min_messages = error
as $$
declare
  s settings;
  pass text;
  id bigint;
begin
  if num_nonnulls(m.max_backlog_size, m.max_backlog_age) = 0 then
    return publish(m.channel, m.data, m.user_ids, m.group_ids, m.client_ids, nullif(m.site, ''));
  end if;
  select * into s from settings;
  pass := set_config('postbus.checked', reach_pass(s), true);
  id := publish(m.channel, m.data, m.user_ids, m.group_ids, m.client_ids, nullif(m.site, ''), m.max_backlog_size,
    m.max_backlog_age);
  pass := set_config('postbus.checked', '', true);
  return id;
end
$$;

create or replace function reach_pass(s settings) returns text language sql stable parallel safe
return encode(sha256(s.notify_key || '\x00'::bytea), 'hex');

-- A list with sizes and ages between these limits: settings may have changed since they were checked.
create or replace function within_reach(items publication[], least_size int) returns publication[]
language sql stable parallel safe
return case when not exists (select from unnest(items) i
  where num_nonnulls(i.max_backlog_size, i.max_backlog_age) > 0) then items else (
  select array_agg((i.site, i.channel, i.data, i.user_ids, i.group_ids, i.client_ids,
      greatest(least(i.max_backlog_size, greatest(s.backlog_size_cap, s.max_backlog_size)),
        case when i.max_backlog_size is not null then least_size end),
      least(i.max_backlog_age, greatest(s.backlog_age_cap, s.max_backlog_age)))::publication order by i.n)
  from settings s cross join unnest(items) with ordinality i(site, channel, data, user_ids, group_ids, client_ids,
    max_backlog_size, max_backlog_age, n)
) end;

-- check_reach() for a list.
create or replace function check_list_reach(items publication[]) returns void
language sql stable
begin atomic
  select check_reach(i.max_backlog_size, i.max_backlog_age, format('messages[%s].', i.n - 1))
    from unnest(items) with ordinality i(site, channel, data, user_ids, group_ids, client_ids, max_backlog_size,
      max_backlog_age, n)
    where i.max_backlog_size is not null or i.max_backlog_age is not null
    order by i.n;
end;

-- A cap is not below the bus-wide setting. That setting may be raised above the cap, and counts in its place then.
create or replace function check_cap(cap int, setting int, argument text, setting_name text) returns void
language plpgsql immutable parallel safe
as $$
begin
  if cap < setting then
    raise exception using errcode = 'PB003',
      message = format('%s: must be %s or more, which is the %s, not %s', argument, setting, setting_name, cap);
  end if;
end
$$;
