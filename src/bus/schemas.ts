import { isChannel } from '../foundation/checks.js';
import { errors } from '../foundation/errors.js';

/** The part of Standard Schema (https://standardschema.dev) that the bus uses. */
export interface DataSchema {
  readonly '~standard': { readonly validate: (value: unknown) => SchemaResult | Promise<SchemaResult> };
}

interface SchemaResult {
  readonly issues?: readonly SchemaIssue[] | undefined;
}

interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/**
 * Checks data at publish by schemas for channels and patterns. Data is published as it was given, not as the schema
 * returns it.
 */
export class Schemas {
  readonly #schemas: { pattern: string; shape: RegExp; schema: DataSchema }[];

  /**
   * `schemas`: a Standard Schema by channel or pattern.
   *
   * @throws POSTBUS_BAD_OPTION if one is no schema, or no pattern
   */
  constructor(schemas: Readonly<Record<string, DataSchema>>) {
    // The entries of a Map or a list would be ignored.
    if (Object.prototype.toString.call(schemas) !== '[object Object]')
      throw new errors.BAD_OPTION('schemas', 'must be an object: a schema for each channel or pattern');
    this.#schemas = Object.entries(schemas).map(([pattern, schema]) => {
      if (typeof schema?.['~standard']?.validate !== 'function') {
        throw new errors.BAD_OPTION(`schemas[${JSON.stringify(pattern)}]`, 'must be a Standard Schema');
      }
      return { pattern, shape: shapeOf(pattern), schema };
    });
  }

  /** Checks data by all schemas whose pattern matches the channel. @throws POSTBUS_BAD_DATA */
  check(channel: string, data: unknown): void {
    for (const { pattern, shape, schema } of this.#schemas) if (shape.test(channel)) checkBy(schema, pattern, data);
  }
}

function checkBy(schema: DataSchema, pattern: string, data: unknown): void {
  const result = schema['~standard'].validate(data);
  if (result instanceof Promise) {
    // If this promise rejects, nobody handles that.
    result.catch(() => {});
    throw new errors.BAD_DATA(
      `the schema of ${pattern} must not be async, because messages are sent in the order of the calls`,
    );
  }
  const [issue] = result.issues ?? [];
  if (!issue) return;
  const path = (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
  throw new errors.BAD_DATA(`${path === '' ? '' : `${path}: `}${issue.message} (schema of ${pattern})`);
}

/**
 * Returns a pattern as a regular expression. `*` stands for one segment, `**` at the end for any number of segments.
 *
 * @throws POSTBUS_BAD_OPTION
 */
function shapeOf(pattern: string): RegExp {
  const segments = pattern.split('/');
  if (!isChannel(pattern) || segments.slice(0, -1).includes('**')) {
    throw new errors.BAD_OPTION(
      `schemas[${JSON.stringify(pattern)}]`,
      'is not a channel or a pattern. ** stands at the end',
    );
  }
  const shapes = segments.map((segment) => {
    if (segment === '**') return '.*';
    return segment === '*' ? '[^/]*' : segment.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  });
  return new RegExp(`^${shapes.join('/')}$`, 'u');
}
