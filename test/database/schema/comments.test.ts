import t from 'tap';
import { openBus } from '../../helpers/bus.js';
import { createDatabase } from '../../helpers/database.js';
import { openSession } from '../../sql/session.js';

t.test('the schema and every table, column, type, sequence and public function has a comment', async (t) => {
  const { query } = await createDatabase(t);
  const bare = await query(
    `with ours as (select n.oid from pg_namespace n where n.nspname = 'message_bus')
    select 'schema' as object from ours where obj_description(ours.oid, 'pg_namespace') is null
    union all
    select c.relname from pg_class c join ours on ours.oid = c.relnamespace
      where c.relkind in ('r', 'S') and obj_description(c.oid, 'pg_class') is null
        and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'i')
    union all
    select t.typname from pg_type t join ours on ours.oid = t.typnamespace join pg_class c on c.oid = t.typrelid
      where c.relkind = 'c' and obj_description(t.oid, 'pg_type') is null
    union all
    select format('%s.%s', c.relname, a.attname) from pg_attribute a join pg_class c on c.oid = a.attrelid join ours on ours.oid = c.relnamespace
      where c.relkind in ('r', 'c') and a.attnum > 0 and not a.attisdropped and col_description(c.oid, a.attnum) is null
    union all
    select p.oid::regprocedure::text from pg_proc p join ours on ours.oid = p.pronamespace
      where p.prosecdef and obj_description(p.oid, 'pg_proc') is null and p.prorettype <> 'trigger'::regtype
    order by 1`,
  );
  t.strictSame(bare, []);
  t.match(await query(`select obj_description('message_bus.last_id'::regproc, 'pg_proc') as text`), [
    { text: 'The last message id of a channel; 0 when nothing was ever published to it.' },
  ]);
  t.match(await query(`select obj_description('message_bus.ids'::regproc, 'pg_proc') as text`), [{ text: /^Ids as/ }]);
});

t.test(
  'comments that are right are left alone, so that a migration that has new functions alone locks no table',
  async (t) => {
    const { url, query } = await createDatabase(t);
    const { client } = await openSession(t, url);
    await query('drop function message_bus.reset');
    await client.query('begin; lock table message_bus.turn, message_bus.messages in share update exclusive mode');
    await openBus(t, url).migrate();
    await client.query('rollback');
    t.match(await query(`select obj_description('message_bus.reset'::regproc, 'pg_proc') as text`), [
      { text: /^Drops all messages/ },
    ]);
  },
);

t.test('a comment on the schema that somebody else has made stays', async (t) => {
  const { url, query } = await createDatabase(t, { migrated: false });
  await openBus(t, url, { schema: 'public' }).migrate();
  t.match(await query(`select obj_description('public'::regnamespace, 'pg_namespace') as text`), [
    { text: 'standard public schema' },
  ]);
});
