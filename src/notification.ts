import { createHash, timingSafeEqual } from 'node:crypto';
import { StoredMessage, toTargets } from './message.js';

/** What a payload says of one message. */
export interface Notice {
  globalId: number;
  messageId: number;
  site: string;
  channel: string;
  /** Of the settings that the rest is by. */
  version: number;
  /** From here on the channel can be read. */
  firstId: number;
  /** Null where the content did not come along and is to be read from the table. */
  message: StoredMessage | null;
}

/** A node's sign of life, see sql/internal/keepalive.sql. */
export interface SignOfLife {
  beat: string;
  node: string;
}

/** The version that the settings have now. */
export interface SettingsChange {
  version: number;
}

/**
 * Reads a payload, see sql/internal/notification.sql; undefined when it is not one of ours or its keyed hash is wrong:
 * any role may NOTIFY, and only the functions and the nodes know the key.
 */
export function parsePayload(payload: string, key: Uint8Array): Notice[] | SignOfLife | SettingsChange | undefined {
  const end = payload.indexOf('\n');
  const [version, hash] = payload.slice(0, Math.max(end, 0)).split('\t');
  if (version !== '1' || hash === undefined) return undefined;
  const lines = payload.slice(end + 1);
  if (!isSigned(lines, hash, key)) return undefined;
  if (lines.startsWith('keepalive\t')) {
    const [, beat = '', node = ''] = lines.split('\t');
    return { beat, node };
  }
  if (lines.startsWith('settings\t')) return { version: Number(lines.split('\t')[1]) };
  const each = lines.split('\n');
  // Parts of a string keep the whole of it in memory: as long as one message is kept, all would be.
  return (each.length > 1 ? each.map((line) => Buffer.from(line).toString()) : each).map(parseLine);
}

function isSigned(lines: string, hash: string, key: Uint8Array): boolean {
  const given = Buffer.from(hash, 'hex');
  const inner = createHash('sha256').update(key).update(lines).digest();
  const wanted = createHash('sha256').update(key).update(inner).digest();
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

function parseLine(line: string): Notice {
  const [globalId, messageId, site = '', channel = '', version, firstId, expires, targets, json] = line.split('\t');
  const notice: Notice = {
    globalId: Number(globalId),
    messageId: Number(messageId),
    site,
    channel,
    version: Number(version),
    firstId: Number(firstId),
    message: null,
  };
  if (json) {
    const [userIds, groupIds, clientIds]: [string[] | null, string[] | null, string[] | null] = targets
      ? JSON.parse(targets)
      : [null, null, null];
    notice.message = new StoredMessage(
      notice.globalId,
      notice.messageId,
      site,
      channel,
      toTargets(userIds, groupIds, clientIds),
      json,
      Number(expires),
    );
  }
  return notice;
}
