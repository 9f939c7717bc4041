import Fastify, { type FastifyBaseLogger } from 'fastify';
import { isPostbusError } from '../foundation/errors.js';

/** Returns settings with which Fastify logs lines of JSON to stderr. */
export function logging(level: string) {
  return { level, stream: process.stderr };
}

/** Returns a logger like that of the server, for code outside of it. */
export function createLogger(level: string): FastifyBaseLogger {
  return Fastify({ logger: logging(level) }).log;
}

/**
 * From now on, logs what Node would print by itself, so that stderr has nothing but JSON: warnings (for example of pg
 * about `sslmode=require`), and an error that nobody has caught, which still ends the process with code 1.
 */
export function logWhatNodePrints(log: FastifyBaseLogger): void {
  // Node's own listener prints several lines of plain text.
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) => log.warn({ warning: name }, message));
  process.once('uncaughtException', (err) => {
    log.fatal({ err }, 'an error that nobody has caught');
    process.exit(1);
  });
}

/** Logs why the process ends, at every log level. */
export function logFailure(level: string, error: unknown): void {
  const log = createLogger(level === 'silent' ? 'fatal' : level);
  // The stack matters only if the error has no code to look up.
  if (isPostbusError(error)) log.fatal({ err: { code: error.code } }, `${error.message} (${error.code})`);
  else log.fatal({ err: error }, 'the server failed');
}
