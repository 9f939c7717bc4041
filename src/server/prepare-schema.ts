import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import type { Bus } from '../bus/bus.js';
import { createBus } from '../bus/create-bus.js';
import { errors } from '../foundation/errors.js';
import type { StopSignals } from './processes/stop-signals.js';

export interface PrepareOptions {
  connectionString: string;
  schema: string;
  /** False: somebody else migrates the schema; it is only checked that it has what this version needs. */
  migrates: boolean;
  /** Ms to wait for a database that is not there yet. */
  waitMs: number;
  log: FastifyBaseLogger;
  signals: StopSignals;
}

const minPauseMs = 250;
const maxPauseMs = 2_000;

/**
 * Migrates the schema, or checks it. Waits if the database does not answer yet, or does not accept connections yet. If
 * the schema is only checked, also waits while it is missing or too old, because another process may be about to
 * migrate it. Rejects at once with any other error. Resolves early if a stop is requested.
 */
export async function prepareSchema(options: PrepareOptions): Promise<void> {
  const { connectionString, schema, migrates, waitMs, log, signals } = options;
  const deadline = performance.now() + waitMs;
  const stop = new AbortController();
  void signals.requested.then(() => stop.abort());
  const bus = createBus({ connectionString, schema, logger: log });
  try {
    for (let pause = minPauseMs; ; pause = Math.min(2 * pause, maxPauseMs)) {
      const attempt = prepare(bus, migrates).catch((error: unknown) => ({ error }));
      const failed = await Promise.race([attempt, signals.requested]);
      if (!failed || signals.isRequested) return;
      const left = deadline - performance.now();
      if (left <= 0 || !isLate(failed.error, migrates)) throw failed.error;
      if (pause === minPauseMs) log.warn({ err: failed.error, seconds: waitMs / 1000 }, 'waiting for the database');
      await delay(Math.min(pause, left), undefined, { signal: stop.signal }).catch(() => {});
      if (signals.isRequested) return;
    }
  } finally {
    await bus.close();
  }
}

function prepare(bus: Bus, migrates: boolean): Promise<void> {
  return migrates ? bus.migrate() : bus.check();
}

function isLate(error: unknown, migrates: boolean): boolean {
  if (error instanceof errors.NO_SCHEMA) return !migrates;
  return (
    (error instanceof errors.NO_SERVER && !isRefusedByTls(error.cause)) ||
    error instanceof errors.CONNECTION_LOST ||
    error instanceof errors.TOO_MANY_CONNECTIONS
  );
}

/** True if the server has answered, but has no TLS, or a certificate that is not trusted: waiting does not help. */
function isRefusedByTls(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false;
  const code = 'code' in cause ? String(cause.code) : '';
  return /CERT|^UNABLE_TO_/.test(code) || /does not support SSL/.test(cause.message);
}
