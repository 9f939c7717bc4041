import Fastify from 'fastify';
import postbus from '../../dist/fastify/index.js';
import { createBus } from '../../dist/index.js';
import { reportToBench } from './child.js';

// What an application of its own would be: the plugin with its defaults, and a route that publishes.
const bus = createBus({ connectionString: process.argv[2] ?? '' });
const app = Fastify();
await app.register(postbus, { bus });
app.post<{ Querystring: { channel: string } }>('/publish', async (request) =>
  String(await bus.publish(request.query.channel, request.body)),
);
await app.listen({ port: 0, host: '127.0.0.1', backlog: 4096 });
reportToBench(app.server);
