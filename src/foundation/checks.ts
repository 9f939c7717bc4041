import { errors } from './errors.js';

// The same rules as in sql/publishing/internal/arguments.sql. They are checked here too, so that a mistake fails at the
// caller's line, fails alone, and costs no round trip.

/**
 * An id of a user, group or client: a string or a whole number; ids are compared as strings. Numbers from 2^53 on are
 * refused, because JavaScript gives several of them the same value: a message for user 9007199254740993 would reach
 * 9007199254740992. A bigint is exact.
 */
export type Id = string | number | bigint;

// A leading slash is usual, but not required. Names that begin with __ or /__ are reserved for the bus, such as
// /__status.
const channelShape = /^(?!\/?__)\P{Cc}{1,255}$/u;
const siteShape = /^\P{Cc}{1,255}$/u;

/** True for the name of a channel: 1 to 255 characters, no control characters, not reserved for the bus. */
export function isChannel(channel: unknown): channel is string {
  return typeof channel === 'string' && channelShape.test(channel) && isWellFormed(channel);
}

/** Returns the name of a channel. @throws POSTBUS_BAD_CHANNEL */
export function checkChannel(channel: unknown, argument = 'channel'): string {
  if (!isChannel(channel)) throw new errors.BAD_CHANNEL(argument, show(channel));
  return channel;
}

/** True for channels under /global/, which belong to no site and reach the clients of all sites. */
export function isGlobal(channel: string): boolean {
  return channel.startsWith('/global/');
}

/** Returns a site; undefined for none. @throws POSTBUS_BAD_SITE */
export function checkSite(siteId: unknown, argument = 'siteId'): string | undefined {
  if (siteId === undefined || siteId === null) return undefined;
  if (typeof siteId !== 'string' || !siteShape.test(siteId) || !isWellFormed(siteId))
    throw new errors.BAD_SITE(argument);
  return siteId;
}

/**
 * Identifies a channel within the bus. `site`: '' for none. A tab separates the two names, because neither can hold a
 * control character.
 */
export function channelKey(site: string, channel: string): string {
  return `${site}\t${channel}`;
}

/** Returns the site under which a channel's messages are kept; '' for none. */
export function siteOf(siteId: string | undefined, channel: string): string {
  return isGlobal(channel) ? '' : (siteId ?? '');
}

/** Returns the ids as strings; undefined if none were given, which means everyone. @throws POSTBUS_BAD_TARGETS */
export function checkTargets(ids: unknown, argument: string): string[] | undefined {
  if (ids === undefined || ids === null) return undefined;
  if (!Array.isArray(ids) || ids.length === 0) {
    throw new errors.BAD_TARGETS(argument, 'must be a list of at least one id. Leave it out to reach everyone');
  }
  // map() skips the holes of a sparse array; a copy has undefined in their place.
  return [...ids].map((id) => checkId(id, argument));
}

/** Returns an id as a string. @throws POSTBUS_BAD_TARGETS */
export function checkId(id: unknown, argument: string): string {
  const text = isExact(id) ? String(id) : id;
  if (typeof text !== 'string' || text.includes('\0') || !isWellFormed(text)) {
    throw new errors.BAD_TARGETS(
      argument,
      `${show(id)} is not an id. Ids are strings or whole numbers below 2^53; give larger ones as strings or bigints`,
    );
  }
  return text;
}

function isExact(id: unknown): boolean {
  return typeof id === 'bigint' || (typeof id === 'number' && Number.isSafeInteger(id) && !Object.is(id, -0));
}

/** Returns a whole number from 1 to `max`; undefined if it was not given. @throws POSTBUS_BAD_LIMIT */
export function checkLimit(value: unknown, argument: string, max = 2_147_483_647): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > max) {
    throw new errors.BAD_LIMIT(argument, max);
  }
  return value;
}

/** Returns true or false; undefined if it was not given. @throws POSTBUS_BAD_OPTION */
export function checkFlag(value: unknown, argument: string): boolean | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'boolean') throw new errors.BAD_OPTION(argument, 'must be true or false');
  return value;
}

/**
 * Checks a number among the options of a TypeScript function; returns `fallback` if it was not given.
 *
 * @throws POSTBUS_BAD_OPTION
 */
export function checkWholeNumber(min: number, value: unknown, fallback: number, name: string): number {
  const number = value ?? fallback;
  if (typeof number !== 'number' || !Number.isInteger(number) || number < min || number > 2_147_483_647) {
    throw new errors.BAD_OPTION(name, `must be a whole number from ${min} to 2147483647`);
  }
  return number;
}

/**
 * Checks a position in a channel: a message id, or -1 from now on, -2 from the last message on, …
 *
 * @throws POSTBUS_BAD_ID
 */
export function checkPosition(value: unknown, argument: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw new errors.BAD_ID(argument, show(value));
  return value;
}

/** Checks the id of a message that exists or has existed: 0 or more. @throws POSTBUS_BAD_ID */
export function checkMessageId(value: unknown, argument: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new errors.BAD_ID(argument, show(value));
  }
  return value;
}

/** Upper bound of `maxDataSize`, in bytes: read_ceiling() in sql/publishing/internal/data_size.sql. */
export const maxDataSizeCeiling = 67_108_864;

/**
 * Returns data as JSON text that jsonb can store: jsonb holds no NUL and no half of a surrogate pair.
 *
 * @throws POSTBUS_BAD_DATA if it cannot be written as JSON or stored; POSTBUS_DATA_TOO_LARGE if it is beyond any limit
 */
export function encodeData(data: unknown): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(data);
  } catch (error) {
    throw new errors.BAD_DATA(`cannot be written as JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  // The text that Postgres measures is never shorter than this one, and only Postgres knows the limit that is set. This
  // check spares Postgres what is too large for any limit.
  if (json !== undefined && json.length > maxDataSizeCeiling)
    throw new errors.DATA_TOO_LARGE(
      `data: has ${json.length} bytes of text or more, and can have ${maxDataSizeCeiling}`,
    );
  if (json === undefined)
    throw new errors.BAD_DATA('cannot be written as JSON. Publish null where there is nothing to say');
  // JSON.stringify writes NUL as \u0000 and lone surrogates as \ud8xx: first a fast search for any escape, then an
  // exact test.
  if (json.includes('\\u') && unstorable.test(json)) {
    throw new errors.BAD_DATA('holds a NUL character or half of a surrogate pair, which jsonb cannot store');
  }
  return json;
}

// Matches an escape only if an even number of backslashes precedes it: after an odd number, its own backslash is
// escaped.
const unstorable = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/;

function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 300 ? `${value.slice(0, 300)}…` : value);
  if (Object.is(value, -0)) return '-0';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}
