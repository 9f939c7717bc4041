import pg from 'pg';

/**
 * Settings of the migrating transaction, in place of those that a role or a database may have: a timeout would end it in
 * the middle, and some change what its SQL means or makes.
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

/** For as long as the schema is not known to be safe, nothing in it may be taken for what Postgres has of that name. */
export const catalogAlone = 'set local search_path = pg_catalog, pg_temp;\n';

/** Tables and functions name no schema: the search path does, and each function keeps it ("set search_path from current"). */
export function schemaFirst(schema: string): string {
  return `set local search_path = ${pg.escapeIdentifier(schema)}, pg_temp;\n`;
}
