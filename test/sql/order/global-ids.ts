import type { Session } from '../session.js';

/** Publishes a list, to three channels in turns. */
export async function publishList(session: Session, length: number): Promise<void> {
  const list = Array.from({ length }, (_, i) => ({ channel: `/${i % 3}`, data: i }));
  await session.value('select message_bus.publish_many($1)', [JSON.stringify(list)]);
}

/** Those that the window shows. */
export async function globalIds(session: Session, after = 0): Promise<unknown[]> {
  return session.column('select global_id from message_bus.global_backlog($1)', [after]);
}

/** Those that a window of this size has to show. */
export function upTo(last: number, count: number): number[] {
  const length = Math.min(last, count);
  return Array.from({ length }, (_, i) => last - length + 1 + i);
}
