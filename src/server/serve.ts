import { startEmbeddedPostgres } from '../embedded-postgres/index.js';
import { errors } from '../foundation/errors.js';
import type { ServerOptions } from './create-server.js';
import { isLoopback } from './host-check.js';
import { authority, HttpServer } from './http-server.js';
import { createLogger, logWhatNodePrints } from './log.js';
import { prepareSchema } from './prepare-schema.js';
import { listenForStopSignals } from './processes/stop-signals.js';
import { Workers } from './workers.js';

export interface ServeOptions {
  /** URL of the database. Undefined: the server runs a Postgres of its own, with its data in `.postbus/`. */
  databaseUrl: string | undefined;
  /** URL for the listening connection, if LISTEN does not work with `databaseUrl`. */
  listenDatabaseUrl: string | undefined;
  schema: string;
  /** False: the schema is only checked, not migrated. */
  migrates: boolean;
  /** Seconds to wait for a database that is not there yet. */
  waitForDatabase: number;
  demo: boolean;
  corsOrigins: readonly string[];
  /**
   * Hosts that requests may name. Undefined: only those of this machine if the server listens on loopback, otherwise
   * all.
   */
  hosts: readonly string[] | undefined;
  host: string;
  port: number;
  limits: ServerOptions['limits'];
  logLevel: string;
  /** Number of processes that serve; 1 for this process alone. */
  workers: number;
}

/**
 * Runs the server until a signal stops it. Rejects if it cannot start, or if its own Postgres ends; then everything
 * that it has started is stopped.
 */
export async function serve(options: ServeOptions): Promise<void> {
  const { databaseUrl, listenDatabaseUrl, schema, demo, corsOrigins, hosts, host, port, limits, logLevel, workers } =
    options;
  const signals = listenForStopSignals();
  const log = createLogger(logLevel);
  logWhatNodePrints(log);
  const undo: (() => Promise<unknown>)[] = [];
  try {
    const database = await openDatabase(databaseUrl);
    undo.push(database.stop);
    if (signals.isRequested) return;
    await prepareSchema({
      connectionString: database.url,
      schema,
      migrates: options.migrates,
      waitMs: options.waitForDatabase * 1000,
      log,
      signals,
    });
    if (signals.isRequested) return;

    const embedded = databaseUrl === undefined;
    const serverOptions = {
      connectionString: database.url,
      listenConnectionString: listenDatabaseUrl,
      schema,
      demo: demo ? { embedded } : undefined,
      corsOrigins,
      hosts: hosts ?? (isLoopback(host) ? [host] : undefined),
      limits,
      logLevel,
    };
    const server =
      workers === 1
        ? new HttpServer(serverOptions, { host, port })
        : new Workers({ options: serverOptions, address: { host, port } }, workers);
    undo.push(() => server.close());
    // A stop does not wait for workers that take long to start.
    const listening = await Promise.race([server.start(), signals.requested]);
    if (listening === undefined) return;
    process.stdout.write(`postbus listens on http://${authority({ host, port: listening })}/\n`);
    await Promise.race([signals.requested, database.gone]);
    if (!signals.isRequested) throw new errors.EMBEDDED_GONE();
  } finally {
    signals.stopping();
    for (const step of undo.reverse()) await step();
  }
}

interface ServedDatabase {
  url: string;
  /** Resolves when the server's own Postgres has ended, for whatever reason. */
  gone: Promise<void>;
  stop: () => Promise<void>;
}

async function openDatabase(url: string | undefined): Promise<ServedDatabase> {
  if (url !== undefined) return { url, gone: new Promise(() => {}), stop: async () => {} };
  const embedded = await startEmbeddedPostgres({ folder: '.postbus' });
  return { url: embedded.url, gone: embedded.stopped, stop: embedded.stop };
}
