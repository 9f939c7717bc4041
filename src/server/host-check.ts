import type { IncomingMessage } from 'node:http';
import { isIPv4 } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { errors } from '../foundation/errors.js';

const loopbackNames = ['localhost', '127.0.0.1', '[::1]'];
const hostShape = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{0,5})?$/i;
const maxKnown = 100;

/** Whether an address to listen on can be reached from this machine alone. */
export function isLoopback(host: string): boolean {
  const name = normalizeHost(host.includes(':') ? `[${host}]` : host) ?? '';
  // The last one is 127.0.0.0/8 in IPv6.
  return loopbackNames.includes(name) || (isIPv4(name) && name.startsWith('127.')) || name.startsWith('[::ffff:7f');
}

/** How a host is compared: without its port and a last dot, in lower case; undefined if it is none. */
export function normalizeHost(host: string): string | undefined {
  if (!hostShape.test(host)) return undefined;
  try {
    // Addresses of IPv6 have many spellings.
    return new URL(`http://${host}`).hostname.replace(/\.$/, '');
  } catch {
    return undefined;
  }
}

/**
 * Refuses requests for other hosts than this machine's own names and those given; `*` lets all in. A page of another site
 * can make its own name lead to 127.0.0.1 (DNS rebinding): its requests arrive from this machine then, and the browser
 * takes the server for a part of that site. The name is all that tells them apart. X-Forwarded-Host is not looked at,
 * because a page may set it.
 */
export function checkHosts(app: FastifyInstance, hosts: readonly string[]): void {
  if (hosts.includes('*')) return;
  const allowed = new Set([...loopbackNames, ...hosts].map(normalizeHost));
  /** Host headers that passed: clients send the same one again and again. */
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

/** All hosts that a request names: each Host header, '' if there is none, and the host of a target such as http://host/path. */
function hostsOf({ rawHeaders, url = '' }: IncomingMessage): string[] {
  const hosts: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === 'host') hosts.push(rawHeaders[i + 1] ?? '');
  }
  if (hosts.length === 0) hosts.push('');
  if (!url.startsWith('/') && url !== '*') hosts.push(/^[a-z]+:\/\/([^/?#]*)/i.exec(url)?.[1] ?? '');
  return hosts;
}
