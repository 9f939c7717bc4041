import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import ts from 'typescript';

const root = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Programs of a page in TypeScript, compiled as strictly as our own: all at once with the first that is run, since most
 * of the time goes into the types of libraries. They are modules, of which none sees another.
 */
export class DocumentedPrograms {
  readonly #sources: readonly string[];
  #compiled: CompiledPrograms | undefined;

  constructor(t: Test, sources: readonly string[]) {
    this.#sources = sources;
    t.teardown(() => this.#compiled && rm(this.#compiled.folder, { recursive: true }));
  }

  /**
   * Runs one of them, on a free port in place of 3000. Its output, which begins with the address once it listens, is in
   * `output()`; it is ended with the test, if it has not `ended` by itself.
   */
  async run(t: Test, source: string, databaseUrl: string): Promise<Running> {
    this.#compiled ??= await compile(this.#sources);
    const program = this.#compiled.programs.get(source);
    if (program === undefined) throw new Error('the program is not one of the page');
    t.strictSame(program.complaints, [], 'it compiles');
    return start(t, program.file, databaseUrl);
  }
}

/** Compiles and runs a single one. */
export function runProgram(t: Test, source: string, databaseUrl: string): Promise<Running> {
  return new DocumentedPrograms(t, [source]).run(t, source, databaseUrl);
}

export interface Running {
  output: () => string;
  ended: Promise<number | null>;
}

interface CompiledPrograms {
  folder: string;
  /** By source: the JavaScript, and what the compiler has to say. */
  programs: Map<string, { file: string; complaints: string[] }>;
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

const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile);
const options = { ...ts.convertCompilerOptionsFromJson(config.compilerOptions, root).options, noEmit: false };

async function compile(sources: readonly string[]): Promise<CompiledPrograms> {
  // Inside the package, where they find it by its name.
  const folder = await mkdtemp(`${root}test/program-`);
  const files = sources.map((_, i) => `${folder}/${i}.mts`);
  for (const [i, file] of files.entries()) {
    const listening = 'console.log(await app.listen({ port: 0 }))';
    await writeFile(file, (sources[i] ?? '').replace('await app.listen({ port: 3000 })', listening));
  }
  const program = ts.createProgram(files, options);
  const diagnostics = [...ts.getPreEmitDiagnostics(program), ...program.emit().diagnostics];
  const programs = sources.map((source, i) => {
    // What concerns none of them concerns all.
    const its = diagnostics.filter(({ file }) => file?.fileName === files[i] || !files.includes(file?.fileName ?? ''));
    const complaints = its.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
    return [source, { file: `${folder}/${i}.mjs`, complaints }] as const;
  });
  return { folder, programs: new Map(programs) };
}
