import type { Test } from 'tap';
import type { PostbusOptions } from '../../src/fastify/index.js';
import { openBus } from './bus.js';
import { createDatabase } from './database.js';
import { listen } from './server.js';

/** A bus with its server; ended with the test. */
export async function serveBus(t: Test, options: Omit<PostbusOptions, 'bus'> = {}) {
  const { url: database, query } = await createDatabase(t);
  const bus = openBus(t, database);
  const { url } = await listen(t, { ...options, bus });
  const publish = async (channel: string, count: number) => {
    for (let i = 0; i < count; i++) await bus.publish(channel, i);
  };
  return { bus, query, url, database, publish };
}
