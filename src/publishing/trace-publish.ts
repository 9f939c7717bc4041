import { publishTrace, whereOf } from '../foundation/trace.js';
import type { Publication } from './publication.js';

/** Tells what becomes of messages that are published together, or one alone. */
export function tracePublish(publications: readonly Publication[], published: Promise<readonly number[]>): void {
  published.then(
    (ids) => {
      for (const [i, { site, channel }] of publications.entries()) {
        publishTrace.tell({ event: 'published', ...whereOf(site, channel), messageId: ids[i] ?? 0 });
      }
    },
    (error: unknown) => {
      for (const { site, channel } of publications) {
        publishTrace.tell({ event: 'failed', ...whereOf(site, channel), error });
      }
    },
  );
}

/** The bus is off: they are dropped. */
export function traceOff(publications: readonly Publication[]): void {
  for (const { site, channel } of publications) publishTrace.tell({ event: 'off', ...whereOf(site, channel) });
}
