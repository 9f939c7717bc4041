// A node as a process of its own: polls over HTTP, a route that publishes, and a subscriber to all channels.
import Fastify, { type FastifyRequest } from 'fastify';
import postbus from '../../../src/fastify/index.js';
import { createBus, type PublishOptions } from '../../../src/index.js';
import { identify, type Received } from '../accounting/publication.js';
import type { NodeConfig, NodeReport } from './node-protocol.js';

const config: NodeConfig = JSON.parse(process.argv[2] ?? '');
const log = (details: object, message: string) => {
  if (process.env.CHAOS_VERBOSE) process.stderr.write(`node: ${message}: ${Object(details).err?.message}\n`);
};
const bus = createBus({
  connectionString: config.databaseUrl,
  keepaliveInterval: config.keepaliveIntervalMs,
  logger: { warn: log, error: log },
});
// A fetch that is aborted may leave a connection on which nothing was ever asked: Node would wait a minute for it.
const app = Fastify({ forceCloseConnections: true });

function tell(report: NodeReport): void {
  process.send?.(report);
}

let waiting: Received[] = [];
function receive(message: Received): void {
  // Those of one turn go in one report.
  if (waiting.length === 0) {
    setImmediate(() => {
      tell({ type: 'received', messages: waiting });
      waiting = [];
    });
  }
  waiting.push(message);
}

const header = (request: FastifyRequest, name: string) => request.headers[name]?.toString();
await app.register(postbus, {
  bus,
  longPollingInterval: config.longPollingIntervalMs,
  userIdLookup: (request) => header(request, 'x-user'),
  groupIdsLookup: (request) => header(request, 'x-groups')?.split(','),
  siteIdLookup: (request) => header(request, 'x-site'),
});
app.post<{ Body: { channel: string; data: unknown; options: PublishOptions } }>('/publish', async (request) => {
  const { channel, data, options } = request.body;
  return { id: await bus.publish(channel, data, options) };
});
app.get('/connected', async (_request, reply) => reply.code(bus.isConnected ? 200 : 503).send({}));

app.get('/memory', async () => ({ bytes: process.memoryUsage.rss() }));

async function stop(): Promise<void> {
  await app.close();
  await bus.close();
  process.exit(0);
}
process.on('SIGTERM', () => void stop());
// The program that started it is gone.
process.on('disconnect', () => process.exit(1));

bus.events.on('connected', () => tell({ type: 'connected' }));
/** Until the database is there, for nodes that are started during an outage. */
for (let isSubscribed = false; !isSubscribed; ) {
  try {
    await bus.subscribe(
      null,
      ({ globalId, messageId, channel, siteId, data }) =>
        receive({ globalId, messageId, channel, siteId, ...identify(data), at: Date.now() }),
      {
        lastId: config.lastGlobalId,
        onGap: ({ after, firstId }) => tell({ type: 'gap', after, firstId }),
      },
    );
    isSubscribed = true;
  } catch {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
await app.listen({ port: config.port, host: '127.0.0.1' });
tell({ type: 'ready' });
