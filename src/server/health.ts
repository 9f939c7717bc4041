import { STATUS_CODES } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Bus } from '../bus/bus.js';
import { errors, isPostbusError } from '../foundation/errors.js';

/**
 * Serves `/health/live`: this process runs; restart it if there is no answer. And `/health/ready`: messages can be
 * published and arrive, see bus.check(); send the process no requests if that fails.
 */
export async function health(app: FastifyInstance, { bus }: { bus: Bus }): Promise<void> {
  let failure: string | undefined;
  let isStopping = false;
  app.addHook('preClose', async () => {
    isStopping = true;
  });

  app.addHook('onRequest', async (_request, reply) => {
    reply.header('cache-control', 'no-store');
  });

  app.get('/health/live', async () => ({ status: 'live' }));

  app.get('/health/ready', async (request, reply) => {
    try {
      if (isStopping) throw new errors.STOPPING();
      await bus.check();
      failure = undefined;
      return { status: 'ready' };
    } catch (err) {
      const code = isPostbusError(err) ? err.code : 'POSTBUS_NOT_NOW';
      // Details may name hosts and users, so they go to the log, once for each new reason, however often health is
      // checked.
      if (code !== failure && !isStopping) request.log.warn({ err }, 'not ready');
      failure = code;
      return reply.code(503).send({ statusCode: 503, code, error: STATUS_CODES[503], message: reasons[code] ?? other });
    }
  });
}

const other = 'The database does not do what it is asked to. The log has its error.';
const reasons: Record<string, string> = {
  POSTBUS_NO_SERVER: 'The database does not answer.',
  POSTBUS_CONNECTION_LOST: 'The database does not answer.',
  POSTBUS_BAD_CREDENTIALS: 'The database refuses the login.',
  POSTBUS_NO_DATABASE: 'The database is not there.',
  POSTBUS_STOPPING: new errors.STOPPING().message,
  POSTBUS_NO_SCHEMA: 'The schema of the bus is not there, or not up to date. Migrate it.',
  POSTBUS_NO_PERMISSION: 'The database role lacks rights that a node needs.',
  POSTBUS_READ_ONLY: 'The database takes no changes.',
  POSTBUS_DISK_FULL: 'The database has no space left.',
  POSTBUS_TOO_MANY_CONNECTIONS: 'The database takes no more connections.',
  POSTBUS_OUT_OF_RESOURCES: 'The database has run out of memory or another resource.',
  POSTBUS_STORAGE_FAILED: 'The database cannot read or write its files.',
  POSTBUS_NOTIFY_QUEUE_FULL: new errors.NOTIFY_QUEUE_FULL().message,
  POSTBUS_OFF: new errors.OFF().message,
  POSTBUS_POOLER: new errors.POOLER().message,
  POSTBUS_NOT_LISTENING: new errors.NOT_LISTENING().message,
};
