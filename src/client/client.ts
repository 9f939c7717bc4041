import { Pace } from './pace.js';
import { Poll } from './poll.js';
import type { Callback, MessageCallback, PollPositions, WireMessage } from './positions.js';
import { ClientSettings } from './settings.js';
import { network, notePoll, page, shouldLeaveToOthers } from './tab.js';
import { startTimer, type Timer } from './timer.js';

export type ClientStatus = 'started' | 'paused' | 'stopped';

/** The state of a client, as `diagnostics()` shows it. */
export interface Diagnostics {
  status: ClientStatus;
  clientId: string;
  polls: number;
  failures: number;
  /** Failed polls in a row, up to now. */
  recentFailures: number;
  lastError: unknown;
  secondsSinceLastPoll: number | undefined;
  /** Number of messages that wait for the end of a pause. */
  held: number;
  callbacks: readonly Callback[];
}

// The rule of the server, which leaves out other channels.
const channelShape = /^(?!\/?__)\P{Cc}{1,255}$/u;
// If a pause holds back this many messages, there are no polls until it ends.
const maxHeld = 1_000;

/** A client of the message_bus protocol, for browsers and Node. */
export class MessageBusClient extends ClientSettings {
  /** All subscriptions, with their positions. */
  readonly callbacks: Callback[] = [];

  #clientId = createClientId();
  #state: 'new' | 'started' | 'stopped' = 'new';
  #isPaused = false;
  /** Messages that were received and have not been handed to their callbacks yet. */
  readonly #taken: [Callback, WireMessage][] = [];
  #isHandingOver = false;
  #poll: Poll | undefined;
  #polls = 0;
  readonly #warnedOf = new Set<string>();
  #lastPollAt: number | undefined;
  readonly #pace = new Pace(this);
  #timer: Timer | undefined;
  /** When the timer goes off, in ms of performance.now(). */
  #due = 0;

  /** A setting that is undefined keeps its default. @throws TypeError if there is no setting of that name */
  constructor(settings: { [Name in keyof ClientSettings]?: ClientSettings[Name] | undefined } = {}) {
    super();
    for (const [name, value] of Object.entries(settings))
      if (!Object.hasOwn(this, name)) throw new TypeError(`MessageBus: there is no setting ${name}`);
      else if (value !== undefined) Object.assign(this, { [name]: value });
  }

  /**
   * The id by which the server knows this client, for messages to it alone. Setting it throws a TypeError if the id is
   * empty, longer than 255 characters, or cannot be a part of a path.
   */
  get clientId(): string {
    return this.#clientId;
  }

  set clientId(id: string | number) {
    const name = `${id}`;
    // Browsers take `.` and `..` out of a path, encoded or not; half of a surrogate pair cannot be encoded.
    if (
      !/^(?!\.\.?$)[^\p{Cc}\p{Cs}]+$/u.test(name) ||
      name.length > 255 ||
      (typeof id !== 'string' && !Number.isSafeInteger(id))
    )
      throw new TypeError(`MessageBus: ${name} cannot be a client id`);
    this.#clientId = name;
  }

  /** Begins to poll, or goes on after stop(). */
  start(): void {
    if (this.#state === 'started') return;
    this.#state = 'started';
    page?.addEventListener('visibilitychange', this.#onVisibilityChange);
    network?.addEventListener?.('online', this.#onOnline);
    this.#schedule(0);
    this.#handOver();
  }

  /** Ends all polls, and calls no more callbacks. start() goes on from the same positions. */
  stop(): void {
    this.#state = 'stopped';
    page?.removeEventListener('visibilitychange', this.#onVisibilityChange);
    network?.removeEventListener?.('online', this.#onOnline);
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#abort();
  }

  /** Holds messages back until resume(). */
  pause(): void {
    this.#isPaused = true;
  }

  /** Hands over the messages that were held back, and goes on polling. */
  resume(): void {
    this.#isPaused = false;
    if (!this.#timer && !this.#poll) this.#schedule(0);
    this.#handOver();
  }

  /** 'paused' between pause() and resume(), even if the client is stopped, too. */
  status(): ClientStatus {
    if (this.#isPaused) return 'paused';
    return this.#state === 'started' ? 'started' : 'stopped';
  }

  /**
   * Calls `func` with the messages after `lastId`; -1, the default: from now on; -2: the last message and from now on;
   * and so on. Starts the client, unless it was stopped. Returns `func`, for unsubscribe().
   *
   * @throws TypeError if `channel` cannot be a channel, `func` is no function, or `lastId` is no whole number
   */
  subscribe<Data = unknown>(
    channel: string,
    func: MessageCallback<Data>,
    lastId?: number | null,
  ): MessageCallback<Data>;
  subscribe(channel: string, func: MessageCallback, lastId?: number | null): MessageCallback {
    if (typeof channel !== 'string' || !channelShape.test(channel))
      throw new TypeError(`MessageBus: ${channel} is not a channel`);
    if (typeof func !== 'function') throw new TypeError(`MessageBus: ${channel} needs a function to call`);
    const last_id = lastId ?? -1;
    if (!Number.isSafeInteger(last_id)) throw new TypeError(`MessageBus: ${channel} needs a whole number as lastId`);
    this.callbacks.push({ channel, func, last_id, isSettled: false });
    if (this.#state === 'new') this.start();
    this.#onSubscriptionChange();
    return func;
  }

  /**
   * Ends the subscriptions of a channel; with `func`, only those of this callback. A `*` at the end of `channel` stands
   * for any text. Returns whether a subscription was ended.
   */
  unsubscribe(channel: string, func?: MessageCallback<never> | null): boolean {
    const stem = channel.endsWith('*') ? channel.slice(0, -1) : undefined;
    const kept = this.callbacks.filter(
      (each) =>
        (stem === undefined ? each.channel !== channel : !each.channel.startsWith(stem)) ||
        (func && each.func !== func),
    );
    if (kept.length === this.callbacks.length) return false;
    this.callbacks.splice(0, this.callbacks.length, ...kept);
    this.#onSubscriptionChange();
    return true;
  }

  /** Writes the state of the client to the console, and returns it. */
  diagnostics(): Diagnostics {
    const { failures, recentFailures, lastError } = this.#pace;
    const diagnostics = {
      status: this.status(),
      clientId: this.clientId,
      polls: this.#polls,
      failures,
      recentFailures,
      lastError,
      secondsSinceLastPoll: this.#lastPollAt && (performance.now() - this.#lastPollAt) / 1_000,
      held: this.#taken.length,
      callbacks: this.callbacks,
    };
    console.log('MessageBus:', diagnostics);
    return diagnostics;
  }

  /** The poll under way; null between polls. `abort()` gives it up: the next one goes out after `minPollInterval`. */
  get longPoll(): { abort(): unknown } | null {
    const poll = this.#poll;
    return poll ? { abort: () => this.#poll === poll && this.#onSubscriptionChange() } : null;
  }

  /** Polls at once if the page is visible and no poll is under way. Called when the page is shown. */
  onVisibilityChange(): void {
    if (!page?.hidden && !this.#poll) this.#schedule(0);
  }

  readonly #onVisibilityChange = (): void => this.onVisibilityChange();

  /** When the network is back, replaces the poll: its connection may have died unnoticed, say while a laptop slept. */
  readonly #onOnline = (): void => {
    this.#abort();
    this.#schedule(this.minPollInterval);
  };

  #onSubscriptionChange(): void {
    if (this.#poll) {
      this.#abort();
      this.#schedule(this.minPollInterval);
    } else if (!this.#timer) {
      this.#schedule(0);
    } else if (this.#pace.recentFailures === 0) {
      this.#schedule(this.minPollInterval);
    }
  }

  /** Gives up the poll under way: whatever it still brings is ignored. */
  #abort(): void {
    this.#poll?.abort();
    this.#poll = undefined;
  }

  /** Plans the next poll in `ms`, unless one is planned sooner. */
  #schedule(ms: number): void {
    const now = performance.now();
    const delay = Math.max(ms, this.#pace.notBefore - now);
    const due = now + delay;
    if (this.#state !== 'started' || (this.#timer && this.#due <= due)) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = startTimer(() => this.#run(), delay);
  }

  async #run(): Promise<void> {
    this.#timer = undefined;
    this.#warnOfStrangers();
    if (this.callbacks.length === 0 || this.#taken.length >= maxHeld) return;
    if (shouldLeaveToOthers(this.minHiddenPollInterval)) {
      this.#schedule(500 + Math.random() * 500);
      return;
    }
    notePoll();
    this.#lastPollAt = performance.now();
    const poll = new Poll(this, this.callbacks, this.#pace.nextMode());
    this.#poll = poll;
    let failure: unknown;
    try {
      await poll.send(this.clientId, ++this.#polls, (messages, isOver) => {
        this.#receive(messages, poll.positions);
        // The last messages are handed over when the next poll is planned, because callbacks expect the client to be
        // between two polls.
        if (!isOver) this.#handOver();
      });
    } catch (error) {
      failure = error;
    }
    if (this.#poll === poll) {
      this.#poll = undefined;
      this.#schedule(failure === undefined ? this.#pace.afterAnswer(poll) : this.#pace.afterFailure(failure, poll));
    }
    this.#handOver();
  }

  /** Warns of properties that are no settings: without a warning, a misspelt setting would silently have no effect. */
  #warnOfStrangers(): void {
    const defaults = new ClientSettings();
    for (const name of Object.keys(this)) {
      if (name in defaults || name in Object.getPrototypeOf(this) || name === 'callbacks' || this.#warnedOf.has(name))
        continue;
      this.#warnedOf.add(name);
      console.warn(`MessageBus: ${name} is not a setting, and has no effect on the client.`);
    }
  }

  #receive(messages: WireMessage[], positions: PollPositions): void {
    this.#pace.recentFailures = 0;
    // Take all messages before calling any callback, because a callback may change what is subscribed.
    for (const message of messages) {
      if (message.channel === '/__status') positions.move(message.data);
      else for (const taker of positions.take(message)) this.#taken.push([taker, message]);
    }
  }

  #handOver(): void {
    // Otherwise callbacks that pause and resume would nest, as deep as there are messages.
    if (this.#isHandingOver) return;
    this.#isHandingOver = true;
    let handed = 0;
    for (const [callback, message] of this.#taken) {
      if (this.#state !== 'started' || this.#isPaused) break;
      handed++;
      if (this.callbacks.includes(callback)) void call(callback, message);
    }
    this.#taken.splice(0, handed);
    this.#isHandingOver = false;
  }
}

/** Starts the callback at once, even if it is async. What it throws is logged, and does not affect other callbacks. */
async function call(callback: Callback, { data, global_id, message_id }: WireMessage): Promise<void> {
  try {
    // Called as a method, so that `this` is the same as in the original client.
    await callback.func(data, global_id, message_id);
  } catch (error) {
    console.error(`MessageBus: a callback of ${callback.channel} failed.`, error);
  }
}

// Not randomUUID(), which pages without TLS lack.
function createClientId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
