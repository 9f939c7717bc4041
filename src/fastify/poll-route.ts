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

// Starting and answering a poll may take 50 µs. A publish waits for a few turns of the event loop: those of its own
// request and of Postgres' answers. With a thousand polls in each turn, publishers would wait longer than readers.
const pollsPerTurn = 64;

/** The types of a poll's request, for Fastify. */
export interface PollCall {
  Body?: PollRequest;
  Querystring: { dlp?: string | string[] };
}

export interface PollRouteOptions {
  settings: Settings;
  polls: ParkedPolls;
  budget: PollBudget;
  /** Counts the polls that came in. */
  polled: Meter;
  answers: OpenAnswers;
  /** Called with the channels that a poll is refused, and the reason for each. */
  noteDenied: (denied: NonNullable<PollRequest['denied']>) => void;
}

/** A poll that the budget has admitted and that has not started. */
interface Admitted {
  request: FastifyRequest<PollCall>;
  reply: FastifyReply;
  clientId: string;
  wantsToWait: boolean;
  share: Share;
}

/**
 * Takes a poll from its request to its start: checks whether there is room for it, asks the application who polls, and
 * finds out what the poll may see.
 */
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
    // The client hung up while hooks of the application were running.
    if (!answers.has(reply.raw)) return;
    if (request.body?.denied) noteDenied(request.body.denied);
    this.#identify(this.#admit(request, reply, clientId));
  }

  /** Takes the poll's share of the budget. @throws POSTBUS_TOO_BUSY if there is no room */
  #admit(request: FastifyRequest<PollCall>, reply: FastifyReply, clientId: string): Admitted {
    const { settings, budget, answers } = this.options;
    const wantsToWait = settings.longPollingEnabled && !isShort(request.query.dlp);
    const share = budget.admit(request.body?.channels.size ?? 0, wantsToWait);
    // If the poll never starts, the share is given back when the answer closes.
    answers.bind(reply.raw, share);
    return { request, reply, clientId, wantsToWait, share };
  }

  /**
   * Asks the application who polls. Makes no promise unless a lookup is async, because in most applications none is.
   */
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
    // The client hung up while the lookups ran.
    if (!answers.has(reply.raw)) return;
    const streaming = wantsToWait && settings.chunkedEncodingEnabled && request.headers['dont-chunk'] === undefined;
    const poll = new Poll({
      dispatcher,
      polls,
      // Neither sites nor user ids can hold a NUL, so no client can pass for another user's. The = tells the user with
      // the id '' from nobody.
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
    // The body need not stay in memory while the poll waits.
    request.body = undefined;
    answers.bind(reply.raw, poll);
    if (polls.enter(poll)) poll.start();
    else poll.end();
  }
}

/** True if the query has `dlp=t`, once or among several values. */
function isShort(dlp: string | string[] | undefined): boolean {
  return dlp === 't' || (Array.isArray(dlp) && dlp.includes('t'));
}
