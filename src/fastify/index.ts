import type { FastifyInstance, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import type { Bus } from '../bus/bus.js';
import { errors } from '../foundation/errors.js';
import { Meter } from '../foundation/meter.js';
import { type DiagnosticsOptions, diagnostics } from './diagnostics.js';
import { addExtraHeaders } from './extra-headers.js';
import { createErrorHandler } from './failures.js';
import { type PostbusOptions, type Settings, toSettings } from './options.js';
import { StreamedAnswer, WholeAnswer } from './polls/answers.js';
import { logDenials } from './polls/denials.js';
import { OpenAnswers } from './polls/open-answers.js';
import { ParkedPolls } from './polls/parked-polls.js';
import { Poll } from './polls/poll.js';
import { PollBudget } from './polls/poll-budget.js';
import { type PollRequest, parseForm, parseJson } from './polls/poll-request.js';
import { Shares } from './polls/turn-budget.js';
import { Connections } from './presence-hooks.js';
import { SilentConnections } from './silent-connections.js';
import { lookUp, type Visitor } from './viewer.js';

export type { ConnectedClient, ErrorReply, PostbusOptions } from './options.js';

declare module 'fastify' {
  interface FastifyInstance {
    messageBus: Bus;
  }
}

const maxClientIdLength = 255;
// To start a poll and to answer it may take 50 µs. What a publish waits for, its own request and the answers of Postgres,
// comes to a few turns of the event loop: with a thousand polls in each, publishers would wait longer than readers.
const pollsPerTurn = 64;
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
  // In a scope of their own: body parsers, errors and hooks do not reach the application's routes.
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
  const connections = new Connections(settings);
  const silent = new SilentConnections(app.server);
  const starts = new Shares(pollsPerTurn, () => budget.hasRoomToRead);
  budget.onRoomToRead = () => starts.resume();

  addBodyParsers(app, settings);
  const noteDenied = logDenials(app.log);
  app.setErrorHandler(createErrorHandler(settings.onError));
  let isClosing = false;
  // Here and in the parsers: with callbacks, for polls to make no promises.
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(headers);
    // It came on a connection that is still open. Fastify tells the client that this one will be closed.
    if (isClosing) return done(new errors.STOPPING());
    answers.add(reply.raw);
    done();
  });
  addExtraHeaders(app, settings.extraResponseHeadersLookup);
  app.addHook('onReady', async () => {
    // Polls are answered with the same error until it is mended.
    await bus.connect().catch((err) => app.log.error({ err }, 'the message bus is not connected'));
  });
  // Fastify waits for requests under way before it closes: let the parked ones go first.
  app.addHook('preClose', async () => {
    isClosing = true;
    silent.close();
    answers.endConnections();
    polls.endAll();
    await answers.drain();
  });

  // Fastify puts the prefix before them. A wildcard, because parameters have a length limit of their own.
  for (const url of ['/message-bus', '/message-bus/*']) {
    app.post<{ Body?: PollRequest; Querystring: { dlp?: string | string[] } }>(url, (request, reply) => {
      const clientId = toClientId(request);
      polled.mark();
      if (bus.isOff) throw new errors.OFF();
      // Hung up while hooks of the application were under way.
      if (!answers.has(reply.raw)) return;
      if (request.body?.denied) noteDenied(request.body.denied);
      const channels = request.body?.channels.size ?? 0;
      const wantsToWait = settings.longPollingEnabled && !mayNotWait(request.query.dlp);
      const share = budget.admit(channels, wantsToWait);
      // Given back with the answer if the poll never comes to its start.
      answers.bind(reply.raw, share);
      const start = ({ viewer, site }: Visitor) => {
        // Hung up meanwhile.
        if (!answers.has(reply.raw)) return;
        const streaming = wantsToWait && settings.chunkedEncodingEnabled && request.headers['dont-chunk'] === undefined;
        const poll = new Poll({
          dispatcher: bus.dispatcher,
          polls,
          // Neither sites nor ids of users hold a NUL: no client can pass for another user's, nor nobody for the user ''.
          client: `${site}\0${viewer.userId === null ? '' : `=${viewer.userId}`}\0${clientId}`,
          request: request.body ?? { channels: new Map(), sequence: 0 },
          viewer,
          filters: bus.clientFilters,
          site,
          share,
          streaming,
          answer: streaming ? new StreamedAnswer(reply) : new WholeAnswer(reply),
          onParked: connections.of(viewer, site, request),
        });
        // Not to be kept for as long as the poll waits.
        request.body = undefined;
        answers.bind(reply.raw, poll);
        if (polls.enter(poll)) poll.start();
        else poll.end();
      };
      const startSoon = (visitor: Visitor) =>
        starts.add(() => {
          try {
            start(visitor);
          } catch (error) {
            reply.send(error);
          }
        });
      const found = lookUp(request, clientId, settings);
      if (found instanceof Promise) found.then(startSoon, (error) => reply.send(error));
      else startSoon(found);
    });
    app.options(url, (request, reply) => {
      toClientId(request);
      reply.header('allow', 'POST, OPTIONS').send();
    });
  }
}

/** `dlp=t`, given once or more often. */
function mayNotWait(dlp: string | string[] | undefined): boolean {
  return dlp === 't' || (Array.isArray(dlp) && dlp.includes('t'));
}

/** The first part of the path after `message-bus`; what follows is of no meaning. */
function toClientId({ params, raw, routeOptions }: FastifyRequest): string {
  const path = typeof params === 'object' && params !== null && '*' in params ? String(params['*']) : '';
  const end = path.indexOf('/');
  let clientId = end < 0 ? path : path.slice(0, end);
  // Fastify has decoded the whole path: a slash may be a part of the client id.
  if (end >= 0 && /%2f/i.test(raw.url ?? '')) {
    const place = (routeOptions.url ?? '').split('/').length - 1;
    clientId = decodeURIComponent(raw.url?.split('?', 1)[0]?.replace(/\/+/g, '/').split('/')[place] ?? '');
  }
  if (clientId === '') throw new errors.NO_CLIENT_ID();
  if (clientId.length > maxClientIdLength) throw new errors.BAD_CLIENT_ID(maxClientIdLength);
  return clientId;
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
