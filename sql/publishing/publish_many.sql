-- Publishes a list of messages in one go and returns their ids in the order given:
--   [{"channel": "/a", "data": 1, "user_ids": ["7"], "group_ids": […], "client_ids": […], "site_id": "s",
--     "max_backlog_size": 10, "max_backlog_age": 60}, …]
-- All or none. The global counter is locked from here to the end of the transaction, which therefore should end
-- at once: this is for batches of their own. Channels are locked in sorted order, so that batches cannot deadlock.
-- Speaks of errors alone, as announce() does.
create or replace function publish_many(messages jsonb) returns bigint[]
language plpgsql security definer set search_path from current set client_min_messages = error
as $$
declare
  items publication[] := checked_publications(publish_many.messages);
begin
  if pg_current_xact_id_if_assigned() is not null then
    return publish_in_order(items);
  end if;
  return publish_list(items);
end
$$;
