import type { FastifyInstance, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import type { Bus } from '../bus/bus.js';
import { errors } from '../foundation/errors.js';
import { Meter } from '../foundation/meter.js';
import { clientIdOf } from './client-id.js';
import { type DiagnosticsOptions, diagnostics } from './diagnostics.js';
import { addExtraHeaders } from './extra-headers.js';
import { createErrorHandler } from './failures.js';
import { type PostbusOptions, type Settings, toSettings } from './options.js';
import { type PollCall, PollRoute } from './poll-route.js';
import { logDenials } from './polls/denials.js';
import { OpenAnswers } from './polls/open-answers.js';
import { ParkedPolls } from './polls/parked-polls.js';
import { PollBudget } from './polls/poll-budget.js';
import { type PollRequest, parseForm, parseJson } from './polls/poll-request.js';
import { SilentConnections } from './silent-connections.js';

export type { ConnectedClient, ErrorReply, PostbusOptions } from './options.js';

declare module 'fastify' {
  interface FastifyInstance {
    messageBus: Bus;
  }
}

const headers = {
  'x-content-type-options': 'nosniff',
  'cache-control': 'must-revalidate, private, max-age=0',
  pragma: 'no-cache',
  expires: '0',
};

/** Serves polls of the message_bus protocol, and decorates the application with the bus. */
async function postbus(app: FastifyInstance, options: PostbusOptions): Promise<void> {
  const settings = toSettings(options);
  if (app.hasDecorator('messageBus')) throw new errors.REGISTERED_TWICE();
  app.decorate('messageBus', settings.bus);
  // The routes have a scope of their own, so that their body parsers, error handler and hooks do not affect the
  // application's routes.
  const { scope } = settings;
  const polls = new ParkedPolls(settings.longPollingInterval);
  const budget = new PollBudget(settings);
  const polled = new Meter();
  await app.register(routes, { ...scope, settings, polls, budget, polled });
  await app.register(diagnostics, { ...scope, settings, budget, polled });
}

interface RoutesOptions extends DiagnosticsOptions {
  polls: ParkedPolls;
}

async function routes(app: FastifyInstance, { settings, polls, budget, polled }: RoutesOptions): Promise<void> {
  const { bus } = settings;
  const answers = new OpenAnswers();
  const silent = new SilentConnections(app.server);

  addBodyParsers(app, settings);
  app.setErrorHandler(createErrorHandler(settings.onError));
  let isClosing = false;
  // This hook and the body parsers use callbacks, because async ones would make a promise for each poll.
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(headers);
    // The request came on a connection that is still open. Fastify tells the client that this connection will be
    // closed.
    if (isClosing) return done(new errors.STOPPING());
    answers.add(reply.raw);
    done();
  });
  addExtraHeaders(app, settings.extraResponseHeadersLookup);
  app.addHook('onReady', async () => {
    // While the connection fails, polls are answered with the same error.
    await bus.connect().catch((err) => app.log.error({ err }, 'the message bus is not connected'));
  });
  // Fastify waits for requests under way before it closes, so parked polls are ended first.
  app.addHook('preClose', async () => {
    isClosing = true;
    silent.close();
    answers.endConnections();
    polls.endAll();
    await answers.drain();
  });

  const route = new PollRoute({ settings, polls, budget, polled, answers, noteDenied: logDenials(app.log) });
  // Fastify adds the prefix. The path ends with a wildcard, because Fastify limits the length of a parameter.
  for (const url of ['/message-bus', '/message-bus/*']) {
    app.post<PollCall>(url, (request, reply) => route.handle(request, reply));
    app.options(url, (request, reply) => {
      clientIdOf(request);
      reply.header('allow', 'POST, OPTIONS').send();
    });
  }
}

function addBodyParsers(app: FastifyInstance, { bodyLimit, maxChannels }: Settings): void {
  app.removeAllContentTypeParsers();
  const parse =
    (read: typeof parseForm) =>
    (_request: FastifyRequest, body: Buffer, done: (error: Error | null, parsed?: PollRequest) => void) => {
      let parsed: PollRequest;
      try {
        parsed = read(body, maxChannels);
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)));
        return;
      }
      done(null, parsed);
    };
  const options = { parseAs: 'buffer', bodyLimit } as const;
  app.addContentTypeParser<Buffer>('application/x-www-form-urlencoded', options, parse(parseForm));
  app.addContentTypeParser<Buffer>('application/json', options, parse(parseJson));
}

export default fastifyPlugin(postbus, { name: 'postbus', fastify: '5.x' });
