-- The NOTIFY channel on which the bus tells that there is something new: for readers that are no nodes, see
-- docs/protocol-sql.md. It is a secret: whoever knows the name can read along.
create or replace function notify_channel() returns text
language plpgsql stable parallel safe security definer set search_path from current
as $$
begin
  return (select s.notify_channel from settings s);
end
$$;
