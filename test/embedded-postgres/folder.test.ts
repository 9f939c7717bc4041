import { spawn } from 'node:child_process';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { locateBinaries, prepareBinaries } from '../../src/embedded-postgres/binaries/binaries.js';
import { startEmbeddedPostgres } from '../../src/embedded-postgres/index.js';
import type { Account } from '../../src/embedded-postgres/system/account.js';
import { TemporaryFolders } from '../../src/embedded-postgres/system/temporary.js';
import { openFolder, remove } from './fixtures/installation.js';
import { isAlive, until } from './fixtures/processes.js';
import { query } from './fixtures/query.js';

const scratch = openFolder();
t.teardown(() => remove(scratch));
const settings = { fsync: 'off' };
const folder = join(scratch, 'kept');
const data = join(folder, 'data');
const lock = join(data, 'postmaster.pid');

async function startAndStop(t: Test): Promise<void> {
  const server = await startEmbeddedPostgres({ folder, settings });
  t.same(await query(server.url, 'select * from kept'), []);
  await server.stop();
}

/** The user that Postgres runs as, where it is not the one who runs this. */
function owner(): Account | undefined {
  const { uid, gid } = statSync(data);
  return process.getuid?.() === 0 ? { uid, gid } : undefined;
}

function spawnAsOwner(program: string, args: string[]) {
  return spawn(program, args, { ...owner(), cwd: data, stdio: 'ignore' });
}

function writeLock(text: string): void {
  const { uid, gid } = statSync(data);
  writeFileSync(lock, text);
  chownSync(lock, uid, gid);
}

t.before(async () => {
  const server = await startEmbeddedPostgres({ folder, settings });
  await query(server.url, 'create table kept (id int)');
  await server.stop();
});

t.test('holds the data, the address for an operator, and no secret that others can read', async (t) => {
  const server = await startEmbeddedPostgres({ folder, settings });
  t.teardown(() => server.stop());
  t.equal(readFileSync(join(folder, 'url'), 'utf8'), `${server.url}\n`);
  for (const name of ['url', 'password', 'postgres.log']) {
    const { mode, uid } = statSync(join(folder, name));
    t.equal(mode & 0o777, 0o600, name);
    t.equal(uid, process.getuid?.(), name);
  }
  t.equal(statSync(data).mode & 0o777, 0o700);
  t.match(readFileSync(join(folder, 'postgres.log'), 'utf8'), /ready to accept connections/);
});

t.test('the log begins anew with every start', async (t) => {
  await startAndStop(t);
  const log = () => readFileSync(join(folder, 'postgres.log'), 'utf8').match(/starting PostgreSQL/g)?.length;
  t.equal(log(), 1);
  await startAndStop(t);
  t.equal(log(), 1);
});

t.test('a stale lock file is no obstacle', async (t) => {
  const pid = (pid: number) => `${pid}\n${data}\n1700000000\n5432\n\n127.0.0.1\n  1234567     99\nready   \n`;
  await t.test('of a process that is dead', async (t) => {
    const dead = spawnAsOwner('true', []);
    await new Promise((resolve) => dead.once('exit', resolve));
    writeLock(pid(dead.pid ?? 0));
    await startAndStop(t);
  });
  await t.test('of a process that is somebody else now', async (t) => {
    // In the folder, and with the user of Postgres: as close as it gets.
    const other = spawnAsOwner('sleep', ['100']);
    t.teardown(() => other.kill());
    writeLock(pid(other.pid ?? 0));
    await startAndStop(t);
    t.ok(isAlive(other.pid ?? 0), 'which is left in peace');
  });
  await t.test('of this very process', async (t) => {
    writeLock(pid(process.pid));
    await startAndStop(t);
  });
  await t.test('that was torn by a crash of the machine', async (t) => {
    for (const torn of ['', 'nonsense']) {
      writeLock(torn);
      await startAndStop(t);
    }
  });
  t.notOk(existsSync(lock));
});

t.test('a Postgres that runs there is respected', async (t) => {
  const temporary = new TemporaryFolders();
  t.teardown(() => temporary.remove());
  const { postgres } = prepareBinaries(locateBinaries(import.meta.url), owner(), temporary);
  const other = spawnAsOwner(postgres, ['-D', data, '-c', 'listen_addresses=', '-c', 'unix_socket_directories=.']);
  const exited = new Promise((resolve) => other.once('exit', resolve));
  await until(() => existsSync(lock) && /ready/.test(readFileSync(lock, 'utf8')));
  await t.rejects(startEmbeddedPostgres({ folder, settings }), {
    code: 'POSTBUS_EMBEDDED_BUSY',
    message: `A Postgres already runs on the folder ${folder} (process ${other.pid}): stop it, use another folder, or set DATABASE_URL to its address`,
  });
  t.ok(isAlive(other.pid ?? 0));
  other.kill('SIGINT');
  await exited;
  await startAndStop(t);
});

t.test('a second launcher on the folder', async (t) => {
  const server = await startEmbeddedPostgres({ folder, settings });
  const again = startEmbeddedPostgres({ folder, settings });
  await t.rejects(again, { code: 'POSTBUS_EMBEDDED_BUSY', message: new RegExp(`process ${server.postmasterPid}\\)`) });
  const stopping = server.stop();
  await startAndStop(t);
  await stopping;
});

t.test('of two starts on a new folder one wins', async (t) => {
  for (let round = 0; round < 2; round += 1) {
    const fresh = join(scratch, `race-${round}`);
    const starts = await Promise.allSettled([1, 2, 3].map(() => startEmbeddedPostgres({ folder: fresh, settings })));
    const [winner, ...others] = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
    const codes = starts.flatMap((start) => (start.status === 'rejected' ? [start.reason.code] : []));
    t.same(codes, ['POSTBUS_EMBEDDED_BUSY', 'POSTBUS_EMBEDDED_BUSY']);
    t.equal(others.length, 0);
    t.same(await query(winner?.url ?? '', 'select 1 as one'), [{ one: 1 }]);
    await winner?.stop();
    t.same(readdirSync(fresh).sort(), ['.gitignore', 'data', 'password', 'postgres.log', 'url']);
  }
});

t.test('what a start that broke off has left is no obstacle', async (t) => {
  const torn = join(scratch, 'torn');
  mkdirSync(join(torn, 'init-abc', 'data', 'base'), { recursive: true });
  writeFileSync(join(torn, 'init-abc', 'password'), 'secret');
  writeFileSync(join(torn, 'guardian.1.0123456789abcdef.1.0123456789abcdef'), 'running');
  mkdirSync(join(torn, 'data'));
  const server = await startEmbeddedPostgres({ folder: torn, settings });
  t.same(await query(server.url, 'select 1 as one'), [{ one: 1 }]);
  await server.stop();
  t.same(readdirSync(torn).sort(), ['.gitignore', 'data', 'password', 'postgres.log', 'url']);
});

t.test('a folder that does not fit', async (t) => {
  await t.test('with data of another version', async (t) => {
    const version = join(data, 'PG_VERSION');
    const present = readFileSync(version, 'utf8');
    writeFileSync(version, '14\n');
    t.teardown(() => writeFileSync(version, present));
    await t.rejects(startEmbeddedPostgres({ folder, settings }), {
      code: 'POSTBUS_EMBEDDED_VERSION',
      message: new RegExp(
        `${data} were written by Postgres 14, but .* version ${present.trim()}: move that folder away`,
      ),
    });
  });
  await t.test('with something else in it', async (t) => {
    const other = join(scratch, 'other');
    mkdirSync(join(other, 'data', 'photos'), { recursive: true });
    await t.rejects(startEmbeddedPostgres({ folder: other, settings }), {
      code: 'POSTBUS_EMBEDDED_FOLDER',
      message: /move it away/,
    });
    t.same(readdirSync(join(other, 'data')), ['photos']);
  });
  await t.test('that is a file', async (t) => {
    const file = join(scratch, 'file');
    writeFileSync(file, '');
    await t.rejects(startEmbeddedPostgres({ folder: file, settings }), {
      code: 'POSTBUS_EMBEDDED_FOLDER',
      message: /EEXIST/,
    });
  });
  await t.test('whose password was lost', async (t) => {
    const password = join(folder, 'password');
    renameSync(password, `${password}.old`);
    t.teardown(() => renameSync(`${password}.old`, password));
    await t.rejects(startEmbeddedPostgres({ folder, settings }), {
      code: 'POSTBUS_EMBEDDED_PASSWORD',
      message: password,
    });
  });
});

t.test('a start that fails shows what Postgres said', async (t) => {
  await t.rejects(startEmbeddedPostgres({ folder, settings: { shared_buffers: 'plenty' } }), {
    code: 'POSTBUS_EMBEDDED_START',
    message: /exit code 1\n.*FATAL:.*"shared_buffers": "plenty"/s,
  });
  await startAndStop(t);
});
