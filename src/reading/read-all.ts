import type { StoredMessage } from '../messages/message.js';
import type { ReadResult } from './reader.js';

/** Reads a backlog page by page; resolves to all messages after `lastId`. */
export async function readAll(read: (after: number) => Promise<ReadResult>, lastId: number): Promise<StoredMessage[]> {
  const messages: StoredMessage[] = [];
  for (let after = lastId; ; ) {
    const page = await read(after);
    for (const message of page.batch.messages) messages.push(message);
    if (page.upTo >= page.lastId) return messages;
    after = page.upTo;
  }
}
