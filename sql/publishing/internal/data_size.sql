-- How large the text of data is. Nodes are sent data as text, and that can be thousands of times as long as jsonb: a
-- number such as 1e131071 takes 10 bytes and 131,072 digits; a control character takes 1 byte and 6 characters
-- (\u0001).

-- No node is sent more than this of one message, and max_data_size cannot be more: a JavaScript string has 512 MB at
-- most.
create or replace function read_ceiling() returns int language sql immutable parallel safe
return 67108864;

-- The bytes of the long numbers and strings in data, added up until there are more than `most`.
create or replace function long_bytes(data jsonb, most int) returns bigint
language plpgsql stable parallel safe
as $$
declare
  bytes bigint := 0;
  part int;
begin
  for part in
    select case jsonb_typeof(q) when 'number' then octet_length(q::text) else pg_column_size(q) - 16 end
    -- Not as a table, which would be written to disk.
    from (select jsonb_path_query(data, 'strict $.** ? (@.type() == "number" || @.type() == "string")', '{}', true) as q
      offset 0) v
    where case jsonb_typeof(q) when 'number' then scale(q::numeric) > 100 or q::numeric >= 1e30 or q::numeric <= -1e30
      else pg_column_size(q) > 1000000 end
  loop
    bytes := bytes + part;
    exit when bytes > most;
  end loop;
  return bytes;
end
$$;

-- The text of data, and its bytes. If it has more than `most`: null, and a size above `most` that the text has at
-- least; most often without making the text, because more than 1 GB cannot be made, and takes seconds to fail.
create or replace function text_within(data jsonb, most int, out as_text text, out bytes bigint)
language plpgsql stable
as $$
declare
  -- A copy that is neither compressed nor elsewhere, as what a table holds may be.
  unpacked jsonb := jsonb_path_query_first(data, '$');
  size int := pg_column_size(unpacked);
begin
  -- A string has at least the characters that it takes. Else text is shortest for [1, 1, …] and [[[…]]]: a quarter of
  -- the bytes.
  bytes := greatest(case when jsonb_typeof(unpacked) = 'string' then size - 16 else size / 4 - 8 end, 0);
  -- To look through all numbers takes as long as to make the text, or longer. 32 kB have 350 MB of text at most, and
  -- 700 kB 960 MB if no number is large: those below 1e30 can have 16,383 digits after the point.
  if bytes <= most and size > 32768 and (size > 700000
    or jsonb_path_exists(unpacked, 'strict $.**{last} ? (@ >= 1e30 || @ <= -1e30)', '{}', true)) then
    bytes := long_bytes(unpacked, most);
  end if;
  if bytes <= most then
    begin
      as_text := unpacked::text;
      bytes := octet_length(as_text);
    exception when program_limit_exceeded or out_of_memory then
      bytes := 1073741823;
    end;
  end if;
  if bytes > most then
    as_text := null;
  end if;
end
$$;

-- The bytes of the text of data; if they are more than `most`, at least one more.
create or replace function data_bytes(data jsonb, most int) returns bigint language sql stable -- as pg_column_size is
return case when pg_column_size(data) < 5000 and pg_column_compression(data) is null then octet_length(data::text)
  else (text_within(data, most)).bytes end;

create or replace function ids_bytes(ids text[]) returns bigint language sql stable parallel safe
return coalesce(octet_length(array_to_string(ids, ',')), 0);

-- True if readable_text() is data::text: up to 5000 bytes have 61 MB of text at most.
create or replace function has_plain_text(data jsonb, user_ids text[], group_ids text[], client_ids text[])
  returns boolean language sql stable parallel safe
return pg_column_size(data) < 5000 and pg_column_compression(data) is null
  and num_nonnulls(user_ids, group_ids, client_ids) = 0;

-- The text of a stored message's data for nodes; null if it is too large, or the targets are: who writes to the tables
-- by hand can store anything.
create or replace function readable_text(data jsonb, user_ids text[], group_ids text[], client_ids text[]) returns text
  language sql stable
return case when has_plain_text(data, user_ids, group_ids, client_ids) then data::text
  when ids_bytes(user_ids) + ids_bytes(group_ids) + ids_bytes(client_ids) <= read_ceiling() then
    (text_within(data, read_ceiling())).as_text end;

-- Returns whether the text of the data may be much larger than the data itself. Such data is measured before anything
-- is locked. All other data is measured in announce() and publish_list(), which make its text anyway.
create or replace function is_bulky(data jsonb) returns boolean
  language sql stable parallel safe -- as pg_column_size is
return (pg_column_size(data) >= 8000 or pg_column_compression(data) is not null) is true;

create or replace function check_data(data jsonb, argument text default 'data') returns void
language plpgsql stable
as $$
declare
  most int;
begin
  select s.max_data_size into most from settings s;
  perform check_bytes(data_bytes(data, most), most, argument);
end
$$;

-- An error if data has more bytes of text than it may have. Else '': what a notification carries of data that it has no
-- room for.
create or replace function check_bytes(bytes bigint, most int, argument text) returns text
language plpgsql immutable parallel safe
as $$
begin
  if bytes > most then
    raise exception using errcode = 'PB007',
      message = format('%s: has %s bytes of text or more, and max_data_size is %s', argument, bytes, most),
      hint = 'Publish a reference to what is stored elsewhere, or raise the limit: configure(max_data_size => …).';
  end if;
  return '';
end
$$;
