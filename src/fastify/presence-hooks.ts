import type { FastifyRequest } from 'fastify';
import type { Viewer } from '../messages/visibility.js';
import type { PostbusOptions } from './options.js';

/**
 * Tells the application when polls begin and cease to wait. If its functions throw or reject, that is logged and does
 * not affect the poll.
 */
export class PresenceHooks {
  constructor(private readonly hooks: Pick<PostbusOptions, 'onConnect' | 'onDisconnect'>) {}

  /**
   * If onConnect or onDisconnect is set: returns a function to call when the poll parks, which returns one to call when
   * it ends.
   */
  of(viewer: Viewer, site: string, request: FastifyRequest): (() => () => void) | undefined {
    const { onConnect, onDisconnect } = this.hooks;
    if (!onConnect && !onDisconnect) return undefined;
    const client = { ...viewer, siteId: site === '' ? null : site };
    return () => {
      const connected = report(request, 'onConnect', () => onConnect?.(client, request));
      // onDisconnect runs after onConnect has settled, even if that is async.
      return () => void connected.then(() => report(request, 'onDisconnect', () => onDisconnect?.(client, request)));
    };
  }
}

async function report(request: FastifyRequest, name: string, call: () => unknown): Promise<void> {
  try {
    await call();
  } catch (err) {
    request.log.error({ err }, `${name} failed`);
  }
}
