-- The bus-wide settings.
create or replace function configuration(
  out clear_every int, out max_backlog_size int, out max_global_backlog_size int, out max_backlog_age int,
  out max_data_size int, out backlog_size_cap int, out backlog_age_cap int, out relay boolean
)
language plpgsql stable parallel safe security definer set search_path from current
as $$
#variable_conflict use_column
begin
  select s.clear_every, s.max_backlog_size, s.max_global_backlog_size, s.max_backlog_age, s.max_data_size,
      s.backlog_size_cap, s.backlog_age_cap, s.relay
    into configuration.clear_every, configuration.max_backlog_size, configuration.max_global_backlog_size,
      configuration.max_backlog_age, configuration.max_data_size, configuration.backlog_size_cap,
      configuration.backlog_age_cap, configuration.relay
    from settings s;
end
$$;
