import type { FastifyRequest } from 'fastify';
import { errors } from '../foundation/errors.js';

const maxClientIdLength = 255;

/**
 * Returns the client id of a request: the first segment of the path after `message-bus`. Further segments have no
 * meaning.
 *
 * @throws POSTBUS_NO_CLIENT_ID if it is empty; POSTBUS_BAD_CLIENT_ID if it has more than 255 characters
 */
export function clientIdOf({ params, raw, routeOptions }: FastifyRequest): string {
  const path = typeof params === 'object' && params !== null && '*' in params ? String(params['*']) : '';
  const end = path.indexOf('/');
  let clientId = end < 0 ? path : path.slice(0, end);
  // Fastify has decoded the whole path, so a slash in it may belong to the client id: read the id from the undecoded
  // path.
  if (end >= 0 && /%2f/i.test(raw.url ?? '')) {
    const place = (routeOptions.url ?? '').split('/').length - 1;
    clientId = decodeURIComponent(raw.url?.split('?', 1)[0]?.replace(/\/+/g, '/').split('/')[place] ?? '');
  }
  if (clientId === '') throw new errors.NO_CLIENT_ID();
  if (clientId.length > maxClientIdLength) throw new errors.BAD_CLIENT_ID(maxClientIdLength);
  return clientId;
}
