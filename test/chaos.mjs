// Compiles and runs the fault runs of test/chaos: `npm run test:chaos`, see `npm run test:chaos -- --help`.
import { compile } from './compile.mjs';
import './temporary-folder.mjs';

await compile();
await import('../dist-test/chaos/main.js');
