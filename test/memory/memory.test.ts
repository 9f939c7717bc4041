import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { PGlite } from '@electric-sql/pglite';
import t from 'tap';
import { createMemoryBus } from '../../src/memory/index.js';
import { closing } from '../bus/suite/closing.js';
import { gaps } from '../bus/suite/gaps.js';
import { inMemory } from '../bus/suite/host.js';
import { publishing } from '../bus/suite/publishing.js';
import { subscribing } from '../bus/suite/subscribing.js';
import { until } from '../helpers/until.js';

const open = inMemory(t);

for (const suite of [publishing, closing, subscribing, gaps]) suite(t, open);

t.test('a bus with a PGlite of its own closes it; one that was given stays open', async (t) => {
  // PGlite makes and closes one more at its first start, for itself.
  const open = new Set<PGlite>();
  const { query, close } = PGlite.prototype;
  Object.assign(PGlite.prototype, {
    query(this: PGlite, ...args: Parameters<PGlite['query']>) {
      open.add(this);
      return query.apply(this, args);
    },
    async close(this: PGlite) {
      await close.call(this);
      open.delete(this);
    },
  });
  t.teardown(() => Object.assign(PGlite.prototype, { query, close }));
  const unused = createMemoryBus();
  await unused.close();
  t.equal(open.size, 0, 'one that was not used was not started');
  const bus = createMemoryBus({ schema: 'Elsewhere "x"' });
  const received: unknown[] = [];
  await bus.subscribe('/a', ({ data }) => received.push(data));
  t.equal(await bus.publish('/a', 'one'), 1);
  await until(() => received.length === 1, 'it came');
  t.equal(open.size, 1);
  await Promise.all([bus.close(), bus.close()]);
  t.equal(open.size, 0);
  await t.rejects(bus.publish('/a', 1), { code: 'POSTBUS_CLOSED' });

  const pglite = new PGlite();
  const [one, other] = [createMemoryBus({ pglite }), createMemoryBus({ pglite, schema: 'other' })];
  await Promise.all([one.publish('/a', 1), other.publish('/a', 1), one.publish('/a', 2)]);
  await one.close();
  t.equal(open.size, 1);
  t.strictSame([await other.lastId('/a'), await other.publish('/a', 3)], [1, 2], 'each schema is a bus');
  await pglite.close();
  await t.rejects(other.lastId('/a'), { code: 'POSTBUS_POOL_ENDED' });
  await other.close();
});

t.test('a program that awaits publish after publish lets others run', async (t) => {
  const bus = (await open(t)).openBus();
  await bus.connect();
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  t.teardown(() => clearInterval(timer));
  for (let i = 0; i < 100; i++) await bus.publish('/a', i);
  t.ok(turns > 0);
});

t.test('without the package, an error says which one to install', async (t) => {
  // The package as it is installed, in a project that has all it needs but PGlite.
  const project = await mkdtemp(join(tmpdir(), 'postbus-'));
  t.teardown(() => rm(project, { recursive: true }));
  const root = fileURLToPath(new URL('../../', import.meta.url));
  for (const part of ['dist', 'sql', 'migrations', 'package.json']) {
    await cp(join(root, part), join(project, 'node_modules/postbus', part), { recursive: true });
  }
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (name === '@electric-sql' || name === 'postbus') continue;
    await symlink(join(root, 'node_modules', name), join(project, 'node_modules', name));
  }
  await writeFile(
    join(project, 'program.mjs'),
    `import { createMemoryBus } from 'postbus/memory';
     const bus = createMemoryBus();
     for (let i = 0; i < 2; i++) await bus.publish('/a', 1).catch(({ code, message }) => console.log(code, message));
     await bus.close();`,
  );
  const { stdout } = await promisify(execFile)(process.execPath, ['program.mjs'], { cwd: project });
  const line =
    'POSTBUS_NO_PGLITE The bus in memory needs the package @electric-sql/pglite: npm install --save-dev @electric-sql/pglite\n';
  t.equal(stdout, line + line);
});
