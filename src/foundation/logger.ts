import { errors } from './errors.js';

/** The logger that postbus writes to; a pino logger fits. */
export interface Logger {
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export const consoleLogger: Logger = {
  warn: (details, message) => console.warn(`postbus: ${message}`, details),
  error: (details, message) => console.error(`postbus: ${message}`, details),
};

/**
 * Returns the logger that was given, or else one that writes to the console. Checks it now, because it would otherwise
 * fail at the first warning.
 *
 * @throws POSTBUS_BAD_OPTION
 */
export function checkLogger(logger: Logger | null | undefined): Logger {
  if (logger === undefined || logger === null) return consoleLogger;
  if (typeof logger.warn === 'function' && typeof logger.error === 'function') return logger;
  throw new errors.BAD_OPTION('logger', 'must have the functions warn and error');
}
