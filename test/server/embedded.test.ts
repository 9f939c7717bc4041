import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeFolder, run, start, startServer } from '../helpers/command.js';
import { poll } from '../helpers/server.js';
import { until } from '../helpers/until.js';
import { isReady, publishBySql, quiet } from './fixtures/running-server.js';

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** What runs in a folder with an embedded Postgres. */
function postmasterOf(folder: string): number {
  return Number(readFileSync(join(folder, '.postbus/data/postmaster.pid'), 'utf8').split('\n')[0]);
}

t.test('on an embedded Postgres', async (t) => {
  const cwd = makeFolder(t);
  const first = await startServer(t, ['--demo'], { cwd });
  await until(() => isReady(first.url), 'the server was ready');
  t.match(await (await fetch(`${first.url}/`)).text(), '<title>postbus chat</title>');

  const databaseUrl = readFileSync(join(cwd, '.postbus/url'), 'utf8').trim();
  const parked = poll(first.url, { '/chat': 0 });
  await publishBySql(databaseUrl, 'from SQL');
  t.match((await parked).messages, [{ message_id: 1, channel: '/chat', data: 'from SQL' }]);
  t.match(await run(t, ['publish', '/chat', '"from the shell"'], { cwd }), { code: 0, stdout: '2\n' });

  const busy = await run(t, ['serve', '--port', '0'], { cwd });
  t.equal(busy.code, 1, 'another one leaves the folder alone');
  t.match(JSON.parse(busy.stderr), { msg: / already runs .* \(POSTBUS_EMBEDDED_BUSY\)$/ }, 'one line');

  const postmaster = postmasterOf(cwd);
  first.child.kill('SIGTERM');
  t.equal(await first.ended, 0);
  t.match({ stdout: first.stdout(), stderr: first.stderr() }, quiet, 'has said nothing else');
  t.notOk(isAlive(postmaster), 'Postgres ended before the server did');
  t.strictSame(readdirSync(join(cwd, '.postbus')).sort(), ['.gitignore', 'data', 'password', 'postgres.log', 'url']);

  const second = await startServer(t, ['--workers', '2'], { cwd });
  const { messages } = await poll(second.url, { '/chat': 0 });
  t.match(messages, [{ data: 'from SQL' }, { data: 'from the shell' }], 'the data are kept');

  process.kill(postmasterOf(cwd), 'SIGKILL');
  t.equal(await second.ended, 1, 'does not outlive its Postgres');
  t.match(second.stderr(), /\(POSTBUS_EMBEDDED_GONE\)"\}\n$/);
});

t.test('a stop while it starts', async (t) => {
  const cwd = makeFolder(t);
  const server = start(t, ['serve', '--port', '0'], { cwd });
  await until(() => existsSync(join(cwd, '.postbus')), 'it begins');
  server.child.kill('SIGINT');
  t.equal(await server.ended, 0);
  t.strictSame([server.stdout(), server.stderr()], ['', '']);
  t.notOk(existsSync(join(cwd, '.postbus/data/postmaster.pid')), 'no Postgres is left');
});
