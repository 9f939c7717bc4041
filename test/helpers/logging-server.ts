import Fastify, { type FastifyInstance } from 'fastify';
import type { Test } from 'tap';
import postbus, { type PostbusOptions } from '../../src/fastify/index.js';

/** What an application logs as an error. */
export interface ErrorLine {
  msg: string;
  err: { code?: string; message: string };
}

/** An application with the plugin, listening, whose errors are kept. */
export async function listenAndLog(
  t: Test,
  options: PostbusOptions,
  logger?: { level: string; stream: { write(line: string): void } },
): Promise<{ app: FastifyInstance; url: string; logged: ErrorLine[] }> {
  const logged: ErrorLine[] = [];
  const stream = { write: (line: string) => void logged.push(JSON.parse(line)) };
  const app = Fastify({ logger: logger ?? { level: 'error', stream }, forceCloseConnections: true });
  await app.register(postbus, options);
  t.teardown(() => app.close());
  return { app, url: await app.listen({ port: 0, host: '127.0.0.1' }), logged };
}
