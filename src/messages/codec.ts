import { errors } from '../foundation/errors.js';

/**
 * Carries data that JSON cannot hold, such as dates, bigints and sets. Browsers and readers in SQL see what encode()
 * returns. decode() is also called with data that was published in SQL. Neither may be async.
 */
export interface Codec {
  /** Returns what is published in place of the data; JSON must be able to hold it. */
  encode(data: unknown): unknown;
  /** Returns the data again, from what was published. */
  decode(json: unknown): unknown;
}

/** Returns the codec. @throws POSTBUS_BAD_OPTION if it lacks encode() or decode() */
export function checkCodec(codec: Codec | undefined): Codec | undefined {
  if (codec === undefined) return undefined;
  // TypeScript rules this out; a program in JavaScript may pass anything.
  if (typeof codec?.encode !== 'function' || typeof codec.decode !== 'function') {
    throw new errors.BAD_OPTION('codec', 'must have the functions encode and decode');
  }
  return codec;
}

/** Returns what the codec makes of the data. @throws POSTBUS_BAD_DATA if the codec throws, or is async */
export function encode(codec: Codec, data: unknown): unknown {
  let encoded: unknown;
  try {
    encoded = codec.encode(data);
  } catch (cause) {
    const error = new errors.BAD_DATA(`the codec cannot encode it (${messageOf(cause)})`);
    error.cause = cause;
    throw error;
  }
  // In JSON, a promise would become {}.
  if (!(encoded instanceof Promise)) return encoded;
  encoded.catch(() => {});
  throw new errors.BAD_DATA('the codec must not be async');
}

/** Returns the data of a message, from its JSON. @throws POSTBUS_UNDECODABLE if the codec throws */
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
