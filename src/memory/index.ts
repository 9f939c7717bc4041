import type { Bus } from '../bus/bus.js';
import type { BusOptions } from '../bus/options.js';
import { PostgresBus } from '../bus/postgres-bus.js';
import type { DatabaseOptions } from '../database/pooled-postgres.js';
import { errors } from '../foundation/errors.js';
import { KnownKeys } from '../foundation/known-keys.js';
import { PglitePostgres } from './pglite-postgres.js';
import type { PgliteDatabase } from './pglite-session.js';

export type { Bus } from '../bus/bus.js';
export type { PgliteDatabase } from './pglite-session.js';

export interface MemoryBusOptions extends Omit<BusOptions, Exclude<keyof DatabaseOptions, 'queryTimeout'>> {
  /**
   * A PGlite to share with other buses or with the application. close() does not close it. Default: one of the bus's
   * own, in memory.
   */
  pglite?: PgliteDatabase | undefined;
}

const memoryBusKeys = new KnownKeys<MemoryBusOptions>('createMemoryBus()', {
  pglite: true,
  schema: true,
  logger: true,
  keepaliveInterval: true,
  queryTimeout: true,
  codec: true,
  schemas: true,
});

/**
 * Creates a bus on a Postgres inside this process, for tests and for applications of one process. It needs the package
 * `@electric-sql/pglite`, but no server and no call of migrate(): it migrates before it is first used.
 *
 * @throws POSTBUS_BAD_OPTION
 */
export function createMemoryBus<Channels extends object = Record<string, unknown>>(
  given: MemoryBusOptions = {},
): Bus<Channels> {
  memoryBusKeys.check(given);
  const { pglite, schema } = given;
  if (pglite !== undefined && !isPglite(pglite)) {
    throw new errors.BAD_OPTION(
      'pglite',
      'must be a PGlite of @electric-sql/pglite: new PGlite(), or await PGlite.create()',
    );
  }
  return new PostgresBus<Channels>(given, new PglitePostgres(schema ?? 'message_bus', pglite));
}

function isPglite(given: PgliteDatabase | null): boolean {
  return [given?.query, given?.exec, given?.transaction, given?.listen].every((method) => typeof method === 'function');
}
