import type { FastifyBaseLogger } from 'fastify';
import { ThrottledLog } from '../../foundation/throttled-log.js';
import type { DenialReason } from './poll-request.js';

const shownNames = 10;

/**
 * Logs channels that polls name and are refused, at most once a minute, because a page with a wrong name polls again
 * and again.
 */
export function logDenials(log: FastifyBaseLogger): (denied: ReadonlyMap<string, DenialReason>) => void {
  const denials = new ThrottledLog<ReadonlyMap<string, DenialReason>>((count, denied) => {
    const channels = Object.fromEntries(
      [...denied].slice(0, shownNames).map(([name, reason]) => [name.slice(0, 300), reason]),
    );
    log.warn({ channels, count }, 'a poll names channels that it is not given');
  });
  return (denied) => denials.report(denied);
}
