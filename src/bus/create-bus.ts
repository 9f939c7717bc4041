import { PooledPostgres } from '../database/pooled-postgres.js';
import { errors } from '../foundation/errors.js';
import { checkLogger } from '../foundation/logger.js';
import { ThrottledLog } from '../foundation/throttled-log.js';
import type { Bus } from './bus.js';
import { busKeys } from './known-options.js';
import type { BusOptions } from './options.js';
import { PostgresBus } from './postgres-bus.js';

/** Creates a bus on a Postgres database. It connects when it is first used. @throws POSTBUS_BAD_OPTION */
export function createBus<Channels extends object = Record<string, unknown>>(options: BusOptions = {}): Bus<Channels> {
  if (typeof options === 'string') {
    throw new errors.BAD_OPTION(
      'options',
      "a connection string belongs into an object: createBus({ connectionString: 'postgres://…' })",
    );
  }
  busKeys.check(options);
  const logger = checkLogger(options.logger);
  // In an outage all idle connections break: log once a minute. The error is a new one, because that of pg refers to
  // its whole connection.
  const broken = new ThrottledLog<Error>((count, error) =>
    logger.warn(
      { err: new errors.CONNECTION_LOST(error.message), count },
      'idle database connections broke; the pool replaces them',
    ),
  );
  const postgres = new PooledPostgres(options, (error) => broken.report(error));
  return new PostgresBus<Channels>(options, postgres);
}
