-- Changes bus-wide settings; null leaves one as it is. Readers see the new limits at once; rows beyond them are
-- deleted with the publications that follow.
create or replace function configure(
  clear_every int default null, max_backlog_size int default null, max_global_backlog_size int default null,
  max_backlog_age int default null, relay boolean default null, max_data_size int default null,
  backlog_size_cap int default null, backlog_age_cap int default null
) returns void
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_column
declare
  size_before int;
  size int;
  slots int;
  last bigint;
begin
  perform check_limit(configure.clear_every, 'clear_every'),
    check_limit(configure.max_backlog_size, 'max_backlog_size'),
    check_limit(configure.max_global_backlog_size, 'max_global_backlog_size'),
    check_limit(configure.max_backlog_age, 'max_backlog_age'),
    check_limit(configure.max_data_size, 'max_data_size', read_ceiling()),
    check_limit(configure.backlog_size_cap, 'backlog_size_cap'),
    check_limit(configure.backlog_age_cap, 'backlog_age_cap');
  select s.max_global_backlog_size into size_before from settings s for update;
  if not configure.relay then
    -- Nobody else does from here on what the nodes do now: what waits is published first. What cannot be, as another
    -- transaction holds its channel or is yet to commit it, the nodes find later.
    perform from relaying for update;
    -- What this transaction has done before is not their fault.
    set constraints all immediate;
    while (select w.is_full from publish_waiting(waiting_from()) w) loop
    end loop;
  end if;
  perform
      check_cap(configure.backlog_size_cap, coalesce(configure.max_backlog_size, s.max_backlog_size),
        'backlog_size_cap', 'max_backlog_size'),
      check_cap(configure.backlog_age_cap, coalesce(configure.max_backlog_age, s.max_backlog_age),
        'backlog_age_cap', 'max_backlog_age')
    from settings s;
  if configure.max_global_backlog_size <> size_before then
    -- The last lock, as for publishers.
    lock table turn in share update exclusive mode;
  end if;
  update settings s set
      clear_every = coalesce(configure.clear_every, s.clear_every),
      max_backlog_size = coalesce(configure.max_backlog_size, s.max_backlog_size),
      max_global_backlog_size = coalesce(configure.max_global_backlog_size, s.max_global_backlog_size),
      max_backlog_age = coalesce(configure.max_backlog_age, s.max_backlog_age),
      relay = coalesce(configure.relay, s.relay),
      max_data_size = coalesce(configure.max_data_size, s.max_data_size),
      backlog_size_cap = coalesce(configure.backlog_size_cap, s.backlog_size_cap),
      backlog_age_cap = coalesce(configure.backlog_age_cap, s.backlog_age_cap),
      relayed = s.relayed or coalesce(configure.relay, false),
      version = s.version + 1
    returning s.max_global_backlog_size into size;
  if size <> size_before then
    slots := window_slots(size);
    last := last_global_id();
    if current_setting('transaction_isolation') <> 'read committed' then
      -- Fails where there are rows that cannot be seen, which would stay where they are.
      insert into global_ring select i, -1, '{}', '{}' from bus b cross join generate_series(0, b.ring_size - 1) i
        on conflict do nothing;
      delete from global_ring r where r.global_id = -1;
    end if;
    delete from global_ring r where block_of(r.global_id) <= block_of(last) - slots;
    update global_ring r set slot = -1 - r.slot;
    update global_ring r set slot = block_of(r.global_id) % slots;
    update bus set ring_size = slots, passed_global_id = greatest(passed_global_id, last - size_before);
  end if;
  perform announce_settings();
end
$$;
