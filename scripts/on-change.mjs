// `npm run dev` and `npm run test:watch`: builds, runs a program of Node, and does both again after each change of a source file.
import { buildQuickly } from './build-quickly.mjs';
import { watch } from './watch.mjs';

const command = process.argv.slice(2);
const isTests = command[0]?.startsWith('test/');
const folders = ['src', 'sql', 'migrations', isTests ? 'test' : 'demo'];
await watch({ folders, prepare: buildQuickly, command });
