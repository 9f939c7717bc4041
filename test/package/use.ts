// What a user's first lines look like; compiled and run in an empty project by check.sh.
import Fastify from 'fastify';
import { type Bus, createBus, type Message, printMigration } from 'postbus';
import { MessageBusClient } from 'postbus/client';
import { DistributedCache } from 'postbus/distributed-cache';
import postbus from 'postbus/fastify';
import { createMemoryBus } from 'postbus/memory';

const bus: Bus = createBus({ connectionString: 'postgres://nobody@127.0.0.1:1/none' });
const app = Fastify();
await app.register(postbus, { bus, prefix: '/', userIdLookup: (request) => request.headers['x-user']?.toString() });
const decorated: Bus = app.messageBus;

const failure: unknown = await decorated.publish('/chat', { hello: 'world' }).catch((error: unknown) => error);
if (!(failure instanceof Error && 'code' in failure && failure.code === 'POSTBUS_NO_SERVER')) throw failure;

const unopened: unknown = await DistributedCache.open<number>(bus, 'animals').catch((error: unknown) => error);
if (!(unopened instanceof Error && 'code' in unopened && unopened.code === 'POSTBUS_NO_SERVER')) throw unopened;

const handler = (message: Message): string => message.channel;
if (typeof handler !== 'function' || !(await printMigration('bus')).includes('publish_many'))
  throw new Error('incomplete');

const client = new MessageBusClient({ baseUrl: 'http://127.0.0.1:1/' });
client.stop();
client.subscribe('/chat', (data: { hello: string }, _globalId: number, _messageId: number) => data.hello, 0);
if (client.status() !== 'stopped' || client.callbacks[0]?.last_id !== 0) throw new Error('no client');
// PGlite is optional, and not there.
const memory: Bus = createMemoryBus();
const missing: unknown = await memory.publish('/chat', 1).catch((error: unknown) => error);
if (!(missing instanceof Error && 'code' in missing && missing.code === 'POSTBUS_NO_PGLITE')) throw missing;
await memory.close();
await bus.close();
