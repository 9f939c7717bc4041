import { publishTrace, whereOf } from '../foundation/trace.js';
import type { Publication } from './publication.js';

/** Tells the trace what becomes of messages that are published together, or of a single one. */
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

/** Tells the trace that messages are dropped, because the bus is off. */
export function traceOff(publications: readonly Publication[]): void {
  for (const { site, channel } of publications) publishTrace.tell({ event: 'off', ...whereOf(site, channel) });
}
