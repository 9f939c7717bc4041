import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { FastifyInstance } from 'fastify';

const script = createRequire(import.meta.url).resolve('postbus/client/message-bus.js');

/**
 * Serves `GET /message-bus.js`, the client as a script, for pages of any server: an application without Node needs no
 * copy of it.
 */
export async function browserScript(app: FastifyInstance): Promise<void> {
  const body = await readFile(script, 'utf8');
  app.get('/message-bus.js', (_request, reply) =>
    reply.header('cache-control', 'no-cache').type('text/javascript; charset=utf-8').send(body),
  );
}
