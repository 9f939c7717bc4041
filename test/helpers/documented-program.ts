import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import ts from 'typescript';

const root = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Compiles TypeScript of a page as strictly as our own and runs it, on a free port in place of 3000. Its output, which
 * begins with the address once it listens, is in `output()`; it is ended with the test, if it has not `ended` by itself.
 */
export async function runProgram(
  t: Test,
  source: string,
  databaseUrl: string,
): Promise<{ output: () => string; ended: Promise<number | null> }> {
  // Inside the package, where it finds itself by its name.
  const folder = await mkdtemp(`${root}test/program-`);
  t.teardown(() => rm(folder, { recursive: true }));
  const file = `${folder}/program.mts`;
  await writeFile(
    file,
    source.replace('await app.listen({ port: 3000 })', 'console.log(await app.listen({ port: 0 }))'),
  );
  t.strictSame(compile(file), [], 'it compiles');

  const child = spawn(process.execPath, [file.replace('.mts', '.mjs')], {
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

const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile);
const options = { ...ts.convertCompilerOptionsFromJson(config.compilerOptions, root).options, noEmit: false };
const host = ts.createCompilerHost(options);

// The programs of a page share their libraries: most of the time goes into reading those.
const { getSourceFile } = host;
const libraries = new Map<string, ts.SourceFile | undefined>();
host.getSourceFile = (name, ...rest) => {
  if (!name.endsWith('.d.ts')) return getSourceFile(name, ...rest);
  if (!libraries.has(name)) libraries.set(name, getSourceFile(name, ...rest));
  return libraries.get(name);
};

/** Writes the JavaScript beside it; answers what the compiler has to say. */
function compile(file: string): string[] {
  const program = ts.createProgram([file], options, host);
  const { diagnostics } = program.emit();
  return [...ts.getPreEmitDiagnostics(program), ...diagnostics].map(({ messageText }) =>
    ts.flattenDiagnosticMessageText(messageText, '\n'),
  );
}
