import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { install, openFolder, remove } from './fixtures/installation.js';
import { type Parent, type ParentOptions, startParent } from './fixtures/parent.js';
import { isAlive, processesWith, until } from './fixtures/processes.js';
import { connect, query } from './fixtures/query.js';

const skip = process.platform === 'linux' ? false : 'looks at processes through /proc';
const scratch = openFolder();
const installation = install(scratch, 'linked');
const settings = { fsync: 'off' };
// The tests mostly wait, and have nothing in common.
t.jobs = 4;
t.teardown(() => remove(scratch));

/** A parent whose temporary folders and processes can be told from all others. */
function start(name: string, options: ParentOptions = {}): Parent & { processes(): number[]; temporary(): string[] } {
  const TMPDIR = join(scratch, name);
  mkdirSync(TMPDIR);
  const parent = startParent(installation, { settings, ...options, env: { TMPDIR } });
  return { ...parent, processes: () => processesWith(TMPDIR), temporary: () => readdirSync(TMPDIR) };
}

t.test('a killed parent takes all with it, at whatever moment of the start', { skip }, async (t) => {
  const killOne = async (round: number) => {
    const parent = start(`kill-${round}`);
    // A start takes about half a second.
    await sleep(Math.random() * 800);
    parent.child.kill('SIGKILL');
    await parent.rest;
    await until(() => parent.processes().length === 0 && parent.temporary().length === 0);
  };
  for (let round = 0; round < 12; round += 2) await Promise.all([killOne(round), killOne(round + 1)]);
  t.pass('nothing was left');
});

t.test('a killed parent with a running server', { skip }, async (t) => {
  const parent = start('running');
  const { url, postmasterPid } = await parent.started();
  t.ok(parent.processes().length >= 3, 'the parent, its guardian and the postmaster');
  t.not(parent.temporary().length, 0);
  const client = await connect(url);
  const busy = t.rejects(client.query('select pg_sleep(60)'));
  parent.child.kill('SIGKILL');
  await busy;
  await until(() => parent.processes().length === 0 && parent.temporary().length === 0);
  t.notOk(isAlive(postmasterPid));
});

t.test('a start right after the parent was killed waits for the old server', { skip }, async (t) => {
  const folder = join(scratch, 'again');
  let parent = startParent(installation, { settings, folder });
  const first = await parent.started();
  await query(first.url, 'create table kept (id int)');
  for (let round = 0; round < 3; round += 1) {
    parent.child.kill('SIGKILL');
    await parent.rest;
    parent = startParent(installation, { settings, folder });
    const { url } = await parent.started();
    t.same(await query(url, 'select * from kept'), []);
    t.equal(url, first.url);
  }
  await parent.stop();
});

t.test('a killed postmaster is noticed, and no obstacle', { skip }, async (t) => {
  const folder = join(scratch, 'postmaster');
  const parent = startParent(installation, { settings, folder });
  const { url, postmasterPid } = await parent.started();
  const idle = await connect(url);
  const busy = await connect(url);
  // This one does not look whether its postmaster is alive, and holds the shared memory.
  const endless = busy.query('select count(*) from generate_series(1, 1e12)').catch(() => 'ended');
  process.kill(postmasterPid, 'SIGKILL');

  const next = startParent(installation, { settings, folder });
  t.equal((await query((await next.started()).url, 'select 1 as one')).length, 1);
  t.equal(await endless, 'ended');
  parent.child.stdin?.end();
  t.same(await parent.rest, ['"stopped"']);
  await idle.end().catch(() => {});
  await next.stop();
});

t.test('a killed guardian', { skip }, async (t) => {
  const parent = start('guardian');
  const { postmasterPid } = await parent.started();
  const [guardian] = parent.processes().filter((pid) => pid !== parent.child.pid && pid !== postmasterPid);
  if (!guardian) throw new Error('found no guardian');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(guardian, signal);
  await sleep(100);
  t.ok(isAlive(guardian), 'does not mind signals that are for the parent');
  process.kill(guardian, 'SIGKILL');
  await until(() => !isAlive(postmasterPid) && parent.temporary().length === 0);
  parent.child.stdin?.end();
  t.same(await parent.rest, ['"stopped"'], 'is replaced by its parent');
});

t.test('a parent that forgets to stop ends nevertheless', { skip }, async (t) => {
  const parent = start('forget', { mode: 'forget' });
  await parent.started();
  t.same(await parent.rest, ['"leaving"']);
  await until(() => parent.processes().length === 0 && parent.temporary().length === 0);
});

t.test('killed guardian and parent', { skip }, async (t) => {
  const folder = join(scratch, 'both');
  // Nobody deletes what is temporary here, except the end of this file.
  const parent = start('both-temporary', { folder });
  const { postmasterPid } = await parent.started();
  const [guardian] = readdirSync(folder).flatMap((name) => /^guardian\.(\d+)/.exec(name)?.[1] ?? []);
  parent.child.kill('SIGKILL');
  process.kill(Number(guardian), 'SIGKILL');
  await parent.rest;
  if (isAlive(postmasterPid)) {
    const { code, message } = await startParent(installation, { settings, folder }).refused();
    t.equal(code, 'POSTBUS_EMBEDDED_BUSY', 'leave a server that the next start reports');
    t.match(message, `${folder} (process ${postmasterPid})`);
    process.kill(postmasterPid, 'SIGINT');
    await until(() => !isAlive(postmasterPid));
  }
  const next = startParent(installation, { settings, folder });
  await next.started();
  await next.stop();
  t.same(readdirSync(folder).sort(), ['.gitignore', 'data', 'password', 'postgres.log', 'url']);
  rmSync(folder, { recursive: true });
});
