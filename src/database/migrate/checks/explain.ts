import { errors } from '../../../foundation/errors.js';
import { isLockTimeout } from '../../coded-error.js';
import type { Postgres } from '../../postgres.js';
import { lockHolders } from '../sql/lock.js';

/** SQLSTATE that mend_schema() raises for damage that it cannot mend. */
const beyondRepair = 'PB009';
const dependentObjects = '2BP01';

/** Resolves to a coded error for a migration that Postgres has refused; undefined if codedError() knows as much. */
export async function explain(
  error: unknown,
  transaction: Postgres['transaction'],
  schema: string,
): Promise<Error | undefined> {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  let explained: Error | undefined;
  if (isLockTimeout(error)) explained = new errors.MIGRATION_LOCKED(schema, await describeHolders(transaction, schema));
  if (error.code === beyondRepair) explained = new errors.DAMAGED_SCHEMA(schema, error.message);
  if (error.code === dependentObjects && 'detail' in error)
    explained = new errors.QUERY_FAILED(`${error.message}: ${error.detail}`);
  if (explained) explained.cause = error;
  return explained;
}

/** Describes the sessions that hold locks now. Those that were in the way may have ended. */
async function describeHolders(transaction: Postgres['transaction'], schema: string): Promise<string> {
  const holders: string[] = [];
  await transaction(async (statement) => {
    for (const { pid, role } of await statement<{ pid: number; role: string }>(lockHolders(schema)))
      holders.push(`${pid} of ${role}`);
  });
  return holders.length === 0 ? 'another session' : `a session (pid ${holders.join(', ')})`;
}
