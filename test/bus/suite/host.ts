import { PGlite } from '@electric-sql/pglite';
import type { QueryResultRow } from 'pg';
import type { Test } from 'tap';
import type { Bus, BusOptions } from '../../../src/index.js';
import { createMemoryBus } from '../../../src/memory/index.js';
import { type LogLine, logTo, openBus } from '../../helpers/bus.js';
import { createDatabase } from '../../helpers/database.js';
import { until } from '../../helpers/until.js';

/** Where the buses of a test live. */
export interface Host {
  /** How often to repeat what is random: in memory all is done on one thread. */
  rounds: number;
  /** Another bus on the same database, closed with the test; what it logs is kept. */
  openBus(options?: Pick<BusOptions, 'keepaliveInterval'>): Bus & { log: LogLine[] };
  /** Behind the back of the bus. */
  query<Row extends QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  /** Ends the connections that listen, where there are any. */
  breakListeners(): Promise<void>;
}

export type OpenHost = (t: Test) => Promise<Host>;

/** A database of the test's own on a server. */
export async function onServer(t: Test): Promise<Host> {
  const { url, query } = await createDatabase(t);
  return {
    rounds: 60,
    openBus: (options) => openBus(t, url, options),
    query,
    breakListeners: async () => {
      await query(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'postbus listener' and datname = current_database()`,
      );
    },
  };
}

/** A PGlite takes seconds to start: all tests use this one, each with a schema that it finds empty. */
export function inMemory(t: Test): OpenHost {
  const pglite = new PGlite();
  t.teardown(() => pglite.close());
  return async (t) => {
    await pglite.exec('drop schema if exists message_bus cascade');
    return {
      rounds: 6,
      openBus: (options) => {
        const { log, logger } = logTo();
        const bus = createMemoryBus({ pglite, logger, ...options });
        t.teardown(() => bus.close());
        return Object.assign(bus, { log });
      },
      query: async <Row>(text: string, values?: unknown[]) => (await pglite.query<Row>(text, values)).rows,
      breakListeners: async () => {},
    };
  };
}

/** A bus that listens, and where it lives. */
export async function listen(t: Test, open: OpenHost) {
  const host = await open(t);
  const bus = host.openBus();
  await bus.connect();
  await until(() => bus.isConnected, 'the bus listens');
  return { host, bus };
}
