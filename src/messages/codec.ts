import { errors } from '../foundation/errors.js';

/**
 * For data that JSON cannot carry, such as dates, bigints and sets. Browsers and readers in SQL see what encode() makes of
 * it; decode() is also given what was published in SQL. Neither may be async.
 */
export interface Codec {
  /** What is published in place of the data; JSON must be able to hold it. */
  encode(data: unknown): unknown;
  /** The data again, from what was published. */
  decode(json: unknown): unknown;
}

/** @throws POSTBUS_BAD_OPTION */
export function checkCodec(codec: Codec | undefined): Codec | undefined {
  if (codec === undefined) return undefined;
  // What a program in JavaScript may give.
  if (typeof codec?.encode !== 'function' || typeof codec.decode !== 'function') {
    throw new errors.BAD_OPTION('codec', 'must have the functions encode and decode');
  }
  return codec;
}

/** @throws POSTBUS_BAD_DATA */
export function encode(codec: Codec, data: unknown): unknown {
  let encoded: unknown;
  try {
    encoded = codec.encode(data);
  } catch (cause) {
    const error = new errors.BAD_DATA(`the codec cannot encode it (${messageOf(cause)})`);
    error.cause = cause;
    throw error;
  }
  // JSON would make {} of it.
  if (!(encoded instanceof Promise)) return encoded;
  encoded.catch(() => {});
  throw new errors.BAD_DATA('the codec must not be async');
}

/** The data of a message, from its JSON. @throws POSTBUS_UNDECODABLE */
export function decode(codec: Codec, json: string, channel: string, messageId: number): unknown {
  try {
    return codec.decode(JSON.parse(json));
  } catch (cause) {
    const error = new errors.UNDECODABLE(messageId, channel, messageOf(cause));
    error.cause = cause;
    throw error;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
