import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompressSync } from 'node:zlib';
import { PGlite } from '@electric-sql/pglite';
import t from 'tap';
import { createMemoryBus } from '../../src/memory/index.js';
import { preparedFile } from '../../src/memory/prepared.js';
import { until } from '../helpers/until.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** The PGlite that a bus starts, to look into it behind the back of the bus. */
async function startBus(schema?: string) {
  const { query } = PGlite.prototype;
  let started: PGlite | undefined;
  Object.assign(PGlite.prototype, {
    query(this: PGlite, ...args: Parameters<PGlite['query']>) {
      started = this;
      return query.apply(this, args);
    },
  });
  const bus = createMemoryBus({ schema });
  await bus.publish('/a', 1);
  Object.assign(PGlite.prototype, { query });
  return {
    bus,
    look: async (text: string) => {
      const result = await started?.query<Record<string, unknown>>(text);
      return result?.rows[0];
    },
  };
}

t.test('a bus in memory starts from a data directory that was prepared, with secrets of its own', async (t) => {
  const buses = [await startBus(), await startBus()];
  const secrets = new Set<unknown>();
  for (const { bus, look } of buses) {
    t.match(await look('show wal_segment_size'), { wal_segment_size: '1MB' }, 'it was not made by PGlite');
    const record = `select p.xmin::text from pg_proc p where p.proname = 'migrated_by'`;
    const before = await look(record);
    await bus.migrate();
    t.strictSame(await look(record), before, 'to migrate is to find nothing to do');
    t.match(await look('select message_bus.schema_damage() as damage'), { damage: [] });
    t.match(await look('select global_id from message_bus.global_backlog()'), { global_id: 1 });
    const row = await look(
      `select s.notify_channel, encode(s.notify_key, 'hex') as key, i.id from message_bus.settings s, message_bus.incarnation i`,
    );
    for (const secret of Object.values(row ?? {})) secrets.add(secret);
    const heard: unknown[] = [];
    await bus.subscribe('/a', ({ data }) => heard.push(data), { lastId: 0 });
    await bus.publish('/a', 2);
    await bus.publish('/a', 3);
    await until(() => heard.length === 3, 'it hears with the new key');
    await bus.close();
  }
  t.equal(secrets.size, 6);
});

t.test('a process ends that has not closed its bus in memory', async () => {
  const memory = new URL('../../dist/memory/index.js', import.meta.url);
  const program = `const { createMemoryBus } = await import('${memory}'); await createMemoryBus().publish('/a', 1);`;
  await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], { timeout: 60_000 });
});

t.test('a bus in memory with another schema finds no trace of the one that was prepared', async (t) => {
  const { bus, look } = await startBus('x "y"');
  t.match(await look('show wal_segment_size'), { wal_segment_size: '1MB' });
  const schemas = await look(
    `select array_agg(nspname::text order by 1) as names from pg_namespace where nspname !~ '^pg_|^information_schema$'`,
  );
  t.strictSame(schemas, { names: ['public', 'x "y"'] });
  await bus.close();
});

t.test(
  'a data directory is for one version of PGlite, and a bus starts without it if Postgres cannot read it',
  async (t) => {
    const { version } = createRequire(import.meta.url)(join(root, 'node_modules/@electric-sql/pglite/package.json'));
    const minor = version.replace(/\.\d+$/, '');
    const name = basename(fileURLToPath(await preparedFile()));
    t.ok(name.startsWith(`pglite-${minor}-`), name);

    const project = await mkdtemp(join(tmpdir(), 'postbus-'));
    t.teardown(() => rm(project, { recursive: true }));
    const installed = join(project, 'node_modules/postbus');
    for (const part of ['dist', 'sql', 'migrations', 'package.json']) {
      await cp(join(root, part), join(installed, part), { recursive: true });
    }
    await symlink(join(root, 'node_modules'), join(installed, 'node_modules'));
    const memory = join(installed, 'dist/memory');
    await writeFile(join(memory, name), brotliCompressSync('this is no data directory'));
    await writeFile(
      join(project, 'program.mjs'),
      `import { createMemoryBus } from 'postbus/memory';
     const bus = createMemoryBus();
     console.log(await bus.publish('/a', 1), await bus.publish('/a', 2));
     await bus.close();`,
    );
    const { stdout } = await promisify(execFile)(process.execPath, ['program.mjs'], { cwd: project });
    t.equal(stdout, '1 2\n');
  },
);
