import type { FastifyInstance } from 'fastify';
import { startEmbeddedPostgres } from '../embedded-postgres/index.js';
import { errors } from '../errors.js';
import { createServer } from './create-server.js';
import { listenForStopSignals } from './stop-signals.js';

export interface ServeOptions {
  /** Without it, a Postgres of the server's own, whose data stay in `.postbus/`. */
  databaseUrl: string | undefined;
  schema: string;
  demo: boolean;
  host: string;
  port: number;
  logLevel: string;
}

/** Answers that slow readers have not taken by then are cut off. */
const readerPatienceMs = 3_000;

/** Runs the server until a signal stops it. Rejects when it cannot start, or its Postgres has ended; then nothing is left. */
export async function serve(options: ServeOptions): Promise<void> {
  const { schema, demo, host, port, logLevel } = options;
  const signals = listenForStopSignals();
  const undo: (() => Promise<unknown>)[] = [];
  try {
    const database = await openDatabase(options.databaseUrl);
    undo.push(database.stop);
    if (signals.isRequested) return;

    const embedded = options.databaseUrl === undefined;
    const app = await createServer({
      connectionString: database.url,
      schema,
      demo: demo ? { embedded } : undefined,
      logLevel,
    });
    undo.push(() => close(app));
    await app.messageBus.migrate();
    if (signals.isRequested) return;

    await listen(app, host, port);
    if (signals.isRequested) return;
    process.stdout.write(`postbus listens on ${addressOf(app, host)}\n`);
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

async function listen(app: FastifyInstance, host: string, port: number): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    const reason = error instanceof Error && 'code' in error && reasons[String(error.code)];
    if (!reason) throw error;
    throw new errors.CANNOT_LISTEN(authority(host, port), reason);
  }
}

const reasons: Record<string, string> = {
  EADDRINUSE: 'the port is taken',
  EACCES: 'this user may not use the port',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name of the host cannot be looked up',
};

async function close(app: FastifyInstance): Promise<void> {
  const timer = setTimeout(() => app.server.closeAllConnections(), readerPatienceMs);
  await app.close();
  clearTimeout(timer);
}

function addressOf(app: FastifyInstance, host: string): string {
  const address = app.server.address();
  return `http://${authority(host, typeof address === 'object' ? (address?.port ?? 0) : 0)}/`;
}

function authority(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
