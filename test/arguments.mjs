// What the runner is told: `[test files or beginnings of their paths] [-t 'part of a title']`.
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { title: { type: 'string', short: 't' } },
});

/** Beginnings of paths, such as `test/sql/`; none for all files. */
export const wanted = positionals;

/** Of the tests at the top of their files, those are run whose titles have this text in them; undefined for all tests. */
export const title = values.title || undefined;
