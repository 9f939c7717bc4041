import t from 'tap';
import { type BlackHole, startBlackHole } from '../helpers/black-hole.js';
import { openBus } from '../helpers/bus.js';
import { createDatabase } from '../helpers/database.js';
import { listenAndLog } from '../helpers/logging-server.js';
import { poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';

// Whoever is woken at night finds a line for each trouble, with its code, whatever the number of clients.

// How a bus's connections end, by the name of their application.
const ends: Record<string, (broken: Broken) => Promise<void>> = {
  'all at once': ({ end }) => end('postbus%'),
  'the idle ones first': async ({ end, isLogged }) => {
    await end('postbus');
    await until(() => isLogged(/idle/), 'the pool has noticed');
    await end('postbus listener');
  },
  'the one that listens first': async ({ end, isLogged, idle }) => {
    idle.swallow();
    await end('postbus%');
    await until(() => isLogged(/not listening/), 'the listener has noticed');
    idle.letThrough();
  },
};

interface Broken {
  end: (application: string) => Promise<void>;
  isLogged: (message: RegExp) => boolean;
  /** The way of all connections but the one that listens. */
  idle: BlackHole;
}

for (const [how, breakThem] of Object.entries(ends)) {
  t.test(
    `connections that break, ${how}: a line for the idle ones, one for the one that listens, and one when it is back`,
    async (t) => {
      const { url: database, query } = await createDatabase(t);
      const idle = await startBlackHole(t, database);
      const bus = openBus(t, idle.url, { listenConnectionString: database });
      await bus.subscribe('/a', () => {});
      const ofBus = (application: string) =>
        `from pg_stat_activity where application_name like '${application}' and datname = current_database()`;
      await until(async () => {
        await Promise.all([...Array(5)].map(() => bus.globalBacklog()));
        const [{ count = 0 } = {}] = await query(`select count(*)::int ${ofBus('postbus%')}`);
        return count > 3 && bus.isConnected;
      }, 'the bus has several connections');
      const isLogged = (pattern: RegExp) => bus.log.some(({ message }) => pattern.test(message));
      const end = async (application: string) => {
        await query(`select pg_terminate_backend(pid) ${ofBus(application)}`);
      };
      await breakThem({ end, isLogged, idle });
      await until(() => bus.log.length > 2 && bus.isConnected, 'it is over');
      const lost = { err: { code: 'POSTBUS_CONNECTION_LOST', statusCode: 503 } };
      t.match(
        bus.log.sort((a, b) => a.message.localeCompare(b.message)),
        [
          { message: 'connected again: messages arrive here' },
          { message: 'idle database connections broke; the pool replaces them', details: { ...lost, count: 1 } },
          { message: 'not listening to Postgres; trying again', details: lost },
        ],
      );
      t.equal(bus.log.length, 3);
      t.notMatch(JSON.stringify(bus.log), /secretKey/, 'nothing of the connection');
    },
  );
}

t.test('a database that fails every poll', async (t) => {
  const { url: database, query } = await createDatabase(t);
  const { url, logged } = await listenAndLog(t, { bus: openBus(t, database) });
  await query('alter function message_bus.read_channels rename to hidden');
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => poll(url, { [`/${i}`]: 0 }, { client: `${i}`, dlp: true })),
  );
  t.ok(answers.every(({ status }) => status === 503));
  t.match(logged, [{ msg: 'a poll failed', err: { code: 'POSTBUS_NO_SCHEMA' }, count: 1 }]);
  t.equal(logged.length, 1);
});
