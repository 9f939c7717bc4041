import type { FastifyReply, FastifyRequest } from 'fastify';
import { errors } from '../foundation/errors.js';
import type { Meter } from '../foundation/meter.js';
import { clientIdOf } from './client-id.js';
import type { Settings } from './options.js';
import { StreamedAnswer, WholeAnswer } from './polls/answers.js';
import type { OpenAnswers } from './polls/open-answers.js';
import type { ParkedPolls } from './polls/parked-polls.js';
import { Poll } from './polls/poll.js';
import type { PollBudget, Share } from './polls/poll-budget.js';
import type { PollRequest } from './polls/poll-request.js';
import { TurnBudget } from './polls/turn-budget.js';
import { PresenceHooks } from './presence-hooks.js';
import { lookUp, type Requester } from './viewer.js';

// To start a poll and to answer it may take 50 µs. What a publish waits for, its own request and the answers of Postgres,
// comes to a few turns of the event loop: with a thousand polls in each, publishers would wait longer than readers.
const pollsPerTurn = 64;

/** The types of a request that polls. */
export interface PollCall {
  Body?: PollRequest;
  Querystring: { dlp?: string | string[] };
}

export interface PollRouteOptions {
  settings: Settings;
  polls: ParkedPolls;
  budget: PollBudget;
  /** Counts polls. */
  polled: Meter;
  answers: OpenAnswers;
  /** Called with the channels of a poll that are refused, and why. */
  noteDenied: (denied: NonNullable<PollRequest['denied']>) => void;
}

/** What is known of a poll before it starts. */
interface Admitted {
  request: FastifyRequest<PollCall>;
  reply: FastifyReply;
  clientId: string;
  wantsToWait: boolean;
  share: Share;
}

/** Takes a poll from its request to its start: who asks, whether there is room for it, what it may see. */
export class PollRoute {
  readonly #hooks: PresenceHooks;
  readonly #starts: TurnBudget;

  constructor(private readonly options: PollRouteOptions) {
    const { settings, budget } = options;
    this.#hooks = new PresenceHooks(settings);
    this.#starts = new TurnBudget(pollsPerTurn, () => budget.hasRoomToRead);
    budget.onRoomToRead = () => this.#starts.resume();
  }

  handle(request: FastifyRequest<PollCall>, reply: FastifyReply): void {
    const { settings, answers, polled, noteDenied } = this.options;
    const clientId = clientIdOf(request);
    polled.mark();
    if (settings.bus.isOff) throw new errors.OFF();
    // Hung up while hooks of the application were under way.
    if (!answers.has(reply.raw)) return;
    if (request.body?.denied) noteDenied(request.body.denied);
    this.#identify(this.#admit(request, reply, clientId));
  }

  /** Asks the budget whether there is room. @throws POSTBUS_TOO_BUSY */
  #admit(request: FastifyRequest<PollCall>, reply: FastifyReply, clientId: string): Admitted {
    const { settings, budget, answers } = this.options;
    const wantsToWait = settings.longPollingEnabled && !isShort(request.query.dlp);
    const share = budget.admit(request.body?.channels.size ?? 0, wantsToWait);
    // Given back with the answer if the poll never comes to its start.
    answers.bind(reply.raw, share);
    return { request, reply, clientId, wantsToWait, share };
  }

  /** Asks the application who polls. Without a promise if its lookups have none: most applications' do not. */
  #identify(admitted: Admitted): void {
    const { request, reply, clientId } = admitted;
    const found = lookUp(request, clientId, this.options.settings);
    if (found instanceof Promise) {
      found.then(
        (requester) => this.#startSoon(admitted, requester),
        (error) => reply.send(error),
      );
    } else {
      this.#startSoon(admitted, found);
    }
  }

  #startSoon(admitted: Admitted, requester: Requester): void {
    this.#starts.add(() => {
      try {
        this.#start(admitted, requester);
      } catch (error) {
        admitted.reply.send(error);
      }
    });
  }

  #start({ request, reply, clientId, wantsToWait, share }: Admitted, { viewer, site }: Requester): void {
    const { settings, polls, answers } = this.options;
    const { dispatcher, clientFilters } = settings.internals;
    // Hung up meanwhile.
    if (!answers.has(reply.raw)) return;
    const streaming = wantsToWait && settings.chunkedEncodingEnabled && request.headers['dont-chunk'] === undefined;
    const poll = new Poll({
      dispatcher,
      polls,
      // Neither sites nor ids of users hold a NUL: no client can pass for another user's, nor nobody for the user ''.
      client: `${site}\0${viewer.userId === null ? '' : `=${viewer.userId}`}\0${clientId}`,
      request: request.body ?? { channels: new Map(), sequence: 0 },
      viewer,
      filters: clientFilters,
      site,
      share,
      streaming,
      answer: streaming ? new StreamedAnswer(reply) : new WholeAnswer(reply),
      onParked: this.#hooks.of(viewer, site, request),
    });
    // Not to be kept for as long as the poll waits.
    request.body = undefined;
    answers.bind(reply.raw, poll);
    if (polls.enter(poll)) poll.start();
    else poll.end();
  }
}

/** `dlp=t`, given once or more often. */
function isShort(dlp: string | string[] | undefined): boolean {
  return dlp === 't' || (Array.isArray(dlp) && dlp.includes('t'));
}
