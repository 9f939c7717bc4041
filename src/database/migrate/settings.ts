import pg from 'pg';

/**
 * Returns SQL with the settings of the migrating transaction. They replace those of the role or the database: a timeout
 * would end the migration in the middle, and some settings change what its SQL means or creates. `lockTimeoutMs`: see
 * MigrateTimeouts.
 */
export function settings(lockTimeoutMs: number): string {
  return `${catalogAlone}
set local statement_timeout = 0;
set local lock_timeout = ${lockTimeoutMs};
set local idle_in_transaction_session_timeout = 0;
do $$
begin
  -- Since Postgres 17.
  if current_setting('transaction_timeout', true) is not null then
    set local transaction_timeout = 0;
  end if;
end
$$;
set local standard_conforming_strings = on;
set local default_table_access_method = heap;
set local check_function_bodies = off;
set local client_min_messages = warning;
-- Code of others that ran in this session earlier may have left it, see createSchema().
set local postbus.created_schema = '';
`;
}

/** Until we know that the schema is safe, nothing in it may be taken for an object of Postgres with the same name. */
export const catalogAlone = 'set local search_path = pg_catalog, pg_temp;\n';

/**
 * Returns SQL that puts the schema first in the search path. Our SQL names no schema: it uses the search path, and each
 * function keeps that ("set search_path from current").
 */
export function schemaFirst(schema: string): string {
  return `set local search_path = ${pg.escapeIdentifier(schema)}, pg_temp;\n`;
}
