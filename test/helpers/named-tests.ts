import { existsSync, readFileSync } from 'node:fs';

const root = new URL('../../', import.meta.url);

/** Whether a file of the repository has a test of this name, or a scenario of the fault runs with this title. */
export function hasTest(file: string, name: string): boolean {
  return existsSync(new URL(file, root)) && namesIn(file).some((pattern) => pattern.test(name));
}

/** What tests of a file may be called: a name put together in a loop stands for all that it may become. */
function namesIn(file: string): RegExp[] {
  const source = readFileSync(new URL(file, root), 'utf8');
  const names = source.matchAll(/(?:\bt\.test\(\s*|\btitle:\s*)(?:'((?:\\.|[^'\\])*)'|"([^"]*)"|`([^`]*)`)/g);
  return [...names].map(([, single, double, template]) => {
    const parts = (template ?? double ?? single?.replace(/\\(.)/g, '$1') ?? '').split(/\$\{[^}]*(?:\{[^}]*\}[^}]*)*\}/);
    return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.+')}$`);
  });
}
