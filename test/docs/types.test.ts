import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import ts from 'typescript';
import { blocksOf, readPage } from '../helpers/documentation.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const pages = [
  'README.md',
  ...(await readdir(`${root}docs`)).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
];

// All at once: most of the time goes into the types of libraries.
t.test('the TypeScript of the docs compiles, as strictly as our own', async (t) => {
  const folder = await mkdtemp(`${root}test/types-`);
  t.teardown(() => rm(folder, { recursive: true }));
  const places = new Map<string, string>();
  for (const page of pages) {
    for (const [i, source] of (await programsOf(page)).entries()) {
      const file = `${folder}/${places.size}.mts`;
      await writeFile(file, source);
      places.set(file, `${page}, program ${i + 1}`);
    }
  }
  t.ok(places.size > 10, 'there are some');
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile);
  const program = ts.createProgram(
    [...places.keys()],
    ts.convertCompilerOptionsFromJson(config.compilerOptions, root).options,
  );
  const complaints = ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
    const place = places.get(file?.fileName ?? '') ?? file?.fileName ?? 'all';
    return `${place}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
  });
  t.strictSame(complaints, []);
});

/** What README shows is one program; on other pages each block is one. */
async function programsOf(page: string): Promise<string[]> {
  const sources = blocksOf(await readPage(page))
    .filter(({ language }) => language === 'ts')
    .map(({ text }) => text);
  return page === 'README.md' ? [sources.join('\n')] : sources;
}
