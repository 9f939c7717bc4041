import t from 'tap';
import { createDatabase } from '../../helpers/database.js';
import { createRole } from '../../helpers/role.js';
import { openSession } from '../session.js';
import { openChanges } from './published-changes.js';

const functions = 'publish_changes, stop_publishing_changes, change_function, change_mark, publish_rows';

t.test('a member of the owner installs publish_changes, or is told which grant is missing', async (t) => {
  const database = await createDatabase(t);
  const [version] = await database.query<{ number: number }>(
    `select current_setting('server_version_num')::int as number`,
  );
  const hasOptions = Number(version?.number) >= 160000;
  const owner = await createRole(t, database);
  const grants = hasOptions
    ? [
        ['with inherit true, set true', ''],
        ['with inherit false, set true', 'INHERIT'],
        ['with inherit true, set false', 'SET'],
        ['with inherit false, set false', 'INHERIT, SET'],
      ]
    : [
        ['', ''],
        ['', 'INHERIT'],
      ];
  await database.query(`create schema own authorization ${owner.role};
    grant usage on schema message_bus to ${owner.role};
    grant execute on function ${functions.replaceAll(/\w+/g, 'message_bus.$&')} to ${owner.role};
    create table own.orders (id int primary key); alter table own.orders owner to ${owner.role}`);
  const made = async () =>
    (
      await database.query(
        `select tgname from pg_trigger where tgrelid = 'own.orders'::regclass union select proname from pg_proc where pronamespace = 'own'::regnamespace`,
      )
    ).length;
  const call = `select message_bus.publish_changes('own.orders', '/orders')`;
  for (const [options, lacking] of grants) {
    const member = await createRole(t, database);
    await database.query(`grant ${owner.role} to ${member.role} ${options}; grant usage, create on schema own to ${member.role};
      grant usage on schema message_bus to ${member.role};
      grant execute on function ${functions.replaceAll(/\w+/g, 'message_bus.$&')} to ${member.role}`);
    if (!hasOptions && lacking) await database.query(`alter role ${member.role} noinherit`);
    const { client } = await openSession(t, member.url);
    if (lacking) {
      const refusal = await client.query(call).catch((error: unknown) => error);
      t.match(refusal, {
        code: 'PB006',
        message: `table: own.orders belongs to ${owner.role}, of whom ${member.role} is a member without ${lacking}`,
      });
      t.equal(await made(), 0, 'nothing is left');
      // What the hint says helps.
      const hint = refusal instanceof Error && 'hint' in refusal ? String(refusal.hint) : '';
      const [, grant] = hint.match(/((grant|alter) .*;)$/) ?? [];
      await database.query(String(grant));
    }
    await client.query(call);
    t.equal(await made(), 4);
    await client.query(`select message_bus.stop_publishing_changes('own.orders')`);
    t.equal(await made(), 0);
  }
  t.equal(
    (await database.query(`select from pg_class where relname = 'orders' and relowner = '${owner.role}'::regrole`))
      .length,
    1,
  );
});

t.test('a schema in which nothing may be made, and partitions of others: the missing grants are named', async (t) => {
  const database = await createDatabase(t);
  const [owner, member, other] = await Promise.all([
    createRole(t, database),
    createRole(t, database),
    createRole(t, database),
  ]);
  await database.query(`create schema bare; grant usage on schema bare to ${owner.role}, ${member.role}, ${other.role};
    grant ${owner.role} to ${member.role};
    grant usage on schema message_bus to ${owner.role}, ${member.role};
    grant execute on function ${functions.replaceAll(/\w+/g, 'message_bus.$&')} to ${owner.role}, ${member.role};
    create table bare.parts (id int, kind text) partition by list (kind); alter table bare.parts owner to ${owner.role};
    create table bare.part partition of bare.parts for values in ('a'); alter table bare.part owner to ${other.role}`);
  const calling = [await openSession(t, member.url)];
  for (const { client } of calling) {
    const call = () => client.query(`select message_bus.publish_changes('bare.parts', '/parts')`);
    const refusal = await call().catch((error: unknown) => error);
    t.match(refusal, {
      code: 'PB006',
      message: /^table: there are grants missing to publish the changes of bare.parts/,
    });
    const hint = refusal instanceof Error && 'hint' in refusal ? String(refusal.hint) : '';
    const grants = hint.replace('Call it after: ', '');
    await database.query(grants);
    await call();
    const made = () =>
      database.query(
        `select from pg_trigger where tgrelid in ('bare.parts'::regclass, 'bare.part'::regclass) union all select from pg_proc where proname like 'parts\\_%'`,
      );
    t.equal((await made()).length, 7);
    await call();
    t.equal((await made()).length, 7, 'what was made is replaced');
    await client.query(`select message_bus.stop_publishing_changes('bare.parts')`);
    t.equal((await made()).length, 0, 'nothing is left, on the partition of another owner neither');

    // The function of a partition that was taken out stays, so the triggers have to go one by one.
    await database.query(`create table bare.out partition of bare.parts for values in ('b')`);
    await database.query(`grant trigger on bare.out to ${member.role}`);
    await call();
    await database.query('alter table bare.parts detach partition bare.out');
    const stop = () => client.query(`select message_bus.stop_publishing_changes('bare.parts')`);
    for (const refused of [call, stop])
      await t.rejects(refused(), {
        code: 'PB006',
        message: /^table: bare.parts has partitions with triggers of bare.parts_changes\(\) that only their owners/,
        hint: new RegExp(`grant .*${other.role}.* to ${member.role};$`),
      });
    t.equal((await made()).length, 7, 'nothing is half done');
    await database.query(`grant ${other.role} to ${member.role}`);
    await stop();
    t.equal((await made()).length, 1, 'the function is that of bare.out now');
  }
});

t.test('a table with a foreign table among its partitions is refused whole', async (t) => {
  const { run, database } = await openChanges(
    t,
    `create foreign data wrapper elsewhere; create server elsewhere foreign data wrapper elsewhere;
    create table parts (id int, kind text) partition by list (kind);
    create table here partition of parts for values in ('here');
    create table below partition of parts for values in ('below') partition by range (id);
    create foreign table there partition of below for values from (1) to (9) server elsewhere`,
  );
  const call = `select message_bus.publish_changes('parts', '/parts')`;
  await t.rejects(run(call), {
    code: 'PB006',
    message:
      'table: public.there is a foreign table and a partition of public.parts: triggers do not see the changes of it',
  });
  t.strictSame(
    await database.query('select from pg_trigger where not tgisinternal and tgname like $1', ['parts%']),
    [],
  );
  await t.rejects(run(`select message_bus.publish_changes('there', '/parts')`), {
    code: 'PB006',
    message: /must be a table, not a view, a foreign/,
  });
  await run(`alter table below detach partition there; ${call}`);
});
