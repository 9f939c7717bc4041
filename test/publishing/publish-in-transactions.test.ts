import pg from 'pg';
import t, { type Test } from 'tap';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';

async function open(t: Test) {
  const { url } = await createDatabase(t);
  const bus = openBus(t, url);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  t.teardown(() => client.end());
  return { bus, client, datas: async (channel: string) => (await bus.backlog(channel)).map(({ data }) => data) };
}

t.test("publish() with a client is a part of the client's transaction, and returns the id", async (t) => {
  const { bus, client, datas } = await open(t);
  await client.query('begin');
  t.equal(await bus.publish('/a', 'undone', { client }), 1);
  t.strictSame(await datas('/a'), []);
  await client.query('rollback');
  await client.query('begin');
  t.equal(await bus.publish('/a', { text: `'"$1` }, { client }), 1);
  t.equal(await bus.publish('/a', null, { client }), 2);
  await client.query('commit');
  t.strictSame(await datas('/a'), [{ text: `'"$1` }, null]);
});

t.test('publish() with a client takes every option', async (t) => {
  const { bus, client } = await open(t);
  const targets = { userIds: [7, 'a,"b"', 2n ** 60n], groupIds: ['g'], clientIds: ['c'] };
  await bus.publish('/a', 1, { ...targets, siteId: 's', maxBacklogSize: 2, maxBacklogAge: 60, client });
  t.match(await bus.backlog('/a', 0, { siteId: 's' }), [
    { userIds: ['7', 'a,"b"', '1152921504606846976'], groupIds: ['g'], clientIds: ['c'], siteId: 's' },
  ]);
  await bus.publish('/global/a', 1, { siteId: 's', client });
  t.equal(await bus.lastId('/global/a'), 1);
});

t.test('a client may be anything with query(), whatever form its rows and bigints have', async (t) => {
  const { bus, client } = await open(t);
  const rowsOf = async (text: string, values: unknown[]) => (await client.query<{ id: string }>(text, values)).rows;
  const forms = [
    async (text: string, values: unknown[]) => rowsOf(text, values),
    async (text: string, values: unknown[]) => ({
      rows: (await rowsOf(text, values)).map(({ id }) => ({ id: BigInt(id) })),
    }),
    async (text: string, values: unknown[]) => ({
      rows: (await rowsOf(text, values)).map(({ id }) => ({ id: Number(id) })),
    }),
  ];
  for (const [i, query] of forms.entries()) t.equal(await bus.publish('/a', i, { client: { query } }), i + 1);
  const bad = { code: 'POSTBUS_BAD_OPTION', message: /^client: / };
  await t.rejects(bus.publish('/a', 1, { client: { query: async () => undefined } }), bad);
  await t.rejects(bus.publish('/a', 1, { client: { query: async () => ({ rows: [] }) } }), bad);
  await t.rejects(bus.publish('/a', 1, Object({ client: 'postgres://' })), bad);
  await t.rejects(bus.publish('/a', 1, Object({ client: null })), bad);
});

t.test('publish() with a client of pg does not depend on the parsers that the application has set', async (t) => {
  const { url } = await createDatabase(t);
  const bus = openBus(t, url);
  const fail = () => {
    throw new Error('not mine');
  };
  const oids = [20, 23, 25, 1043, 2950, 3802];
  const before = oids.map((oid) => [oid, pg.types.getTypeParser(oid)] as const);
  t.teardown(() => {
    for (const [oid, parser] of before) pg.types.setTypeParser(oid, parser);
  });
  const binary: pg.ClientConfig & { binary: boolean } = { binary: true };
  const configs = { plain: {}, binary, 'with types of its own': { types: { getTypeParser: () => fail } } };
  for (const oid of oids) pg.types.setTypeParser(oid, fail);
  for (const [name, config] of Object.entries(configs)) {
    const client = new pg.Client({ connectionString: url, ...config });
    await client.connect();
    await client.query('begin');
    const id = await bus.publish(`/${name}`, { name }, { client, userIds: [7] });
    t.equal(id, 1, name);
    t.strictSame(await bus.publishMany([{ channel: `/${name}`, data: 2 }], { client }), [2], name);
    await client.query('commit');
    t.equal(await bus.lastId(`/${name}`), 2);
    await client.end();
  }
});

t.test('an adapter in the way of another driver may read text and rows as it likes', async (t) => {
  const { bus, client } = await open(t);
  const raw = async (text: string, values: unknown[]): Promise<string> => {
    const { rows } = await client.query<[string]>({ text, values, rowMode: 'array' });
    t.type(rows[0]?.[0], 'string', 'the id is text');
    return rows[0]?.[0] ?? '';
  };
  const row = (id: unknown) => [Object.assign(Object.create(null), { ID: id })];
  const forms: Record<string, (id: string) => unknown> = {
    'rows as arrays': (id) => ({ rows: [[id]] }),
    'bytes of text': (id) => ({ rows: row(Buffer.from(id)) }),
    'columns in upper case': (id) => row(id),
    'what postgres.js gives: an array with more on it': (id) =>
      Object.assign([{ id }], { count: 1, command: 'SELECT' }),
    'what Kysely gives': (id) => ({ rows: [{ id }], numAffectedRows: 1n }),
    'text as numbers': (id) => ({ rows: row(Number(id)) }),
    'text as bigints': (id) => ({ rows: row(BigInt(id)) }),
  };
  for (const [i, [name, form]] of Object.entries(forms).entries()) {
    const query = async (text: string, values: unknown[]) => form(await raw(text, values));
    t.equal(await bus.publish('/a', name, { client: { query } }), i + 1, name);
  }
  for (const nonsense of [[{ id: null }], [{ id: '' }], [{}], [], { rows: [{ id: {} }] }])
    await t.rejects(bus.publish('/a', 1, { client: { query: async () => nonsense } }), { code: 'POSTBUS_BAD_OPTION' });
});

t.test('what Postgres refuses of a publish() with a client is an error with a code', async (t) => {
  const { bus, client } = await open(t);
  await client.query('begin');
  await t.rejects(bus.publish('/a', 1, { client, maxBacklogSize: 2_000_000_000 }), { code: 'POSTBUS_BEYOND_CAP' });
  await client.query('rollback');
  await t.rejects(bus.publish('/a', 1, { client, userIds: [] }), { code: 'POSTBUS_BAD_TARGETS' });
});

t.test('publishMany() publishes all or none, and returns the ids in the order given', async (t) => {
  const { bus, datas } = await open(t);
  const ids = await bus.publishMany([
    { channel: '/b', data: 1, userIds: [7] },
    { channel: '/a', data: 2 },
    { channel: '/b', data: 3 },
  ]);
  t.strictSame(ids, [1, 1, 2]);
  t.match(await bus.backlog('/b'), [
    { data: 1, userIds: ['7'] },
    { data: 3, userIds: null },
  ]);
  t.strictSame(await bus.publishMany([]), []);
  t.strictSame(await bus.publishMany([{ channel: '/c', data: 1 }], { siteId: 's' }), [1]);
  t.equal(await bus.lastId('/c', { siteId: 's' }), 1);
  await bus.configure({ maxDataSize: 10 });
  const messages = [
    { channel: '/a', data: 4 },
    { channel: '/a', data: 'more than ten bytes' },
  ];
  await t.rejects(bus.publishMany(messages), { code: 'POSTBUS_DATA_TOO_LARGE' });
  t.strictSame(await datas('/a'), [2]);
});

t.test('publishMany() refuses keys that it does not know, in its messages too', async (t) => {
  const { bus, datas } = await open(t);
  const refused = async (code: string, messages: object[], options: object = {}) =>
    t.rejects(Reflect.apply(bus.publishMany, bus, [messages, options]), { code });
  await refused('POSTBUS_BAD_TARGETS', [
    { channel: '/a', data: 1 },
    { channel: '/a', data: 2, userId: 7 },
  ]);
  await refused('POSTBUS_BAD_TARGETS', [{ channel: '/a', data: 1, user_ids: [7] }]);
  await refused('POSTBUS_BAD_OPTION', [{ channel: '/a', data: 1 }], { userIds: [7] });
  await refused('POSTBUS_BAD_TARGETS', [{ channel: '/a', data: 1, client: {} }]);
  await refused('POSTBUS_BAD_OPTION', Object('/a'));
  await refused('POSTBUS_BAD_DATA', [{ channel: '/a' }]);
  t.strictSame(await datas('/a'), []);
});

t.test("publishMany() with a client is a part of the client's transaction", async (t) => {
  const { bus, client, datas } = await open(t);
  const messages = [
    { channel: '/b', data: 1 },
    { channel: '/a', data: 2 },
    { channel: '/b', data: 3 },
  ];
  await client.query('begin');
  t.strictSame(await bus.publishMany(messages, { client }), [1, 1, 2]);
  await client.query('rollback');
  await client.query('begin');
  t.strictSame(await bus.publishMany(messages, { client }), [1, 1, 2]);
  await client.query('commit');
  t.strictSame(await datas('/b'), [1, 3]);
});

t.test('publishMany() waits for a transaction that holds one of its channels', async (t) => {
  const { bus, client } = await open(t);
  await client.query('begin');
  await bus.publish('/a', 1, { client });
  const published = bus.publishMany([
    { channel: '/a', data: 2 },
    { channel: '/b', data: 2 },
  ]);
  await new Promise((resolve) => setTimeout(resolve, 700));
  await client.query('commit');
  t.strictSame(await published, [2, 1]);
});
