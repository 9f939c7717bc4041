import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import t, { type Test } from 'tap';
import { startEmbeddedPostgres } from '../../src/embedded-postgres/index.js';
import { createBus } from '../../src/index.js';
import { needsBrowser, TestBrowser } from '../helpers/browser.js';
import { createDatabase } from '../helpers/database.js';
import { ClientPage, clientNames, type Settings, servePages } from '../helpers/pages/client-page.js';
import { RestartableNode } from '../helpers/restartable-node.js';
import { SteadyPublisher } from '../helpers/steady-publisher.js';

const browser = new TestBrowser(t);

const transports: Record<string, Settings> = {
  streaming: {},
  'long polling': { enableChunkedEncoding: false },
  polling: { enableLongPolling: false },
};

interface Scene {
  node: RestartableNode;
  publisher: SteadyPublisher;
  /** Waits until all pages have what is published by now. */
  recovered(): Promise<void>;
}

/** Lets `trouble` happen while messages are published: each page receives each of them once, in order. */
async function expectNothingLost(
  t: Test,
  databaseUrl: string,
  trouble: (scene: Scene) => Promise<void>,
): Promise<void> {
  const node = new RestartableNode(t, databaseUrl, servePages);
  await node.start();
  const context = await browser.openProfile(t);
  const kinds = clientNames.flatMap((client) => Object.entries(transports).map((each) => [client, ...each] as const));
  const pages = await Promise.all(
    kinds.map(async ([client, transport, settings]) => {
      // As the client is made for much longer outages, it would wait for up to three minutes.
      const quick = { callbackInterval: 100, minPollInterval: 10, maxPollInterval: 200 };
      const page = await ClientPage.open(context, node.url, { client, settings: { ...quick, ...settings } });
      await page.subscribe('/numbers', 0);
      return { name: `${transport} of ${client}`, page };
    }),
  );

  const publisher = new SteadyPublisher(t, databaseUrl, '/numbers');
  const recovered = async () => {
    const last = Math.max(...publisher.acknowledged.keys());
    await Promise.all(pages.map(({ page }) => page.untilAtLeast('/numbers', last)));
  };
  await publisher.more(20);
  await recovered();
  await trouble({ node, publisher, recovered });
  // At once: what was published in the last trouble has to come without help from what is published after it.
  await publisher.stop();

  const lastId = await readLastId(databaseUrl);
  for (const { name, page } of pages) {
    await page.untilPosition('/numbers', lastId);
    const received = await page.received();
    t.strictSame(
      received.map(({ messageId }) => messageId),
      Array.from({ length: lastId }, (_, i) => i + 1),
      `each id once and in order, by ${name}`,
    );
    const numbers = new Map(received.map(({ messageId, data }) => [messageId, data]));
    const wrong = [...publisher.acknowledged].filter(([id, number]) => numbers.get(id) !== number);
    t.strictSame(wrong, [], `each with what was acknowledged under its id, by ${name}`);
    t.strictSame(page.complaints, []);
  }
}

/** On a connection of its own: those of the bus may be broken just now. */
async function readLastId(databaseUrl: string): Promise<number> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  const { rows } = await client.query<{ id: string }>(`select message_bus.last_id('/numbers') as id`);
  await client.end();
  return Number(rows[0]?.id);
}

/** Until some more were published, and now and then until all pages have recovered. */
async function goOn({ publisher, recovered }: Scene): Promise<void> {
  await publisher.more(Math.ceil(Math.random() * 40));
  if (Math.random() < 0.5) await recovered();
}

const endConnections = `select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and application_name like $1 and pid <> pg_backend_pid()`;

t.test('nothing is lost when the server restarts', needsBrowser, async (t) => {
  const { url } = await createDatabase(t);
  await expectNothingLost(t, url, async (scene) => {
    const { node, publisher } = scene;
    for (let round = 1; round <= 6; round++) {
      await goOn(scene);
      await (round % 2 === 0 ? node.stop() : node.crash());
      await publisher.more(Math.ceil(Math.random() * 15));
      await node.start();
    }
  });
});

t.test("nothing is lost when the bus's connections to Postgres are ended", needsBrowser, async (t) => {
  const { url, query } = await createDatabase(t);
  await expectNothingLost(t, url, async (scene) => {
    const { publisher, recovered } = scene;
    await recovered();
    t.ok((await query(endConnections, ['postbus%'])).length > 1, 'a listener and others were connected');
    for (const who of ['postbus listener', 'postbus', '%', 'postbus%', 'postbus listener', '%']) {
      await goOn(scene);
      await query(endConnections, [who]);
    }
    await goOn(scene);
    await recovered();
    await publisher.stop();
    // The last one comes while nobody listens.
    await query(`${endConnections} union all select message_bus.publish('/numbers', '"last"') > 0`, ['postbus%']);
  });
});

t.test('nothing is lost when Postgres restarts', needsBrowser, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'postbus-browser-test-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  // It is processes that end here, not the machine.
  const start = (port?: number) =>
    startEmbeddedPostgres({ folder, settings: { fsync: 'off' }, ...(port === undefined ? {} : { port }) });
  let postgres = await start();
  t.teardown(() => postgres.stop());
  const bus = createBus({ connectionString: postgres.url });
  await bus.migrate();
  await bus.close();

  await expectNothingLost(t, postgres.url, async (scene) => {
    for (const ending of ['stop', 'kill', 'stop', 'kill']) {
      await goOn(scene);
      if (ending === 'kill') process.kill(postgres.postmasterPid, 'SIGKILL');
      else void postgres.stop();
      await postgres.stopped;
      postgres = await start(postgres.port);
    }
    await scene.publisher.more(1);
  });
});
