import { Bus } from './bus.js';
import type { BusOptions } from './bus-options.js';
import { PooledPostgres } from './database/pooled-postgres.js';
import { errors } from './errors.js';
import { consoleLogger } from './logger.js';
import { OnceAMinute } from './once-a-minute.js';

/** A bus on a Postgres database. It connects when it is first used. */
export function createBus(options: BusOptions = {}): Bus {
  const logger = options.logger ?? consoleLogger;
  // In an outage all of them break. Coded: what pg says has the whole connection hanging from it.
  const broken = new OnceAMinute<Error>((count, error) =>
    logger.warn(
      { err: new errors.CONNECTION_LOST(error.message), count },
      'idle database connections broke; the pool replaces them',
    ),
  );
  const postgres = new PooledPostgres(options, (error) => broken.note(error));
  return new Bus(options, postgres);
}
