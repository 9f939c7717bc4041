import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import t from 'tap';

const root = new URL('../../', import.meta.url);
/** Every import of src/ to src/, those of types and those of lazily loaded modules too. */
const imports = filesOf('src', '.ts').map((file) => ({ file, targets: targetsOf(file) }));
const roomOf = (file: string) => posix.dirname(file).replace(/^src\/?/, '');

/** The layers of src/, from the application down: a room imports rooms of lower layers, and of its own layer those named. */
const layers = [
  ['', 'commands'],
  ['server'],
  ['fastify', 'memory', 'distributed-cache'],
  ['bus'],
  ['listening', 'publishing'],
  ['delivery'],
  ['reading'],
  ['messages', 'database', 'embedded-postgres', 'client'],
  ['foundation'],
];
/** Beside those of the layers: from a room, but not to these. */
const closed: Record<string, string[]> = {
  fastify: ['database', 'reading', 'publishing', 'listening'],
  delivery: ['database', 'listening', 'publishing'],
  client: ['foundation'],
};
const layerOf = (room: string) => layers.findIndex((names) => names.includes(room.split('/')[0] ?? ''));

t.test(
  'no file of src/ is loose but index.ts and cli.ts, and no folder holds one file alone, or more than twelve',
  (t) => {
    t.strictSame(
      imports.map(({ file }) => file).filter((file) => roomOf(file) === ''),
      ['src/cli.ts', 'src/index.ts'],
    );
    for (const part of ['src', 'sql']) {
      const files = filesOf(part, part === 'src' ? '.ts' : '.sql');
      for (const [folder, count] of countBy(files, posix.dirname)) t.ok(count <= 12, `${folder} holds ${count} files`);
      // What is internal to a room of SQL is a part of it.
      for (const [room, count] of countBy(files, (file) => posix.dirname(file).replace(/\/internal$/, ''))) {
        if (room !== part) t.ok(count > 1, `${room} holds more than one file`);
      }
    }
    t.end();
  },
);

t.test('imports of src/ run down: to rooms of a lower layer, within a room, and to rooms inside of it', (t) => {
  for (const { file, targets } of imports) {
    const from = roomOf(file);
    const [top = ''] = from.split('/');
    for (const target of targets) {
      const to = roomOf(target);
      const [other = ''] = to.split('/');
      if (other === top) continue;
      const isDown = layerOf(top) < layerOf(other) || (from === '' && other === 'commands');
      t.ok(isDown && layerOf(top) >= 0 && layerOf(other) >= 0, `${file} imports ${target}`);
      t.notOk(closed[top]?.includes(other), `${file} may not import ${target}`);
    }
  }
  t.end();
});

t.test('no files of src/ import each other in a circle, types included', (t) => {
  t.strictSame(circlesOf(new Map(imports.map(({ file, targets }) => [file, new Set(targets)]))), []);
  t.end();
});

t.test('no rooms of src/ import each other in a circle', (t) => {
  const rooms = new Map<string, Set<string>>();
  for (const { file, targets } of imports) {
    const room = roomOf(file);
    const others = rooms.get(room) ?? new Set();
    for (const target of targets) if (roomOf(target) !== room) others.add(roomOf(target));
    rooms.set(room, others);
  }
  t.strictSame(circlesOf(rooms), []);
  t.end();
});

function countBy(files: readonly string[], keyOf: (file: string) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const file of files) counts.set(keyOf(file), (counts.get(keyOf(file)) ?? 0) + 1);
  return counts;
}

function filesOf(folder: string, extension: string): string[] {
  return readdirSync(new URL(`${folder}/`, root), { recursive: true })
    .map((path) => `${folder}/${String(path).replaceAll('\\', '/')}`)
    .filter((path) => path.endsWith(extension))
    .sort();
}

function targetsOf(file: string): string[] {
  const text = readFileSync(new URL(file, root), 'utf8');
  return [...text.matchAll(/\b(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map(([, path = '']) =>
    posix.join(posix.dirname(file), path.replace(/\.js$/, '.ts')),
  );
}

/** The ways in which somebody who follows the arrows comes back to where they began: one for each arrow that closes a circle. */
function circlesOf(arrows: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const circles: string[] = [];
  const done = new Set<string>();
  const follow = (place: string, way: readonly string[]) => {
    if (way.includes(place)) circles.push([...way.slice(way.indexOf(place)), place].join(' → '));
    if (done.has(place) || way.includes(place)) return;
    for (const next of arrows.get(place) ?? []) follow(next, [...way, place]);
    done.add(place);
  };
  for (const place of arrows.keys()) follow(place, []);
  return circles;
}
