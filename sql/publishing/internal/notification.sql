-- The wake-up call that nodes listen for. A payload is
--   1 <tab> keyed hash of the rest <newline> line [<newline> line …]
-- with a line per message, in the order of global ids:
--   global_id, message_id, site_id, channel, version, first_id, expires, targets as JSON or nothing, data or nothing;
-- tabs between. By the settings of this version, the channel can be read from first_id on after this message, and the
-- message until expires, in microseconds. Or it says that the settings have another version now:
--   settings <tab> version
-- No field holds a tab or a newline: channels and sites have no control characters, jsonb escapes them.
-- Data is left out where it does not fit (NOTIFY takes 7999 bytes): nodes then read it from the table.
create or replace function microseconds(at timestamptz) returns bigint
  language sql stable parallel safe -- as date_part is; or it would not be inlined
return (date_part('epoch', at) * 1000000)::bigint; -- extract would reckon in numeric, at ten times the cost

create or replace function message_line(
  global_id bigint, message_id bigint, head text, expires bigint, user_ids text[], group_ids text[], client_ids text[],
  data text
) returns text language sql stable parallel safe -- as json_build_array is; or it would not be inlined
return concat_ws(E'\t', global_id, message_id, head, expires,
  case when user_ids is null and group_ids is null and client_ids is null then ''
    else json_build_array(user_ids, group_ids, client_ids)::text end,
  data);

-- A line that is too long, without targets and data.
create or replace function without_data(line text) returns text language sql immutable parallel safe
return substring(line from '^(?:[^\t]*\t){7}') || E'\t';

-- The hash is HMAC-like but shorter to write: the outer hash covers the inner one, so that it cannot be extended.
create or replace function sign_payload(lines text, key bytea) returns text
  language sql stable parallel safe -- as convert_to is
return E'1\t' || encode(sha256(key || sha256(key || convert_to(lines, 'UTF8'))), 'hex') || E'\n' || lines;

-- Tells the nodes that the settings have changed. Speaks of errors alone, as announce() does.
create or replace function announce_settings() returns void
language plpgsql set client_min_messages = error
as $$
begin
  perform pg_notify(s.notify_channel, sign_payload(E'settings\t' || s.version, s.notify_key)) from settings s;
end
$$;
