-- Tells one past of the bus from another: for readers that are no nodes, see docs/protocol-sql.md. Global ids of
-- different incarnations have nothing to do with each other, unless the message with such an id is the same one.
create or replace function incarnation() returns text
language plpgsql stable parallel safe security definer set search_path from current
as $$
begin
  return (select encode(sha256(convert_to(concat_ws('/', i.id, incarnation_home()), 'UTF8')), 'hex')
    from incarnation i);
end
$$;
