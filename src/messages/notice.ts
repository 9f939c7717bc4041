import type { StoredMessage } from './message.js';

/** What a notification says of one message. */
export interface Notice {
  globalId: number;
  messageId: number;
  site: string;
  channel: string;
  /** The version of the settings by which the other fields are true. */
  version: number;
  /** The first id of the channel that can be read. */
  firstId: number;
  /** When the message passes its age, in microseconds of the database's clock. */
  expires: number;
  /** Null if the content did not come with the notification; it is then read from the table. */
  message: StoredMessage | null;
}
