-- Numbers with names. Each is a plain expression, so that it is inlined where it is used and costs nothing there.

-- Global ids that share a row of global_ring: a list of messages takes a row for each 16 of them, not one each.
create or replace function block_size() returns int language sql immutable parallel safe
return 16;

-- The block that a global id is in, and so the row of global_ring: it lies in the slot with this number modulo
-- bus.ring_size.
create or replace function block_of(global_id bigint) returns bigint language sql immutable parallel safe
return global_id / block_size();

-- The slots that global_ring needs for a window of this size: one more than fit, because it begins and ends within a
-- block.
create or replace function window_slots(size int) returns int language sql immutable parallel safe
return ((size + (block_size() - 2)::bigint) / block_size() + 1)::int;

-- Bytes of data after which a read ends a page. A JavaScript process has to hold each page as a whole.
create or replace function page_bytes() returns int language sql immutable parallel safe
return 524288;

-- Message ids that a read walks through at most before it ends a page, or a clean-up before it leaves the rest for the
-- next time.
create or replace function stretch() returns int language sql immutable parallel safe
return 10000;
