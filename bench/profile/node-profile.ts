import { type Profiler, Session } from 'node:inspector';
import type { Profile } from '../measurement.js';

const rows = 10;
const intervalUs = 500;

/** Samples the process that it is made in, from begin() to end(). */
export class NodeProfile {
  readonly #session = new Session();

  begin(): void {
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.setSamplingInterval', { interval: intervalUs });
    this.#session.post('Profiler.start');
  }

  end(): Promise<Profile['shares']> {
    return new Promise((resolve, reject) => {
      this.#session.post('Profiler.stop', (error, { profile }) => {
        this.#session.disconnect();
        if (error) reject(error);
        else resolve(sharesOf(profile));
      });
    });
  }
}

/** Shares of the time of the samples, by the part of the program whose own code ran. */
function sharesOf({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): Profile['shares'] {
  const parts = new Map(nodes.map(({ callFrame, id }) => [id, partOf(callFrame.functionName, callFrame.url)]));
  const times = new Map<string, number>();
  let total = 0;
  for (const [i, id] of samples.entries()) {
    const time = Math.max(0, timeDeltas[i] ?? 0);
    const part = parts.get(id);
    if (part === undefined) continue;
    times.set(part, (times.get(part) ?? 0) + time);
    total += time;
  }
  return [...times]
    .sort(([, one], [, other]) => other - one)
    .slice(0, rows)
    .map(([part, time]) => [part, time / total]);
}

const nodesOwn: [RegExp, string][] = [
  [/^node:_?http/, "Node's HTTP"],
  [/^node:(net|events|.*stream)/, "Node's sockets and streams"],
  [/^node:.*(timers|task_queues|async_hooks)/, "Node's timers and promises"],
  [/^node:/, "Node's other JavaScript"],
];

function partOf(name: string, url: string): string | undefined {
  if (name === '(idle)') return 'waiting for events';
  if (name === '(program)') return "Node's own native code";
  if (name === '(garbage collector)') return 'garbage collection';
  // The profiler itself, which ends.
  if (url === '' && name === 'dispatch') return undefined;
  if (url === '') return `native: ${name}`;
  const own = nodesOwn.find(([pattern]) => pattern.test(url))?.[1];
  return (
    own ??
    /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ??
    `postbus: ${/\/dist\/(.*)$/.exec(url)?.[1] ?? 'the publishing route'}`
  );
}
