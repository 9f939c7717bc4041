import { STATUS_CODES } from 'node:http';
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { createBus } from '../bus/create-bus.js';
import postbus, { type PostbusOptions } from '../fastify/index.js';
import { errors } from '../foundation/errors.js';
import { ThrottledLogByCode } from '../foundation/throttled-log.js';
import { browserScript } from './browser-script.js';
import { answerClientError, httpOptions, requestTimes } from './client-errors.js';
import { letInPagesOf } from './cors.js';
import { demo } from './demo/demo.js';
import { health } from './health.js';
import { checkHosts } from './host-check.js';
import { logging } from './log.js';

export interface ServerOptions {
  connectionString: string;
  /** URL for the listening connection, if LISTEN does not work with `connectionString`. */
  listenConnectionString?: string | undefined;
  schema: string;
  /** Serve the chat page, on which everybody can publish. `embedded`: the database is the server's own one. */
  demo?: { embedded: boolean } | undefined;
  /** Origins whose pages may poll; `*` for all. Default: none. */
  corsOrigins?: readonly string[] | undefined;
  /** Hosts that requests may name besides this machine's own; `*` for all. Undefined: hosts are not checked. */
  hosts?: readonly string[] | undefined;
  limits?: Pick<PostbusOptions, 'maxActiveClients' | 'maxWaitingChannels' | 'maxChannels' | 'bodyLimit'> | undefined;
  /** Log level of pino, which logs to stderr. */
  logLevel: string;
}

/**
 * Creates the standalone server, ready to listen: anonymous polls, health checks, and the demo if wanted. Its close()
 * closes its bus.
 */
export async function createServer(options: ServerOptions, times = requestTimes): Promise<FastifyInstance> {
  const { connectionString, listenConnectionString, schema } = options;
  const answerError = createErrorHandler();
  const app = Fastify({
    logger: logging(options.logLevel),
    // Limits for the time in which a request arrives, not for its answer.
    http: httpOptions(times),
    requestTimeout: times.request,
    clientErrorHandler: answerClientError,
    // Fastify's own answer during a stop has no code, so the plugin and the health check refuse requests instead.
    return503OnClosing: false,
    // Fastify runs no hook for a path that cannot be decoded, so the header is set here.
    frameworkErrors: (error, request, reply) => answerError(error, request, noSniff(reply)),
    // Fastify would convert values and remove unknown keys: refuse them instead.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
  });
  const bus = createBus({ connectionString, listenConnectionString, schema, logger: app.log });
  app.addHook('onClose', () => bus.close());
  // Node would refuse an unknown Expect header, with an answer without a code. HTTP allows a server to ignore it.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.addHook('onRequest', ({ raw }, reply, done) => {
    noSniff(reply);
    done(raw.headers.host === undefined && raw.httpVersion === '1.1' ? new errors.BAD_REQUEST() : undefined);
  });
  if (options.hosts) checkHosts(app, options.hosts);
  app.setErrorHandler(answerError);
  app.setNotFoundHandler(() => {
    throw new errors.NO_ROUTE();
  });
  await app.register(postbus, {
    ...options.limits,
    bus,
    extraResponseHeadersLookup: letInPagesOf(options.corsOrigins),
  });
  await app.register(health, { bus });
  await app.register(browserScript);
  if (options.demo) await app.register(demo, { bus, connectionString, schema, embedded: options.demo.embedded });
  return app;
}

function noSniff(reply: FastifyReply): FastifyReply {
  return reply.header('x-content-type-options', 'nosniff');
}

/**
 * Returns the error handler. An error of the client (4xx) is sent as it is; any other is logged, and the client gets
 * POSTBUS_NOT_NOW.
 */
function createErrorHandler() {
  const failures = new ThrottledLogByCode<FastifyRequest>((err, count, request) =>
    request.log.error({ err, count }, 'a request failed'),
  );
  return (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
    let told = error;
    if ((error.statusCode ?? 500) >= 500) {
      failures.report(error, request);
      told = new errors.NOT_NOW();
    }
    const statusCode = told.statusCode ?? 500;
    const { code, message } = told;
    reply.code(statusCode).send({ statusCode, code, error: STATUS_CODES[statusCode], message });
  };
}
