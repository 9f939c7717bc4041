import Fastify, { type FastifyBaseLogger } from 'fastify';
import { isPostbusError } from '../foundation/errors.js';

/** Settings for Fastify: lines of JSON on stderr. */
export function logging(level: string) {
  return { level, stream: process.stderr };
}

/** A logger like the server's, for what is said beside it. */
export function createLogger(level: string): FastifyBaseLogger {
  return Fastify({ logger: logging(level) }).log;
}

/**
 * From now on, what Node prints by itself is logged, so that stderr has nothing but JSON: warnings (of pg about `sslmode=require`,
 * for example), and an error that nobody has caught, which still ends the process with code 1.
 */
export function logWhatNodePrints(log: FastifyBaseLogger): void {
  // Node's own listener prints several lines.
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
  // The place in the code matters only if the error has no code to look up.
  if (isPostbusError(error)) log.fatal({ err: { code: error.code } }, `${error.message} (${error.code})`);
  else log.fatal({ err: error }, 'the server failed');
}
