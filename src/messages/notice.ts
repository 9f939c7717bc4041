import type { StoredMessage } from './message.js';

/** What a notification says of one message. */
export interface Notice {
  globalId: number;
  messageId: number;
  site: string;
  channel: string;
  /** Of the settings that the rest is by. */
  version: number;
  /** From here on the channel can be read. */
  firstId: number;
  /** When the message passes its age, in microseconds of the database's clock. */
  expires: number;
  /** Null where the content did not come along and is to be read from the table. */
  message: StoredMessage | null;
}
