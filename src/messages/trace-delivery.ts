import { deliverTrace, type TracedReader, whereOf } from '../foundation/trace.js';
import type { ClientFilters } from './client-filters.js';
import type { Batch } from './frame.js';
import type { StoredMessage } from './message.js';

/** Traces which messages of a batch a client was handed, and why not the others, as visibleTo() has decided. */
export function traceDelivery(reader: TracedReader, batch: Batch, visible: Batch, filters: ClientFilters): void {
  const [first] = batch.messages;
  if (first === undefined) return;
  const about = { ...whereOf(first.site, first.channel), reader };
  const seen = new Set(visible.messages);
  const passed = new Set(filters.apply(batch).messages);
  const ids = (messages: readonly StoredMessage[]) => messages.map(({ messageId }) => messageId);
  const handed = ids(visible.messages);
  const filtered = ids(batch.messages.filter((message) => !passed.has(message)));
  const others = ids(batch.messages.filter((message) => passed.has(message) && !seen.has(message)));
  if (handed.length > 0) deliverTrace.tell({ event: 'handed', ...about, messageIds: handed });
  if (filtered.length > 0) deliverTrace.tell({ event: 'hidden', ...about, messageIds: filtered, reason: 'filter' });
  if (others.length > 0) deliverTrace.tell({ event: 'hidden', ...about, messageIds: others, reason: 'targets' });
}
