import { Bus } from './bus.js';
import type { BusOptions } from './bus-options.js';
import { PooledPostgres } from './database/pooled-postgres.js';
import { consoleLogger } from './logger.js';

/** A bus on a Postgres database. It connects when it is first used. */
export function createBus(options: BusOptions = {}): Bus {
  const logger = options.logger ?? consoleLogger;
  const postgres = new PooledPostgres(options, (err) =>
    logger.warn({ err }, 'an idle database connection broke; the pool replaces it'),
  );
  return new Bus(options, postgres);
}
