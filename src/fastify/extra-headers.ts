import { validateHeaderName, validateHeaderValue } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { PostbusOptions } from './options.js';
import { lookupFailure } from './viewer.js';

/**
 * Adds the headers that the lookup returns to every answer of the plugin. The hook runs before anything else can fail,
 * so errors and preflights have them, too.
 */
export function addExtraHeaders(app: FastifyInstance, lookup: PostbusOptions['extraResponseHeadersLookup']): void {
  if (!lookup) return;
  app.addHook('onRequest', async (request, reply) => {
    try {
      reply.headers(checkHeaders(await lookup(request)));
    } catch (error) {
      throw lookupFailure('extraResponseHeadersLookup', request, error);
    }
  });
}

/**
 * Returns the headers, if Node can send them. A header that Node refuses would break a stream that has begun.
 *
 * @throws TypeError
 */
export function checkHeaders(headers: unknown): Record<string, string> {
  if (headers === undefined || headers === null) return {};
  if (typeof headers !== 'object' || Array.isArray(headers)) throw new TypeError('headers must be an object');
  const checked: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string') throw new TypeError(`the header ${name} must be a string`);
    validateHeaderName(name);
    validateHeaderValue(name, value);
    if (/^(content-length|transfer-encoding)$/i.test(name)) throw new TypeError(`the header ${name} cannot be given`);
    checked[name] = value;
  }
  return checked;
}
