import type { IncomingMessage } from 'node:http';
import { isIPv4 } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { errors } from '../foundation/errors.js';

const loopbackNames = ['localhost', '127.0.0.1', '[::1]'];
const hostShape = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{0,5})?$/i;
const maxKnown = 100;

/** True if an address to listen on can be reached from this machine alone. */
export function isLoopback(host: string): boolean {
  const name = normalizeHost(host.includes(':') ? `[${host}]` : host) ?? '';
  // The last test is for 127.0.0.0/8 as IPv6 addresses.
  return loopbackNames.includes(name) || (isIPv4(name) && name.startsWith('127.')) || name.startsWith('[::ffff:7f');
}

/**
 * Returns a host in the form in which hosts are compared: without port and final dot, in lower case. Undefined if it is
 * no host.
 */
export function normalizeHost(host: string): string | undefined {
  if (!hostShape.test(host)) return undefined;
  try {
    // An IPv6 address has many spellings; URL gives one of them.
    return new URL(`http://${host}`).hostname.replace(/\.$/, '');
  } catch {
    return undefined;
  }
}

/**
 * Refuses requests for hosts other than this machine's own names and `hosts`; `*` allows all. Reason: DNS rebinding. A
 * page of another site can make its own name resolve to 127.0.0.1; its requests then come from this machine, and the
 * browser takes this server for a part of that site. Only the name of the host tells them apart. X-Forwarded-Host does
 * not count, because a page can set it.
 */
export function checkHosts(app: FastifyInstance, hosts: readonly string[]): void {
  if (hosts.includes('*')) return;
  const allowed = new Set([...loopbackNames, ...hosts].map(normalizeHost));
  /** Host headers that were allowed: clients send the same one again and again. */
  const known = new Set<string>();
  const isAllowed = (host: string) => {
    if (known.has(host)) return true;
    const name = normalizeHost(host);
    if (name === undefined || !allowed.has(name)) return false;
    if (known.size < maxKnown) known.add(host);
    return true;
  };
  app.addHook('onRequest', (request, _reply, done) => {
    const refused = hostsOf(request.raw).find((host) => !isAllowed(host));
    done(refused === undefined ? undefined : new errors.BAD_HOST(refused === '' ? 'none' : refused.slice(0, 255)));
  });
}

/**
 * Returns all hosts that a request names: each Host header ('' if there is none), and the host of a target such as
 * http://host/path.
 */
function hostsOf({ rawHeaders, url = '' }: IncomingMessage): string[] {
  const hosts: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === 'host') hosts.push(rawHeaders[i + 1] ?? '');
  }
  if (hosts.length === 0) hosts.push('');
  if (!url.startsWith('/') && url !== '*') hosts.push(/^[a-z]+:\/\/([^/?#]*)/i.exec(url)?.[1] ?? '');
  return hosts;
}
