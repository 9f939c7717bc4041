import { isUtf8 } from 'node:buffer';
import { checkChannel } from '../arguments.js';
import { errors } from '../errors.js';

/** What a poll asks for. */
export interface PollRequest {
  /** Position by channel: an id, -1 from now on, -2 the last message …; null from now on without a status. */
  channels: Map<string, number | null>;
  /** Number of the request, counted up by the client; 0 where it does not count. */
  sequence: number;
}

/** Reads a form (`/chat=5&__seq=1`). */
export function parseForm(bytes: Buffer, maxChannels: number): PollRequest {
  const body = decode(bytes);
  // URLSearchParams would make another channel of it: one that stays silent.
  if (body.includes('%') && !isPercentEncoded(body)) {
    throw new errors.BAD_BODY('has a percent sign that does not begin a character of UTF-8');
  }
  return collect(new URLSearchParams(body), maxChannels);
}

/** Reads a JSON object (`{"/chat":5,"__seq":1}`). */
export function parseJson(bytes: Buffer, maxChannels: number): PollRequest {
  const body = decode(bytes);
  if (body === '') return { channels: new Map(), sequence: 0 };
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new errors.BAD_BODY('is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new errors.BAD_BODY('must be an object of channels and ids, such as {"/chat":5}');
  }
  return collect(Object.entries(value), maxChannels);
}

function decode(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new errors.BAD_BODY('is not UTF-8');
  return bytes.toString();
}

function isPercentEncoded(body: string): boolean {
  try {
    decodeURIComponent(body);
    return true;
  } catch {
    return false;
  }
}

function collect(entries: Iterable<[string, unknown]>, maxChannels: number): PollRequest {
  const request: PollRequest = { channels: new Map(), sequence: 0 };
  for (const [name, value] of entries) {
    if (name === '__seq') {
      request.sequence = toInteger(value, '__seq') ?? 0;
    } else {
      request.channels.set(checkChannel(name, 'body'), toInteger(value, name));
      if (request.channels.size > maxChannels) throw new errors.TOO_MANY_CHANNELS(maxChannels);
    }
  }
  return request;
}

function toInteger(value: unknown, name: string): number | null {
  if (value === null || value === '') return null;
  const number = typeof value === 'string' && /^-?\d{1,16}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) {
    throw new errors.BAD_ID(name, typeof value === 'object' ? 'an object' : JSON.stringify(value).slice(0, 100));
  }
  return number;
}
