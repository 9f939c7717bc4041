-- Publishes and reads with psql:  psql "$DATABASE_URL" -v channel=/chat -f publish.sql
\set QUIET on
\pset tuples_only on
\pset format unaligned
\set data '{"from": "psql", "text": "hello"}'

-- With your own data: the message goes out when the transaction commits, and never if it does not.
begin;
create temp table notes (body text) on commit drop;
insert into notes values ('hello');
select 'published ' || message_bus.publish(:'channel', :'data');
commit;

begin;
select message_bus.publish(:'channel', '"never seen"') \g /dev/null
rollback;

-- For some alone. Ids are text; a literal makes a list of them.
select 'published ' || message_bus.publish(:'channel', '"for 42"', user_ids => '{42}');

-- What can be read after an id that you have seen: 0, from the beginning.
select message_id || ' ' || data from message_bus.backlog(:'channel', 0);

-- Errors have an SQLSTATE.
\set VERBOSITY terse
select message_bus.publish('no slash', '1');
\echo refused :LAST_ERROR_SQLSTATE
