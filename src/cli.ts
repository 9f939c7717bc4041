#!/usr/bin/env node
import { run } from './commands/run.js';

// `postbus subscribe … | head -1` has seen enough.
process.stdout.on('error', (error) => process.exit('code' in error && error.code === 'EPIPE' ? 0 : 1));

process.exitCode = await run(process.argv.slice(2));
