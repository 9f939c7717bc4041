import { isUtf8 } from 'node:buffer';
import { checkChannel, isChannel } from '../../foundation/checks.js';
import { errors } from '../../foundation/errors.js';

/** The channels and positions that a poll asks for. */
export interface PollRequest {
  /**
   * Position by channel: an id; -1 for "from now on", -2 for "the last message first", …; null for "from now on, and do
   * not tell me the last id".
   */
  channels: Map<string, number | null>;
  /** Number of the request, counted up by the client; 0 if the client does not count. */
  sequence: number;
  /** Channels that the poll is refused, with the reason; undefined if there are none. */
  denied?: Map<string, DenialReason>;
}

/** Why a poll is refused a channel; the message on `/__denied` has it in `data`, by channel. */
export type DenialReason = 'bad_channel' | 'too_many';

/** Reads the body of a form, such as `/chat=5&__seq=1`. @throws POSTBUS_BAD_BODY or POSTBUS_BAD_CHANNEL */
export function parseForm(bytes: Buffer, maxChannels: number): PollRequest {
  const body = decode(bytes);
  if (!body.includes('%') || isPercentEncoded(body)) return collect(new URLSearchParams(body), maxChannels);
  // URLSearchParams would turn malformed names into other channels, which would stay silent.
  const [sound, broken]: [string[], string[]] = [[], []];
  for (const field of body.split('&')) (isPercentEncoded(field) ? sound : broken).push(field);
  const request = collect(new URLSearchParams(sound.join('&')), maxChannels);
  if (request.channels.size === 0) {
    throw new errors.BAD_BODY('has a percent sign that does not begin a character of UTF-8');
  }
  request.denied ??= new Map();
  for (const field of broken) request.denied.set(field.replace(/=.*/s, ''), 'bad_channel');
  return request;
}

/** Reads a JSON object, such as `{"/chat":5,"__seq":1}`. @throws POSTBUS_BAD_BODY or POSTBUS_BAD_CHANNEL */
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
      // A sequence that is no number counts as none, as in the original message_bus: it must not silence the channels
      // of a page.
      request.sequence = toInteger(value) ?? 0;
      continue;
    }
    const reason = !isChannel(name)
      ? 'bad_channel'
      : request.channels.size === maxChannels && !request.channels.has(name)
        ? 'too_many'
        : undefined;
    if (reason === undefined) request.channels.set(name, toPosition(value));
    else request.denied = (request.denied ?? new Map<string, DenialReason>()).set(name, reason);
  }
  // One name that is no channel must not silence the other channels of a page; if all are refused, the poll fails.
  if (request.channels.size === 0) for (const name of request.denied?.keys() ?? []) checkChannel(name, 'body');
  return request;
}

/**
 * Reads a position. A value that is no number counts as -1: the client is told the last id of the channel, and has an
 * id from then on.
 */
function toPosition(value: unknown): number | null {
  return value === null || value === '' ? null : (toInteger(value) ?? -1);
}

function toInteger(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^-?\d{1,16}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined;
}
