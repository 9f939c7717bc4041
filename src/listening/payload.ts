import { createHash, timingSafeEqual } from 'node:crypto';
import { StoredMessage, toTargets } from '../messages/message.js';
import type { Notice } from '../messages/notice.js';

/** A node's beat, see sql/listening/internal/keepalive.sql. */
export interface SignOfLife {
  beat: string;
  node: string;
}

/** The version that the settings have now. */
export interface SettingsChange {
  version: number;
}

/**
 * Reads a payload, whose format sql/publishing/internal/notification.sql describes. Undefined if it is not one of ours
 * or its keyed hash is wrong: any role may NOTIFY, and only the SQL functions and the nodes know the key. 'malformed'
 * if it is signed but makes no sense here: a later version of postbus may have sent it, or somebody who has the key.
 */
export function parsePayload(
  payload: string,
  key: Uint8Array,
): Notice[] | SignOfLife | SettingsChange | 'malformed' | undefined {
  const end = payload.indexOf('\n');
  const [version, hash] = payload.slice(0, Math.max(end, 0)).split('\t');
  if (version !== '1' || hash === undefined) return undefined;
  const lines = payload.slice(end + 1);
  if (!isSigned(lines, hash, key)) return undefined;
  if (lines.startsWith('keepalive\t')) {
    const [, beat = '', node = ''] = lines.split('\t');
    return { beat, node };
  }
  if (lines.startsWith('settings\t')) {
    const version = toId(lines.slice('settings\t'.length));
    return version === undefined ? 'malformed' : { version };
  }
  const each = lines.split('\n');
  const notices: Notice[] = [];
  for (const line of each) {
    // A part of a string keeps the whole string in memory. Without a copy of each line, one message that is kept would
    // keep all.
    const notice = parseLine(each.length > 1 ? Buffer.from(line).toString() : line);
    if (notice === undefined) return 'malformed';
    notices.push(notice);
  }
  return notices;
}

/** Makes the payload that announce_settings() sends. A node that hears it looks at the database. */
export function settingsPayload({ version }: SettingsChange, key: Uint8Array): string {
  const lines = `settings\t${version}`;
  return `1\t${sign(lines, key).toString('hex')}\n${lines}`;
}

function isSigned(lines: string, hash: string, key: Uint8Array): boolean {
  const given = Buffer.from(hash, 'hex');
  const wanted = sign(lines, key);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

/** The keyed hash that sign_payload() makes in SQL. */
function sign(lines: string, key: Uint8Array): Buffer {
  const inner = createHash('sha256').update(key).update(lines).digest();
  return createHash('sha256').update(key).update(inner).digest();
}

/** Undefined if the line does not describe a message. */
function parseLine(line: string): Notice | undefined {
  const [first, second, site, channel, third, fourth, fifth, targets, json, ...rest] = line.split('\t');
  const [globalId, messageId] = [toId(first), toId(second)];
  const [version, firstId, expires] = [toId(third), toId(fourth), toId(fifth)];
  if (!globalId || !messageId || !channel || site === undefined || json === undefined || rest.length > 0)
    return undefined;
  if (version === undefined || firstId === undefined || expires === undefined) return undefined;
  const notice: Notice = { globalId, messageId, site, channel, version, firstId, expires, message: null };
  if (json === '') return notice;
  if (!isJson(json)) return undefined;
  const lists = targets ? parseTargets(targets) : noTargets;
  if (lists === undefined) return undefined;
  notice.message = new StoredMessage(globalId, messageId, site, channel, toTargets(...lists), json, expires);
  return notice;
}

/** A whole number from 0 on, or undefined. */
function toId(text: string | undefined): number | undefined {
  const id = text ? Number(text) : Number.NaN;
  return Number.isSafeInteger(id) && id >= 0 ? id : undefined;
}

type TargetLists = [string[] | null, string[] | null, string[] | null];
const noTargets: TargetLists = [null, null, null];

function parseTargets(text: string): TargetLists | undefined {
  try {
    const lists: unknown = JSON.parse(text);
    return isTargetLists(lists) ? lists : undefined;
  } catch {
    return undefined;
  }
}

function isTargetLists(lists: unknown): lists is TargetLists {
  return (
    Array.isArray(lists) &&
    lists.length === 3 &&
    lists.every((list) => list === null || (Array.isArray(list) && list.every((id) => typeof id === 'string')))
  );
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
