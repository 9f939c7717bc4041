-- A node's sign of life, to itself and to the others: a NOTIFY without a message, which leaves no row. `beat` tells it
-- from those before, so that an old one, sent again by somebody, proves nothing. Neither argument can carry a line of a
-- message: whoever may call this does not get messages of their own signed.
create or replace function keepalive(node text, beat uuid) returns void
language plpgsql security definer set search_path from current set client_min_messages = error
as $$
begin
  perform pg_notify(s.notify_channel,
      sign_payload(E'keepalive\t' || keepalive.beat || E'\t'
        || regexp_replace(left(keepalive.node, 200) collate "C", '[^!-~]', '', 'g'), s.notify_key))
    from settings s where keepalive.node is not null and keepalive.beat is not null;
end
$$;
