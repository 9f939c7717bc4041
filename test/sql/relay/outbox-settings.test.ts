import t from 'tap';
import { createReleasedSchema } from '../../database/migrate/fixtures/released-schema.js';
import { openBus } from '../../helpers/bus.js';
import { createDatabase } from '../../helpers/database.js';
import { createGrantee } from '../../helpers/role.js';
import { until } from '../../helpers/until.js';
import { openSession, openSessions } from '../session.js';

const later = (channel: string, data: string) => `select message_bus.publish_later('${channel}', '${data}')`;
const publish = (channel: string, data: string) => `select message_bus.publish('${channel}', '${data}')`;

const states = [
  '',
  'waiting',
  'mixed',
  'locked',
  'postponed',
  'postponed, locked',
  'mixed, locked',
  'taken',
  '17',
  'x',
];
const forgeries = ['outbox', 'turn'].flatMap((name) => states.map((value) => [`postbus.${name}`, value]));

t.test('whatever a role sets, and whenever, all that it publishes comes, in order', async (t) => {
  const { database, role, url } = await createGrantee(t, ['publish', 'publish_later', 'publish_many']);
  const [own] = await openSessions(t, url, 1);
  const other = await openSession(t, database.url);
  if (!own) throw new Error('no session');
  // What stands before, between and behind what is published, and what undoes it.
  const transactions = (forge: string, reset: string) => [
    [forge, `begin; ${later('/a', '1')}; ${later('/b', '2')}; commit`, reset],
    ['begin', later('/a', '1'), forge, later('/b', '2'), 'commit', reset],
    ['begin', later('/a', '1'), later('/b', '2'), forge, 'commit', reset],
    ['begin', publish('/a', '1'), later('/a', '2'), forge, later('/b', '3'), 'commit', reset],
    ['begin', later('/a', '2'), later('/b', '3'), forge, publish('/a', '1'), 'commit', reset],
    ['begin', later('/a', '2'), later('/b', '3'), publish('/a', '1'), forge, 'commit', reset],
    ['begin', later('/a', '1'), later('/b', '2'), 'savepoint s', forge, 'rollback to s', 'commit', reset],
    ['begin', later('/a', '1'), 'savepoint s', forge, later('/b', '2'), 'release s', 'commit', reset],
    [
      'begin',
      later('/a', '2'),
      later('/b', '3'),
      publish('/a', '1'),
      forge,
      'set constraints all immediate',
      'commit',
      reset,
    ],
    [
      'begin',
      'set constraints all immediate',
      forge,
      later('/a', '1'),
      publish('/a', '2'),
      later('/b', '3'),
      'commit',
      reset,
    ],
    [
      'begin',
      forge,
      `select message_bus.publish_many('[{"channel": "/a", "data": 1}]')`,
      later('/b', '2'),
      'commit',
      reset,
    ],
  ];
  let count = 0;
  const check = async (statements: string[]) => {
    await own.client.query(statements.join('; '));
    count += statements.join().match(/message_bus\.publish/g)?.length ?? 0;
  };
  for (const [name, value] of forgeries) {
    const local = `select set_config('${name}', '${value}', true)`;
    for (const statements of transactions(`set ${name} = '${value}'`, `reset ${name}`)) await check(statements);
    for (const statements of transactions(local, 'select 1')) await check(statements);
  }
  for (const [name, value] of forgeries) {
    await database.query(`alter role ${role} set ${name} = '${value}'`);
    const { client } = await openSession(t, url);
    await client.query(
      `${later('/a', '1')}; begin; ${later('/a', '3')}; ${later('/b', '4')}; ${publish('/a', '2')}; commit`,
    );
    await database.query(`alter role ${role} reset ${name}`);
    count += 4;
  }
  t.equal(await other.value(`select (message_bus.last_ids('{/a}'))[1] + (message_bus.last_ids('{/b}'))[1]`), count);
  t.strictSame(await database.query('select from message_bus.outbox'), []);
  t.strictSame(await database.query('select from message_bus.relay_outbox'), []);
  for (const channel of ['/a', '/b']) {
    const messages = await other.rows('select message_id, global_id from message_bus.backlog($1) order by 1', [
      channel,
    ]);
    const globalIds = messages.map(({ global_id }) => Number(global_id));
    t.equal(
      globalIds.length,
      Math.min(Number(await other.value('select message_bus.last_id($1)', [channel])), 1000),
      'none is without a global id',
    );
    t.strictSame(
      globalIds,
      globalIds.toSorted((a, b) => a - b),
      `${channel}: global ids rise with message ids`,
    );
  }
});

t.test(
  'rows that a setting has hidden from an earlier version are published by the nodes once it is migrated',
  async (t) => {
    const database = await createDatabase(t, { migrated: false });
    await createReleasedSchema(database);
    const hide = (id: number, channel: string, data: string, more: string) =>
      database.query(
        `insert into message_bus.outbox (xid, id, site, channel, data, user_ids) overriding system value values (pg_current_xact_id(), ${id}, ${more}, '${channel}', '${data}', null)`,
      );
    await hide(7, '/a', '1', `''`);
    await hide(8, '/b', '2', `''`);
    await hide(9, '/a', '3', `'s'`);
    const bus = openBus(t, database.url);
    await bus.migrate();
    await bus.connect();
    await until(
      async () => Number(await bus.lastId('/a', { siteId: 's' })) === 1,
      'a node that has never relayed publishes them',
    );
    const messages = await database.query('select channel, data, site_id from message_bus.global_backlog()');
    t.strictSame(messages, [
      { channel: '/a', data: 1, site_id: null },
      { channel: '/b', data: 2, site_id: null },
      { channel: '/a', data: 3, site_id: 's' },
    ]);
    t.strictSame(await database.query('select from message_bus.outbox'), []);
  },
);
