import { errors } from '../foundation/errors.js';

/** What a cache can hold: JSON values, and Set, Map and Date anywhere in them. */
export type CacheValue =
  | null
  | boolean
  | number
  | string
  | Date
  | readonly CacheValue[]
  | ReadonlySet<CacheValue>
  | ReadonlyMap<CacheValue, CacheValue>
  | { readonly [key: string]: CacheValue | undefined };

/**
 * Encodes a value as JSON text, which decodes to the same value in every process. A Date is `{"$date":ms}`, a Set
 * `{"$set":[…]}`, a Map `{"$map":[[key,value],…]}`; names that begin with $ get another $ in front.
 *
 * @throws POSTBUS_BAD_DATA if the value is not a CacheValue
 */
export function encode(value: unknown): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(value, replace);
  } catch (error) {
    // JSON.stringify() itself throws on a cycle, and if the value is nested too deep.
    const what = error instanceof Unfit ? error.message : String(error);
    throw new errors.BAD_DATA(`a cache cannot hold ${what}`);
  }
  if (json === undefined) throw new errors.BAD_DATA('a cache cannot hold undefined. Delete the key');
  return json;
}

/** Decodes what encode() has returned. Each call makes a new value. */
export function decode<Value>(json: string): Value {
  return JSON.parse(json, json.includes('"$') ? revive : undefined);
}

class Unfit extends Error {}

/** Refuses what JSON would silently change: other processes would then have another value than the one that set it. */
function replace(this: unknown, key: string, value: unknown): unknown {
  // `value` may be what toJSON() has returned, for example a string for a Date. The original is needed.
  const original: unknown = Reflect.get(Object(this), key);
  switch (typeof original) {
    case 'string':
    case 'boolean':
      return original;
    case 'number':
      if (!Number.isFinite(original)) throw new Unfit(String(original));
      return original;
    case 'undefined':
      if (Array.isArray(this)) throw new Unfit('undefined in a list');
      return undefined;
    case 'object':
      return original === null || Array.isArray(original) ? original : replaceObject(original);
    default:
      throw new Unfit(`a ${typeof value}`);
  }
}

function replaceObject(object: object): object {
  if (object instanceof Date) return { $date: object.getTime() };
  if (object instanceof Set) return { $set: [...object] };
  if (object instanceof Map) return { $map: [...object] };
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== null && prototype !== Object.prototype) {
    throw new Unfit(`an object of a class (${object.constructor?.name})`);
  }
  return rename(object, (name) => (name.startsWith('$') ? `$${name}` : name));
}

function revive(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const { $date, $set, $map } = Object(value);
  if ($date !== undefined) return new Date($date);
  if ($set !== undefined) return new Set($set);
  if ($map !== undefined) return new Map($map);
  return rename(value, (name) => (name.startsWith('$') ? name.slice(1) : name));
}

function rename(object: object, change: (name: string) => string): object {
  const entries = Object.entries(object);
  if (!entries.some(([name]) => name.startsWith('$'))) return object;
  return Object.fromEntries(entries.map(([name, value]) => [change(name), value]));
}
