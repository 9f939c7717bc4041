import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import t, { type Test } from 'tap';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded-postgres/index.js';
import { createBus } from '../../src/index.js';
import { SteadyPublisher } from '../helpers/steady-publisher.js';
import { startTcpProxy } from '../helpers/tcp-proxy.js';
import { until } from '../helpers/until.js';

t.test(
  'a standby takes over: what was acknowledged is there, subscribers miss nothing and get nothing twice',
  async (t) => {
    const { primary, standby } = await startPair(t);
    let target = primary.url;
    const address = await startTcpProxy(t, () => target);
    const bus = createBus({ connectionString: address, logger: { warn: () => {}, error: () => {} } });
    t.teardown(() => bus.close());
    const received: unknown[] = [];
    await bus.subscribe('/a', ({ messageId, data }) => void received.push([messageId, data]), { lastId: 0 });
    const publisher = new SteadyPublisher(t, address, '/a');
    await publisher.more(50);

    process.kill(primary.postmasterPid, 'SIGKILL');
    await query(standby.url, 'select pg_promote()');
    target = standby.url;
    await publisher.more(50);
    await publisher.stop();

    const stored = await query<{ id: string; data: number }>(
      standby.url,
      `select message_id as id, data from message_bus.backlog('/a')`,
    );
    const expected = stored.map(({ id, data }) => [Number(id), data]);
    await until(() => received.length >= expected.length, 'all of it has come');
    t.strictSame(received, expected);
    for (const [id, number] of publisher.acknowledged) t.strictSame(expected[id - 1], [id, number]);
  },
);

/** A server, and another that follows it: a commit is acknowledged when it has reached both. */
async function startPair(t: Test): Promise<{ primary: EmbeddedPostgres; standby: EmbeddedPostgres }> {
  const folder = await mkdtemp(join(tmpdir(), 'postbus-failover-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const [first, second] = [join(folder, 'first'), join(folder, 'second')];
  const settings = { fsync: 'off', full_page_writes: 'off' };
  const original = await startEmbeddedPostgres({ folder: first, settings });
  const bus = createBus({ connectionString: original.url });
  await bus.migrate();
  await bus.close();
  await original.stop();
  await cp(first, second, { recursive: true });
  await writeFile(join(second, 'data', 'standby.signal'), '');

  const primary = await startEmbeddedPostgres({ folder: first, settings });
  t.teardown(() => primary.stop());
  const { password } = new URL(primary.url);
  const standby = await startEmbeddedPostgres({
    folder: second,
    settings: {
      ...settings,
      primary_conninfo: `host=127.0.0.1 port=${primary.port} user=postgres password=${password}`,
    },
  });
  t.teardown(() => standby.stop());
  await until(async () => {
    const [row] = await query<{ count: string }>(primary.url, 'select count(*) from pg_stat_replication');
    return row?.count === '1';
  }, 'the standby follows');
  await query(primary.url, `alter system set synchronous_standby_names = '*'`);
  await query(primary.url, 'select pg_reload_conf()');
  return { primary, standby };
}

async function query<Row extends pg.QueryResultRow>(url: string, text: string): Promise<Row[]> {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query<Row>(text).finally(() => client.end());
  return rows;
}
