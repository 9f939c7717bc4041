import { errors } from './errors.js';

/** What postbus logs with; a pino logger is one. */
export interface Logger {
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export const consoleLogger: Logger = {
  warn: (details, message) => console.warn(`postbus: ${message}`, details),
  error: (details, message) => console.error(`postbus: ${message}`, details),
};

/** The console unless one is given. It would fail when there is something to tell. @throws POSTBUS_BAD_OPTION */
export function checkLogger(logger: Logger | null | undefined): Logger {
  if (logger === undefined || logger === null) return consoleLogger;
  if (typeof logger.warn === 'function' && typeof logger.error === 'function') return logger;
  throw new errors.BAD_OPTION('logger', 'must have the functions warn and error');
}
