import { readTrace, whereOf } from '../foundation/trace.js';
import type { Batch } from '../messages/frame.js';

/** Traces what was read of a channel (null: of all channels, by global id) after an id, or why the read failed. */
export function traceRead(
  from: 'tables' | 'memory',
  site: string,
  channel: string | null,
  after: number,
  result: Promise<{ upTo: number; batch: Batch }>,
): void {
  const where = whereOf(site, channel);
  result.then(
    ({ upTo, batch }) => {
      const messageIds = batch.messages.map(({ messageId, globalId }) => (channel === null ? globalId : messageId));
      readTrace.tell({ event: 'read', ...where, from, after, upTo, messageIds });
    },
    (error: unknown) => readTrace.tell({ event: 'failed', ...where, after, error }),
  );
}
