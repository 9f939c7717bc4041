import type { FastifyRequest } from 'fastify';
import type { Viewer } from '../messages/visibility.js';
import type { PostbusOptions } from './options.js';

/** Tells the application when polls begin and cease to wait. What its functions do wrong is logged and harms no poll. */
export class PresenceHooks {
  constructor(private readonly hooks: Pick<PostbusOptions, 'onConnect' | 'onDisconnect'>) {}

  /** Where the application wants to know: to be called when the poll begins to wait; answers what is to be called after. */
  of(viewer: Viewer, site: string, request: FastifyRequest): (() => () => void) | undefined {
    const { onConnect, onDisconnect } = this.hooks;
    if (!onConnect && !onDisconnect) return undefined;
    const client = { ...viewer, siteId: site === '' ? null : site };
    return () => {
      const connected = report(request, 'onConnect', () => onConnect?.(client, request));
      // One after the other, also where the first is async.
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
