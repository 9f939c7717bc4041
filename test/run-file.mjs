// The process of one file of compiled tests; compile() copies it to them, because they share their tap.
// tap follows every promise with async hooks, to tell which test an error belongs to that is thrown outside of all of them: most
// of the CPU of tests with many promises. Here it belongs to the one under way, the first of them where several are.
import asyncHooks from 'node:async_hooks';
import { syncBuiltinESMExports } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const { createHook } = asyncHooks;
replaceCreateHook(() => ({ enable() {}, disable() {} }));
const { t } = await import('tap');
replaceCreateHook(createHook);

process.on('uncaughtException', (error) => underWay(t).threw(error));
await import(pathToFileURL(resolve(process.argv[2] ?? '')).href);

function underWay(test) {
  const [inner] = test.activeSubtests;
  return inner === undefined ? test : underWay(inner);
}

function replaceCreateHook(by) {
  asyncHooks.createHook = by;
  syncBuiltinESMExports();
}
