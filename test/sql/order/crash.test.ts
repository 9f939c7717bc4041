import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/embedded-postgres/index.js';
import { createBus } from '../../../src/index.js';
import { until } from '../../helpers/until.js';

const rounds = 20;
const publishers = 8;
const channels = ['/a', '/b', '/c', '/d'];

t.test('Postgres killed in the middle of publishing keeps what it acknowledged, and no id comes twice', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'postbus-crash-'));
  // As durable as Postgres is by itself.
  let server = await startEmbeddedPostgres({ folder });
  t.teardown(async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });
  await prepare(server);

  const acknowledged = new Map<string, string>();
  let sent = 0;
  for (let round = 1; round <= rounds; round++) {
    const enough = acknowledged.size + 50 + Math.random() * 150;
    const publishing = Array.from({ length: publishers }, () =>
      publishUntilKilled(server.url, acknowledged, () => `message ${++sent}`),
    );
    await until(() => acknowledged.size > enough, 'some have been acknowledged');
    process.kill(server.postmasterPid, 'SIGKILL');
    await Promise.all(publishing);
    // Its processes follow their postmaster by themselves; this waits for them.
    await server.stop();
    server = await startEmbeddedPostgres({ folder, port: server.port });

    const { rows } = await queryOnce(
      server.url,
      'select channel, message_id, global_id, data from message_bus.global_backlog()',
    );
    const stored = new Map(rows.map(({ channel, message_id, data }) => [`${channel} ${message_id}`, data]));
    const lost = [...acknowledged].filter(([id, data]) => stored.get(id) !== data);
    t.strictSame(lost, [], `round ${round}: all ${acknowledged.size} acknowledged are there, under their ids`);
    t.strictSame(
      rows.map(({ global_id }) => Number(global_id)),
      rows.map((_, i) => i + 1),
    );
    for (const channel of channels) {
      const ids = rows.filter((row) => row.channel === channel).map(({ message_id }) => Number(message_id));
      t.strictSame(
        ids,
        ids.map((_, i) => i + 1),
        `${channel} has no gap`,
      );
    }
    t.equal(new Set(stored.values()).size, stored.size, 'no message comes twice');
  }
});

async function prepare({ url }: EmbeddedPostgres): Promise<void> {
  const bus = createBus({ connectionString: url });
  await bus.migrate();
  await bus.configure({ maxBacklogSize: 100_000, maxGlobalBacklogSize: 100_000 });
  await bus.close();
}

/** Adds what was acknowledged: channel and id, and the content. */
async function publishUntilKilled(
  url: string,
  acknowledged: Map<string, string>,
  compose: () => string,
): Promise<void> {
  const client = new pg.Client(url);
  client.on('error', () => {});
  const acknowledge = (channel: string, id: unknown, data: string) => {
    const key = `${channel} ${id}`;
    if (acknowledged.has(key)) throw new Error(`${key} came twice`);
    acknowledged.set(key, data);
  };
  try {
    await client.connect();
    for (;;) {
      const messages = Array.from({ length: Math.random() < 0.3 ? 5 : 1 }, () => ({
        channel: channels[Math.floor(Math.random() * channels.length)] ?? '/a',
        data: compose(),
      }));
      const [first] = messages;
      const ids =
        messages.length === 1 && first
          ? [
              (
                await client.query('select message_bus.publish($1, $2) as id', [
                  first.channel,
                  JSON.stringify(first.data),
                ])
              ).rows[0].id,
            ]
          : (
              await client.query('select unnest(message_bus.publish_many($1)) as id', [JSON.stringify(messages)])
            ).rows.map(({ id }) => id);
      for (const [i, { channel, data }] of messages.entries()) acknowledge(channel, ids[i], data);
    }
  } catch (error) {
    if (error instanceof Error && / came twice$/.test(error.message)) throw error;
  } finally {
    await client.end().catch(() => {});
  }
}

async function queryOnce(url: string, text: string): Promise<pg.QueryResult> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return await client.query(text);
  } finally {
    await client.end();
  }
}
