-- The wake-up call that nodes listen for. A payload is
--   1 <tab> keyed hash of the rest <newline> line [<newline> line …]
-- with a line per message, in the order of global ids:
--   global_id, message_id, site_id, channel, targets as JSON or nothing, data or nothing; tabs between.
-- No field holds a tab or a newline: channels and sites have no control characters, jsonb escapes them.
-- Data is left out where it does not fit (NOTIFY takes 7999 bytes): nodes then read it from the table.
create or replace function message_line(
  global_id bigint, message_id bigint, site text, channel text, user_ids text[], group_ids text[], client_ids text[], data text
) returns text language sql stable -- as json_build_array is; or it would not be inlined
return global_id || E'\t' || message_id || E'\t' || site || E'\t' || channel || E'\t'
  || case when user_ids is null and group_ids is null and client_ids is null then ''
     else json_build_array(user_ids, group_ids, client_ids)::text end
  || E'\t' || data;

-- The hash is HMAC-like but shorter to write: the outer hash covers the inner one, so that it cannot be extended.
create or replace function sign_payload(lines text, key bytea) returns text language sql stable -- as convert_to is
return E'1\t' || encode(sha256(key || sha256(key || convert_to(lines, 'UTF8'))), 'hex') || E'\n' || lines;
