-- Gives the bus another NOTIFY channel and another key that signs what is sent there. Nodes and followers hear of it in
-- a last notification on the old channel; those that miss it find out within seconds. For the owner alone: it is
-- granted to nobody. Speaks of errors alone, as announce() does.
create or replace function rotate_key() returns void
language plpgsql security definer set search_path from current set client_min_messages = error
as $$
declare
  old settings;
begin
  select * into old from settings for update;
  update settings set
    notify_channel = 'message_bus_' || replace(gen_random_uuid()::text, '-', ''),
    notify_key = sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')),
    version = version + 1;
  perform pg_notify(old.notify_channel, sign_payload(E'settings\t' || old.version + 1, old.notify_key));
end
$$;
