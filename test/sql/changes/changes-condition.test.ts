import t from 'tap';
import { openChanges } from './published-changes.js';

// What citext is made of, as far as a condition is concerned: the extension itself is not there on every server.
const blindText = `
  create type blind;
  create function blind_in(cstring) returns blind language internal immutable strict as 'textin';
  create function blind_out(blind) returns cstring language internal immutable strict as 'textout';
  create type blind (input = blind_in, output = blind_out, like = text, category = 'S', collatable = true);
  create cast (blind as text) without function as implicit;
  create cast (text as blind) without function as assignment;
  create function blind_eq(a blind, b blind) returns boolean language sql immutable as 'select lower(a::text) = lower(b::text)';
  create operator = (leftarg = blind, rightarg = blind, function = blind_eq);
  create domain name as blind;
  create type mood as enum ('good', 'bad');`;

for (const schema of ['public', 'ext'])
  t.test(`a condition that means something else in a query is refused (types in ${schema})`, async (t) => {
    const { run, changes } = await openChanges(
      t,
      `create schema if not exists ${schema}; set search_path = ${schema}, pg_catalog; ${blindText}
      create table public.people (id int primary key, email blind, mood mood, name ${schema}.name, aliases blind[]); set search_path = public, ${schema}`,
    );
    const call = (condition: string) =>
      run(`select message_bus.publish_changes('people', '/people', condition => $c$${condition}$c$)`);
    for (const condition of [
      `email = 'ANN'`,
      `id > 0 and (email = 'ANN' or id = 3)`,
      `email in ('ANN', 'BOB')`,
      `name = 'ANN'`,
      `'ANN' = email -- so`,
      `exists (select from (values ('ANN')) v(a) where email = v.a::${schema}.blind)`,
    ])
      await t.rejects(
        call(condition),
        {
          code: 'PB006',
          message: `condition: ${condition} would not use the operators of the types in ${schema}`,
          hint: /need their schema/,
        },
        condition,
      );
    for (const [condition, ids] of [
      [`email operator(${schema}.=) 'ANN'`, [1, 2]],
      [`email::text = 'ann'`, [1]],
      [`lower(email::text) = 'ann'`, [1, 2]],
      ['email is not null', [1, 2]],
      ['id > 0', [1, 2, 3]],
      [`mood = 'good'`, [1, 3]],
      [`mood > 'good' or mood in ('bad')`, [2]],
    ] as const) {
      await call(condition);
      await run(`insert into people values (1, 'ann', 'good', null), (2, 'ANN', 'bad', null), (3, null, 'good', 'x')`);
      await run('set session_replication_role = replica; delete from people; set session_replication_role = origin');
      t.strictSame(
        (await changes()).map(([, { key }]) => key),
        ids.map((id) => ({ id })),
        condition,
      );
    }
    await t.rejects(call('nope = 1'), { code: 'PB006', message: /^condition: column "nope" does not exist/ });
    t.strictSame(await changes(), []);
  });

t.test('a condition that makes such a type of a column of another one is refused, too', async (t) => {
  const { run } = await openChanges(
    t,
    `create schema ext; set search_path = ext, pg_catalog; ${blindText} create table public.others (email blind); set search_path = public;
    create function ext.to_blind(text) returns ext.blind language sql immutable return $1::ext.blind;
    create table titles (id int primary key, title text)`,
  );
  const call = (condition: string) =>
    run(`select message_bus.publish_changes('titles', '/titles', condition => $c$${condition}$c$)`);
  for (const condition of [
    `title::ext.blind = 'ANN'`,
    `cast(title as ext.name) in ('ANN')`,
    `ext.to_blind(title) = 'ANN'`,
    `exists (select from public.others o where o.email = 'ANN')`,
  ]) {
    const message = `condition: ${condition} would not use the operators of the types in ext`;
    await t.rejects(call(condition), { code: 'PB006', message }, condition);
  }
  for (const condition of [`title::ext.blind operator(ext.=) 'ANN'`, `title = 'ANN'`, `title::ext.blind::text = 'ANN'`])
    await t.resolves(call(condition), condition);
});
