import t from 'tap';
import { createDatabase } from '../helpers/database.js';

t.test('functions that forbid sequential scans forbid JIT, which Postgres up to 17 would see reason for', async (t) => {
  const { query } = await createDatabase(t);
  const functions = await query<{ name: string; jit: boolean }>(
    `select proname as name, 'jit=off' = any (proconfig) as jit from pg_proc
    where pronamespace = 'message_bus'::regnamespace and 'enable_seqscan=off' = any (proconfig)`,
  );
  t.ok(functions.length > 5);
  t.strictSame(
    functions.filter(({ jit }) => !jit),
    [],
  );
});
