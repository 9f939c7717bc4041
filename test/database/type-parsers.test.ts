import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import t, { type Test } from 'tap';
import type { Bus } from '../../src/index.js';
import { createMemoryBus } from '../../src/memory/index.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { until } from '../helpers/until.js';

const oids = Array.from({ length: 4_200 }, (_, oid) => oid);
const nonsense = () => 'nonsense';

/** Uses all that reads a column, or sends a value, of each type. */
async function useAll(t: Test, bus: Bus): Promise<void> {
  t.notMatch(await bus.migrate(), 'nonsense');
  const heard: unknown[] = [];
  const received: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => heard.push(data));
  await bus.subscribe('/a', (message) => received.push(message), { siteId: 'x', lastId: 0 });
  await until(() => bus.isConnected, 'the bus listens');
  t.equal(await bus.publish('/a', { deep: [1, null, 'é"\\{},'] }), 1);
  t.strictSame(await Promise.all([bus.publish('/a', 1), bus.publish('/a', null)]), [2, 3]);
  const userIds = ['', 'NULL', 'a b', '"\\', '{,}', 'é\n'];
  await bus.publish('/a', 1, { userIds, groupIds: [7], siteId: 'x' });
  await until(() => heard.length === 3 && received.length === 1, 'they came');
  t.strictSame(heard, [{ deep: [1, null, 'é"\\{},'] }, 1, null]);
  t.match(received, [{ messageId: 1, siteId: 'x', userIds, groupIds: ['7'], clientIds: null }]);
  t.strictSame(await bus.lastIds(['/a', '/none']), [3, 0]);
  t.equal((await bus.backlog('/a', 1)).length, 2);
  t.strictSame(
    (await bus.globalBacklog(0)).map(({ globalId }) => globalId),
    [1, 2, 3, 4],
  );
  t.match(await bus.lastMessage('/a'), { messageId: 3, data: null });
  await bus.configure({ clearEvery: 10 });
  await bus.reset();
  t.equal(await bus.publish('/a', 4), 4);
  await until(() => heard.length === 4, 'it goes on');
  t.match(await bus.diagnostics(), {
    backlogs: { lastGlobalId: 5, channels: Number, largest: [{ channel: '/a', lastId: 4 }] },
  });
}

t.test('parsers that an application sets for everybody do not count for the bus', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const before = oids.map((oid) => [oid, pg.types.getTypeParser(oid), pg.types.getTypeParser(oid, 'binary')] as const);
  t.teardown(() => {
    for (const [oid, text, binary] of before) {
      pg.types.setTypeParser(oid, text);
      pg.types.setTypeParser(oid, 'binary', binary);
    }
  });
  for (const oid of oids) {
    pg.types.setTypeParser(oid, nonsense);
    pg.types.setTypeParser(oid, 'binary', nonsense);
  }
  const bus = openBus(t, database.url);
  await useAll(t, bus);
  t.strictSame(bus.log, []);
  t.match(await database.query('select 1 as one'), [{ one: 'nonsense' }], 'the application has them');
});

// pg's types do not know `binary`.
const settings: Record<string, pg.PoolConfig & { binary?: boolean }> = {
  'parsers of its own': { types: { getTypeParser: () => nonsense } },
  'results in binary': { binary: true },
};
for (const [name, config] of Object.entries(settings))
  t.test(`a pool with ${name} is as good as another`, async (t) => {
    const database = await createDatabase(t, { migrated: false });
    const pool = new pg.Pool({ connectionString: database.url, ...config });
    const bus = openBus(t, '', { pool });
    t.teardown(async () => {
      await bus.close();
      await pool.end();
    });
    await useAll(t, bus);
    t.strictSame(bus.log, []);
  });

t.test('pg.defaults that the application has set do not count for the bus', async (t) => {
  const database = await createDatabase(t, { migrated: false });
  const before = { ...pg.defaults, parseInt8: false };
  t.teardown(() => Object.assign(pg.defaults, before));
  Object.assign(pg.defaults, { parseInt8: true, binary: true, rows: 1, statement_timeout: 5_000 });
  const bus = openBus(t, database.url);
  await useAll(t, bus);
  t.strictSame(bus.log, []);
});

t.test('a PGlite with parsers and serializers of its own is as good as another', async (t) => {
  const pglite = new PGlite();
  await pglite.waitReady;
  // Later, because PGlite itself reads OIDs with them at its start.
  for (const oid of oids) {
    pglite.parsers[oid] = nonsense;
    pglite.serializers[oid] = nonsense;
  }
  const bus = createMemoryBus({ pglite });
  await useAll(t, bus);
  await bus.close();
  await pglite.close();
});
