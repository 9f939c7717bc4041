import { readFile } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import t from 'tap';

const script = new URL('../../dist/client/page/message-bus.js', import.meta.url);
const root = fileURLToPath(new URL('../../', import.meta.url));

t.test('the script has less than 5 kB, compressed', async (t) => {
  const { length } = gzipSync(await readFile(script));
  t.ok(length < 5_000, `${length} bytes`);
});

t.test('the script sets one global, as AMD modules may get it too', async (t) => {
  const source = await readFile(script, 'utf8');
  const globals = { crypto, performance };
  const page = { ...globals };
  runInNewContext(source, page);
  t.strictSame(Object.keys(page), [...Object.keys(globals), 'MessageBus']);

  const defined: (() => unknown)[] = [];
  const define = Object.assign((factory: () => unknown) => void defined.push(factory), { amd: {} });
  const amdPage: Record<string, unknown> = { ...globals, define };
  runInNewContext(source, amdPage);
  t.equal(defined[0]?.(), amdPage.MessageBus);
});

t.test('bundlers take the client without anything of Node', async (t) => {
  const contents = `import { MessageBusClient } from 'postbus/client';
    globalThis.client = new MessageBusClient();`;
  // For browsers: an import of a module of Node would not resolve.
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
  const inputs = Object.keys(metafile.inputs).filter((path) => path !== '<stdin>');
  t.ok(inputs.every((path) => path.startsWith('dist/client/')));
  t.notOk(inputs.some((path) => builtinModules.includes(path)));
  t.ok(gzipSync(outputFiles[0]?.contents ?? '').length < 4_096);
});

t.test(
  'postbus/message-bus in place of message-bus-client: its default export is the global of the page',
  async (t) => {
    for (const contents of [
      `import MessageBus from 'message-bus-client'; globalThis.imported = MessageBus;`,
      `import * as all from 'message-bus-client'; globalThis.imported = all.default;`,
      `globalThis.imported = require('message-bus-client').default;`,
      `import 'message-bus-client'; globalThis.imported = MessageBus;`,
    ]) {
      const { outputFiles } = await build({
        stdin: { contents, resolveDir: root },
        alias: { 'message-bus-client': 'postbus/message-bus' },
        bundle: true,
        minify: true,
        platform: 'browser',
        write: false,
        logLevel: 'silent',
      });
      const source = outputFiles[0]?.text ?? '';
      const page: Record<string, unknown> = { crypto, performance };
      runInNewContext(source, page);
      t.ok(page.MessageBus, contents);
      t.equal(page.imported, page.MessageBus, contents);

      // A second bundle, or the script before it, has made the global already.
      const { MessageBus } = page;
      runInNewContext(source, page);
      t.equal(page.MessageBus, MessageBus, 'there is one in a page');
      t.equal(page.imported, MessageBus);
    }
  },
);
