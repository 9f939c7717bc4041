-- Ids of channels that were forgotten, see forget_channels(), are not given out again.
create or replace function bucket_of(site text, channel text) returns int language sql immutable parallel safe
return (select get_byte(h.hash, 0) * 4 + get_byte(h.hash, 1) % 4
  from (select sha256(convert_to(site || E'\n' || channel, 'UTF8')) as hash) h);

-- For a channel that the caller has locked, and that has just been created or has had its first publication of `total`
-- messages: moves its ids behind those of the channels forgotten in its bucket, as if that many messages had left its
-- backlog. Returns its last id. Whoever deletes a channel commits that with the bucket, and this looks after the row
-- was created: a statement of its own sees what was committed before. With an old snapshot, the lock of the row fails
-- if it has changed since.
create or replace function skip_forgotten(id bigint, total int) returns bigint
language plpgsql set enable_seqscan = off set jit = off
as $$
declare
  place int;
  skipped bigint;
begin
  select bucket_of(c.site_id, c.channel) into place from channels c where c.id = skip_forgotten.id;
  if current_setting('transaction_isolation') <> 'read committed' then
    perform from forgotten f where f.bucket = place for share;
  end if;
  select f.last_id into skipped from forgotten f where f.bucket = place;
  if skipped > 0 then
    update channels c set last_id = skipped + total, first_id = skipped + greatest(c.first_id, 1), deleted_id = skipped
      where c.id = skip_forgotten.id;
  end if;
  return coalesce(skipped, 0) + total;
end
$$;
