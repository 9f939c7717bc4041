import type { FastifyInstance } from 'fastify';
import type { BrowserContext } from 'playwright-core';
import type { Test } from 'tap';
import type { PostbusOptions } from '../../../src/fastify/index.js';
import type { Bus } from '../../../src/index.js';
import type { TestBrowser } from '../browser.js';
import { openBus } from '../bus.js';
import { createDatabase, type TestDatabase } from '../database.js';
import { listen } from '../server.js';
import { servePages } from './client-page.js';

/** A database, a server on it with the pages, and a browser profile to open them in. */
export interface ServedClient {
  bus: Bus;
  database: TestDatabase;
  url: string;
  context: BrowserContext;
  publish: Publish;
}

/** Publishes as psql would, on a connection of which the bus knows nothing. */
export type Publish = (channel: string, data: unknown, targets?: { userIds?: string[] }) => Promise<void>;

export async function serveClient(
  t: Test,
  browser: TestBrowser,
  options: Omit<PostbusOptions, 'bus'> = {},
  prepare: (app: FastifyInstance) => void = () => {},
): Promise<ServedClient> {
  const database = await createDatabase(t);
  const bus = openBus(t, database.url);
  const { url } = await listen(t, { bus, ...options }, (app) => {
    servePages(app);
    prepare(app);
  });
  return { bus, database, url, context: await browser.openProfile(t), publish: publishOn(database.query) };
}

export function publishOn(query: TestDatabase['query']): Publish {
  return async (channel, data, { userIds } = {}) => {
    await query('select message_bus.publish($1, $2, user_ids => $3)', [channel, JSON.stringify(data), userIds ?? null]);
  };
}
