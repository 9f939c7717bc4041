import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  Migrator,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
} from 'kysely';
import { errors } from '../../foundation/errors.js';
import type { RunStatement } from '../postgres.js';
import { migrationLockTable, migrationTable, type SchemaSql } from './sql/load.js';

/** Runs the migrations of which the schema has no record. Resolves to their names. @throws POSTBUS_NEWER_SCHEMA */
export async function migrateTables(
  statement: RunStatement,
  schema: string,
  { migrations }: SchemaSql,
): Promise<string[]> {
  const db = new Kysely<Record<string, never>>({ dialect: dialectOf(statement) });
  const up = (text: string) => async (db: Kysely<unknown>) => {
    await db.executeQuery(CompiledQuery.raw(text));
  };
  const migrator = new Migrator({
    db,
    provider: {
      getMigrations: async () => Object.fromEntries(migrations.map(([name, text]) => [name, { up: up(text) }])),
    },
    migrationTableName: migrationTable,
    migrationLockTableName: migrationLockTable,
    migrationTableSchema: schema,
    disableTransactions: true,
  });
  const { error, results = [] } = await migrator.migrateToLatest();
  if (error) throw newerSchema(error, schema) ?? error;
  return results.map(({ migrationName }) => migrationName);
}

/**
 * Takes no lock, because the migrator holds that of the schema. Kysely's own lock is one for the whole database, held
 * by the session: it would wait for an application's migration that calls this one; and after an error, releasing it
 * would fail, and hide the error.
 */
class UnlockedAdapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}

/** Returns a dialect with which Kysely works in a transaction that is open. */
function dialectOf(statement: RunStatement): Dialect {
  const connection: DatabaseConnection = {
    executeQuery: async <Row>({ sql, parameters }: CompiledQuery) => ({ rows: await statement<Row>(sql, parameters) }),
    streamQuery: () => {
      throw new Error('migrations stream nothing');
    },
  };
  const driver: Driver = {
    init: async () => {},
    acquireConnection: async () => connection,
    beginTransaction: async () => {},
    commitTransaction: async () => {},
    rollbackTransaction: async () => {},
    releaseConnection: async () => {},
    destroy: async () => {},
  };
  return {
    createAdapter: () => new UnlockedAdapter(),
    createDriver: () => driver,
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  };
}

// If the schema has a record of a migration that is unknown here, Kysely throws an error without a code, so we match
// its message.
function newerSchema(error: unknown, schema: string): Error | undefined {
  const missing = error instanceof Error && /previously executed migration (\S+) is missing/.exec(error.message);
  return missing ? new errors.NEWER_SCHEMA(schema, missing[1] ?? '') : undefined;
}
