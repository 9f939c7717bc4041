import type { FastifyRequest } from 'fastify';
import { errors } from '../foundation/errors.js';

const maxClientIdLength = 255;

/** The first part of the path after `message-bus`; what follows is of no meaning. */
export function clientIdOf({ params, raw, routeOptions }: FastifyRequest): string {
  const path = typeof params === 'object' && params !== null && '*' in params ? String(params['*']) : '';
  const end = path.indexOf('/');
  let clientId = end < 0 ? path : path.slice(0, end);
  // Fastify has decoded the whole path: a slash may be a part of the client id.
  if (end >= 0 && /%2f/i.test(raw.url ?? '')) {
    const place = (routeOptions.url ?? '').split('/').length - 1;
    clientId = decodeURIComponent(raw.url?.split('?', 1)[0]?.replace(/\/+/g, '/').split('/')[place] ?? '');
  }
  if (clientId === '') throw new errors.NO_CLIENT_ID();
  if (clientId.length > maxClientIdLength) throw new errors.BAD_CLIENT_ID(maxClientIdLength);
  return clientId;
}
