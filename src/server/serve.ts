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
  /** Without it, a Postgres of the server's own, whose data stay in `.postbus/`. */
  databaseUrl: string | undefined;
  /** Where to listen, if `databaseUrl` is of no use for that. */
  listenDatabaseUrl: string | undefined;
  schema: string;
  /** false: the schema is only checked. */
  migrates: boolean;
  /** Seconds for which a database that is not there yet is waited for. */
  waitForDatabase: number;
  demo: boolean;
  corsOrigins: readonly string[];
  /** Hosts that requests may name; undefined: by default, only those of this machine if it listens on loopback. */
  hosts: readonly string[] | undefined;
  host: string;
  port: number;
  limits: ServerOptions['limits'];
  logLevel: string;
  /** Processes that serve; 1: this one. */
  workers: number;
}

/** Runs the server until a signal stops it. Rejects when it cannot start, or its Postgres has ended; then nothing is left. */
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
    // Workers may keep one waiting: a stop does not.
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
  /** Resolves when it has ended, for whatever reason. */
  gone: Promise<void>;
  stop: () => Promise<void>;
}

async function openDatabase(url: string | undefined): Promise<ServedDatabase> {
  if (url !== undefined) return { url, gone: new Promise(() => {}), stop: async () => {} };
  const embedded = await startEmbeddedPostgres({ folder: '.postbus' });
  return { url: embedded.url, gone: embedded.stopped, stop: embedded.stop };
}
