import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { FastifyInstance } from 'fastify';
import type { Bus } from '../../bus/bus.js';
import { DemoOrders } from './demo-orders.js';
import { ordersCommand, postbusCommand, psqlCommand } from './shell-commands.js';

interface DemoOptions {
  bus: Bus;
  connectionString: string;
  schema: string;
  /** True if the database is the server's own one. */
  embedded: boolean;
}

// This path holds for src/ and dist/, which are equally deep.
const folder = new URL('../../../demo/', import.meta.url);
const client = createRequire(import.meta.url).resolve('message-bus-client/assets/message-bus.js');
const javascript = 'text/javascript; charset=utf-8';

const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
};

const chatMessage = {
  type: 'object',
  required: ['from', 'text'],
  additionalProperties: false,
  properties: {
    from: { type: 'string', maxLength: 40, pattern: '\\S' },
    text: { type: 'string', maxLength: 2000, pattern: '\\S' },
  },
};

/** Serves a page with a chat and a table on `/`. Only these routes serve files; no path in a request names a file. */
export async function demo(
  app: FastifyInstance,
  { bus, connectionString, schema, embedded }: DemoOptions,
): Promise<void> {
  const database = embedded ? '$(cat .postbus/url)' : '$DATABASE_URL';
  const texts: Record<string, string> = {
    where: embedded ? 'in the folder where the server was started' : 'with DATABASE_URL set as it is for the server',
    psql: psqlCommand(database, schema),
    orders: ordersCommand(database),
    postbus: postbusCommand(schema),
  };
  const page = (await readDemoFile('index.html')).replace(/{{(\w+)}}/g, (_, name) => escapeHtml(texts[name] ?? ''));
  const files = [
    { url: '/', type: 'text/html; charset=utf-8', body: page },
    { url: '/message-bus-client.js', type: javascript, body: await readFile(client, 'utf8') },
    { url: '/chat.js', type: javascript, body: await readDemoFile('chat.js') },
    { url: '/message.js', type: javascript, body: await readDemoFile('message.js') },
    { url: '/orders.js', type: javascript, body: await readDemoFile('orders.js') },
    { url: '/ajax.js', type: javascript, body: await readDemoFile('ajax.js') },
    { url: '/chat.css', type: 'text/css; charset=utf-8', body: await readDemoFile('chat.css') },
    { url: '/favicon.svg', type: 'image/svg+xml', body: await readDemoFile('favicon.svg') },
  ];
  for (const { url, type, body } of files) {
    app.get(url, (_request, reply) => reply.headers(headers).type(type).send(body));
  }

  const orders = new DemoOrders(connectionString, schema);
  app.addHook('onReady', async () => {
    // If the role may not create tables, the chat still works.
    await orders.prepare().catch((error) => app.log.warn({ err: error }, 'the demo has no table demo_orders'));
  });
  app.addHook('onClose', () => orders.close());
  app.get('/orders', (_request, reply) => orders.read().then((read) => reply.headers(headers).send(read)));

  app.post<{ Body: { from: string; text: string } }>(
    '/chat',
    { schema: { body: chatMessage }, bodyLimit: 16 * 1024 },
    async (request, reply) => {
      const { from, text } = request.body;
      const id = await bus.publish('/chat', { from, text, at: new Date().toISOString() });
      return reply.code(201).send({ id });
    },
  );
}

function readDemoFile(name: string): Promise<string> {
  return readFile(new URL(name, folder), 'utf8');
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
