-- Publishes and reads with psql:  psql "$DATABASE_URL" -v channel=/chat -f publish.sql
\set QUIET on
\pset tuples_only on
\pset format unaligned

-- With your own data: the message goes out when the transaction commits, and never if it does not.
begin;
create temp table notes ("from" text, text text) on commit drop;
insert into notes values ('psql', 'hello');
select 'published ' || message_bus.publish(:'channel', to_jsonb(n)) from notes n;
commit;

begin;
select message_bus.publish(:'channel', '"never seen"') \g /dev/null
rollback;

-- For some alone. Ids are text. Those of a column: message_bus.ids(customer_id), where the role may execute that.
select 'published ' || message_bus.publish(:'channel', '"for 42"', user_ids => array[42]::text[]);

-- What can be read after an id that you have seen: 0, from the beginning.
select message_id || ' ' || data from message_bus.backlog(:'channel', 0);

-- Errors have an SQLSTATE.
\set VERBOSITY terse
select message_bus.publish('/__status', '1');
\echo refused :LAST_ERROR_SQLSTATE
