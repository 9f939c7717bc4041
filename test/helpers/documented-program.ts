import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { transform } from 'esbuild';
import type { Test } from 'tap';

const root = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Runs a program in TypeScript from the docs, on a free port in place of 3000. Its output, which begins with the address once it
 * listens, is in `output()`; it is ended with the test, if it has not `ended` by itself. Whether its types fit is another test:
 * docs-types.
 */
export async function runProgram(t: Test, source: string, databaseUrl: string): Promise<Running> {
  // Inside the package, where it finds it by its name.
  const folder = await mkdtemp(`${root}test/program-`);
  t.teardown(() => rm(folder, { recursive: true }));
  const { code } = await transform(onAnyPort(source), { loader: 'ts', target: 'node20' });
  await writeFile(`${folder}/program.mjs`, code);
  return start(t, `${folder}/program.mjs`, databaseUrl);
}

function onAnyPort(source: string): string {
  return source.replace('await app.listen({ port: 3000 })', 'console.log(await app.listen({ port: 0 }))');
}

export interface Running {
  output: () => string;
  ended: Promise<number | null>;
}

function start(t: Test, file: string, databaseUrl: string): Running {
  const child = spawn(process.execPath, [file], {
    env: { ...process.env, DATABASE_URL: databaseUrl },
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  t.teardown(async () => {
    child.kill();
    await ended;
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return { output: () => output, ended };
}
