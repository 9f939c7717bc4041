import pg from 'pg';
import type { Test } from 'tap';

/** One connection, as any program has one that speaks SQL to the bus; closed with the test. */
export interface Session {
  client: pg.Client;
  /** The rows of a statement. */
  rows: (text: string, values?: unknown[]) => Promise<Record<string, unknown>[]>;
  /** The first column of each row. */
  column: (text: string, values?: unknown[]) => Promise<unknown[]>;
  /** The first column of the first row. */
  value: (text: string, values?: unknown[]) => Promise<unknown>;
}

// bigint and bigint[] as numbers.
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number) => {
    const parse = pg.types.getTypeParser(oid);
    if (oid === pg.types.builtins.INT8) return Number;
    if (oid !== 1016) return parse;
    return (text: string) => {
      const ids: unknown = parse(text);
      return Array.isArray(ids) ? ids.map(Number) : ids;
    };
  },
};

export async function openSession(t: Test, url: string): Promise<Session> {
  const client = new pg.Client({ connectionString: url, types });
  // Databases are dropped with their connections.
  client.on('error', () => {});
  await client.connect();
  t.teardown(() => client.end());
  const column = async (text: string, values?: unknown[]) => {
    const { rows } = await client.query<unknown[]>({ text, values: values ?? [], rowMode: 'array' });
    return rows.map((row) => row[0]);
  };
  return {
    client,
    column,
    rows: async (text, values) => (await client.query<Record<string, unknown>>(text, values)).rows,
    value: async (text, values) => (await column(text, values))[0],
  };
}

/** Several connections. */
export function openSessions(t: Test, url: string, count: number): Promise<Session[]> {
  return Promise.all(Array.from({ length: count }, () => openSession(t, url)));
}
