import type pg from 'pg';

/**
 * How the bus reads a type of Postgres: from text, which Postgres sends by default, and from bytes, for a pool with
 * `binary: true`. `array` is the OID of its array type.
 */
interface ResultType {
  array?: number;
  fromText: (text: string) => unknown;
  fromBytes: (bytes: Buffer) => unknown;
}

const text: Omit<ResultType, 'array'> = { fromText: (text) => text, fromBytes: (bytes) => bytes.toString('utf8') };

/**
 * Types by their OIDs, which are the same in every Postgres. bigint is read as a number, because ids stay below 2^53.
 */
const scalars: Record<number, ResultType> = {
  16: { array: 1000, fromText: (text) => text === 't', fromBytes: (bytes) => bytes[0] === 1 },
  19: { array: 1003, ...text },
  20: { array: 1016, fromText: Number, fromBytes: (bytes) => Number(bytes.readBigInt64BE()) },
  21: { array: 1005, fromText: Number, fromBytes: (bytes) => bytes.readInt16BE() },
  23: { array: 1007, fromText: Number, fromBytes: (bytes) => bytes.readInt32BE() },
  25: { array: 1009, ...text },
  26: { array: 1028, fromText: Number, fromBytes: (bytes) => bytes.readUInt32BE() },
  114: { fromText: JSON.parse, fromBytes: (bytes) => JSON.parse(bytes.toString('utf8')) },
  701: { array: 1022, fromText: Number, fromBytes: (bytes) => bytes.readDoubleBE() },
  1043: { array: 1015, ...text },
  // In the binary format of jsonb, the first byte is a version number.
  3802: { fromText: JSON.parse, fromBytes: (bytes) => JSON.parse(bytes.toString('utf8', 1)) },
};

// Types that no column that the bus reads has, but whose parsers can be replaced in PGlite: char, bytea, void, uuid,
// times, and others.
const asText = [17, 18, 700, 1042, 1082, 1114, 1184, 1186, 1700, 2278, 2950];

const results: Record<number, ResultType> = { ...scalars };
for (const oid of asText) results[oid] = text;
for (const scalar of Object.values(scalars)) if (scalar.array !== undefined) results[scalar.array] = arrayOf(scalar);

/**
 * The parsers with which the bus reads results, on pools of the application, too. Parsers that the application has set,
 * in pg or in its pool, do not count.
 */
export const resultTypes: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: string) => {
    const { fromText, fromBytes } = results[oid] ?? text;
    return format === 'binary' ? fromBytes : fromText;
  },
};

/**
 * The parsers for PGlite, which sends text. A type that is not listed here is read with the parser of the application.
 */
export const textParsers: Record<number, (text: string) => unknown> = Object.fromEntries(
  Object.entries(results).map(([oid, { fromText }]) => [oid, fromText]),
);

/** The serializers with which the bus writes parameters in PGlite. */
export const valueWriters: Record<number, (value: unknown) => string> = Object.fromEntries(
  Object.keys(results).map((oid) => [oid, writeValue]),
);

/** Returns a value as text that Postgres reads; an array as an array literal. */
export function writeValue(value: unknown): string {
  if (!Array.isArray(value)) return String(value);
  const items = value.map((item) => (item == null ? 'NULL' : `"${String(item).replace(/["\\]/g, '\\$&')}"`));
  return `{${items.join(',')}}`;
}

function arrayOf(item: ResultType): ResultType {
  return {
    fromText: (text) => parseArray(text, item.fromText),
    fromBytes: (bytes) => readArray(bytes, item.fromBytes),
  };
}

/**
 * Reads a one-dimensional array, which may have a lower bound: `[0:1]={a,"b c"}`. Postgres quotes items that are empty,
 * spell NULL, or contain special characters.
 */
function parseArray(array: string, parse: (text: string) => unknown): unknown[] {
  const items = array.slice(array.indexOf('{')).matchAll(/"((?:[^"\\]|\\.)*)"|([^{},"]+)/gs);
  return Array.from(items, ([, quoted, plain = '']) => {
    if (quoted !== undefined) return parse(quoted.replace(/\\(.)/gs, '$1'));
    return plain === 'NULL' ? null : parse(plain);
  });
}

/**
 * Reads a binary array: number of dimensions, flags, OID of the items; length and lower bound of each dimension; then
 * the items, each after its length in bytes.
 */
function readArray(bytes: Buffer, read: (bytes: Buffer) => unknown): unknown[] {
  if (bytes.readInt32BE(0) === 0) return [];
  let at = 20;
  return Array.from({ length: bytes.readInt32BE(12) }, () => {
    const length = bytes.readInt32BE(at);
    at += 4;
    if (length === -1) return null;
    at += length;
    return read(bytes.subarray(at - length, at));
  });
}
