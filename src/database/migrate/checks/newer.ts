import { errors } from '../../../foundation/errors.js';
import { digestOf, type SchemaSql } from '../sql/load.js';
import type { SchemaState } from './state.js';

/**
 * Refuses a schema of a newer version before any lock is taken: one whose last migration is unknown here, or whose
 * record has a higher version. The second matters if only functions have changed: otherwise an older node would replace
 * them by its own when it starts.
 *
 * @throws POSTBUS_NEWER_SCHEMA
 */
export function refuseNewer({ record }: SchemaState, schema: string, sql: SchemaSql): void {
  if (record === null || record.digest === digestOf(sql, schema)) return;
  const { migration, version } = record;
  if (!sql.migrations.some(([name]) => name === migration)) throw new errors.NEWER_SCHEMA(schema, migration);
  if (isHigher(version, sql.version)) throw new errors.NEWER_SCHEMA(schema, version);
}

/** True if `version` is higher than `other`. Compares versions such as 0.10.2, without what follows a hyphen. */
function isHigher(version: string, other: string): boolean {
  const [left = '', right = ''] = [version, other].map((each) => each.split('-')[0]);
  return left.localeCompare(right, 'en', { numeric: true }) > 0;
}
