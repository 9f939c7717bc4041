import pg from 'pg';

// Command lines for a POSIX shell. Names that need no quotes have none, as a person would write them.
const plainName = /^[a-z_][a-z0-9_]*$/;

/** `database`: a shell expansion such as `$DATABASE_URL`, so that the line shows no password. */
export function psqlCommand(database: string, schema: string): string {
  const name = plainName.test(schema) ? schema : pg.escapeIdentifier(schema);
  const sql = `select ${name}.publish('/chat', '{"from": "psql", "text": "hello"}')`;
  return `psql "${database}" -c "${sql.replace(/[\\"$`]/g, '\\$&')}"`;
}

export function ordersCommand(database: string): string {
  return `psql "${database}" -c "update demo_orders set status = 'paid' where id = 1"`;
}

export function postbusCommand(schema: string): string {
  const name = plainName.test(schema) ? schema : `'${schema.replaceAll("'", "'\\''")}'`;
  const option = schema === 'message_bus' ? '' : ` --schema=${name}`;
  return `npx postbus publish${option} /chat '{"from": "postbus", "text": "hello"}'`;
}
