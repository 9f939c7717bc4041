import { codedError } from '../database/coded-error.js';
import type { Database } from '../database/database.js';
import type { Dispatcher } from '../delivery/dispatcher.js';
import { errors, isPostbusError } from '../foundation/errors.js';
import type { Logger } from '../foundation/logger.js';
import { Meter } from '../foundation/meter.js';
import { ThrottledLog } from '../foundation/throttled-log.js';
import { noticeTrace } from '../foundation/trace.js';
import type { BusEventEmitter } from './events.js';
import { Keepalive, missedBeatsAllowed } from './keepalive.js';
import { Listener } from './listener.js';
import { Lookout } from './lookout.js';
import { NotifyQueue } from './notify-queue.js';
import { parsePayload } from './payload.js';
import { Peers } from './peers.js';

export interface ListeningOptions {
  database: Database;
  dispatcher: Dispatcher;
  logger: Logger;
  events: BusEventEmitter;
  /** The name of this node. */
  node: string;
  /**
   * Work that a node does while it listens: started and stopped with the connection, and woken when the settings have
   * changed.
   */
  whileListening: { start(): void; stop(): void; wake(): void };
  /** Ms between two beats; 0: no beats. */
  keepaliveInterval: number;
}

/**
 * Listens for notifications, verifies them and hands them to the dispatcher. Knows whether notifications come in, from
 * the connection and from the beats that it sends to itself.
 */
export class Listening {
  #listener: Listener | undefined;
  readonly #keepalive: Keepalive;
  readonly #queue: NotifyQueue;
  readonly #lookout: Lookout;
  readonly #forgeries: ThrottledLog;
  readonly #malformed: ThrottledLog;
  readonly received = new Meter();
  #key: Uint8Array | undefined;
  /** True while a connection listens. Payloads that a lost connection still brings in are ignored. */
  #isListening = false;
  /** Resolves when all waiting readers know their place in another past; undefined if no place is being looked for. */
  #beginning: Promise<void> | undefined;
  #outage: unknown;
  #isWanted = false;
  #isPaused = false;
  #closing: Promise<unknown> = Promise.resolve();
  #connections = 0;
  readonly #peers: Peers;

  constructor(private readonly options: ListeningOptions) {
    const { database, logger, keepaliveInterval } = options;
    this.#queue = new NotifyQueue(database, logger);
    this.#lookout = new Lookout({ database, dispatcher: options.dispatcher, onChanged: (error) => this.#drop(error) });
    this.#peers = new Peers(options.node, missedBeatsAllowed * keepaliveInterval);
    this.#forgeries = new ThrottledLog((count) =>
      logger.warn({ count }, 'ignored notifications that are not from this bus'),
    );
    this.#malformed = new ThrottledLog((count) =>
      logger.warn({ count }, 'ignored notifications that are signed but make no sense; is a node newer than this one?'),
    );
    this.#keepalive = new Keepalive({
      interval: keepaliveInterval,
      send: (beat) => {
        this.#peers.forgetSilent();
        return this.#sendBeat(beat);
      },
      onHeard: () => this.#recovered(),
      onLost: () => this.#giveUp(new errors.POOLER()),
      onMissed: () => this.#giveUp(new errors.DEAF(missedBeatsAllowed * keepaliveInterval)),
      onSendFailed: (err) => logger.warn({ err }, 'could not send a keepalive'),
    });
  }

  /** True if messages that any node publishes arrive in this process. */
  get isConnected(): boolean {
    return this.options.dispatcher.isConnected;
  }

  /**
   * Why `isConnected` is false, usually a PostbusError. Undefined while connected, and until a first attempt has
   * failed.
   */
  get outage(): unknown {
    return this.#outage;
  }

  /**
   * Throws if nothing arrives here although start() was called. @throws POSTBUS_NOT_LISTENING, or a code that says more
   */
  checkHearing(): void {
    if (this.isConnected || !this.#isWanted) return;
    // These two say no more than that a connection was lost and is made anew.
    const isLoss = this.#outage instanceof errors.CONNECTION_LOST || this.#outage instanceof errors.DEAF;
    throw isPostbusError(this.#outage) && !isLoss ? this.#outage : new errors.NOT_LISTENING();
  }

  get snapshot() {
    const { keepaliveInterval } = this.options;
    return { connections: this.#connections, keepaliveInterval, heardItselfAt: this.#peers.heardItselfAt };
  }

  /** The other nodes whose last beat is no older than three of our own intervals. */
  otherNodes(): { node: string; heardAt: string }[] {
    return this.#peers.list();
  }

  start(): void {
    this.#isWanted = true;
    if (!this.#isPaused) this.#listen();
  }

  /** Gives the connection up, until resume(). */
  pause(): void {
    this.#isPaused = true;
    this.options.dispatcher.isOff = true;
    // Detach the old listener first: whatever it reports while it is closing is ignored.
    const listener = this.#listener;
    this.#listener = undefined;
    this.#closing = Promise.all([this.#closing, listener?.close()]);
    this.#lost(new errors.OFF());
  }

  resume(): void {
    this.#isPaused = false;
    this.options.dispatcher.isOff = false;
    if (this.#isWanted) this.#listen();
  }

  async close(): Promise<void> {
    this.options.whileListening.stop();
    this.#lookout.stop();
    this.#keepalive.stop();
    this.#queue.stop();
    const closed = new errors.CLOSED();
    if (this.#isWanted && this.#outage === undefined) this.options.events.tell('disconnected', closed);
    this.#outage = closed;
    await Promise.all([this.#closing, this.#listener?.close()]);
    this.#keepalive.stop();
  }

  #listen(): void {
    if (this.#listener) return;
    const ifCurrent =
      <Args extends unknown[]>(act: (...args: Args) => void) =>
      (...args: Args): void => {
        if (this.#listener === listener) act(...args);
      };
    const listener = new Listener({
      newConnection: () => this.options.database.postgres.newListeningConnection(),
      channel: () => this.#prepare(),
      onPayload: ifCurrent((payload) => this.#receive(payload)),
      onConnected: ifCurrent((connection) => {
        this.#connections++;
        this.#isListening = true;
        this.#lookout.start(connection);
        this.#keepalive.start(() => connection.ask());
        this.options.whileListening.start();
      }),
      onDisconnected: ifCurrent((error) => this.#lost(codedError(error, this.options.database.schema))),
    });
    this.#listener = listener;
    listener.start();
  }

  /** Called if the past may be another one. */
  doubt(): void {
    this.#lookout.doubt();
  }

  /** Checks that the bus is there. @throws POSTBUS_NO_SCHEMA, or the error that keeps the database from answering */
  async check(): Promise<void> {
    await this.#lookout.check();
  }

  /**
   * Called before a connection listens. Asks the database for the NOTIFY channel, which is a secret kept there together
   * with the key that signs payloads, and whether the past is still the one that waiting readers know.
   */
  async #prepare(): Promise<string> {
    const { state, seenAt } = await this.#lookout.prepare();
    if (seenAt !== undefined) this.#beginAnew(seenAt);
    this.#key = state.notifyKey;
    return state.notifyChannel;
  }

  #beginAnew(seenAt: number): void {
    const { dispatcher, logger } = this.options;
    const isKnown = this.#outage instanceof errors.ANOTHER_PAST;
    const err = isKnown ? this.#outage : new errors.ANOTHER_PAST();
    if (!isKnown) logger.warn({ err }, 'the past of the bus is another one');
    this.#outage = err;
    const beginning = dispatcher.beginAnew(seenAt).then(() => {
      if (this.#beginning !== beginning) return;
      this.#beginning = undefined;
      if (this.#keepalive.isHeard) this.#recovered();
    });
    this.#beginning = beginning;
  }

  #drop(error: Error): void {
    this.#lost(error);
    this.#listener?.drop(error);
  }

  async #sendBeat(beat: string): Promise<void> {
    const { database } = this.options;
    try {
      const [row] = await database.read<{ usage: number }>(
        `select ${database.name('keepalive')}($1, $2), pg_notification_queue_usage() as usage`,
        [this.options.node, beat],
      );
      this.#queue.observe(row?.usage ?? 0);
    } catch (error) {
      if (error instanceof errors.NOTIFY_QUEUE_FULL) this.#queue.observe(1);
      throw error;
    }
  }

  #recovered(): void {
    if (this.#beginning || this.isConnected) return;
    this.options.dispatcher.connected();
    // Logged at the level of the outage, so that whoever reads of the outage also reads of its end. off() is not an
    // outage.
    if (this.#outage !== undefined && !(this.#outage instanceof errors.OFF)) {
      this.options.logger.warn({}, 'connected again: messages arrive here');
    }
    this.#outage = undefined;
    this.#listener?.trust();
    this.options.events.tell('connected');
  }

  #lost(error: unknown): void {
    this.options.dispatcher.disconnected();
    this.#isListening = false;
    this.#lookout.stop();
    this.#keepalive.stop();
    this.options.whileListening.stop();
    // Report each outage once. Exception: POSTBUS_POOLER, which retrying cannot fix, replaces an earlier, transient
    // reason.
    const isKnown = this.#outage !== undefined;
    if (isKnown && (!(error instanceof errors.POOLER) || this.#outage instanceof errors.POOLER)) return;
    this.#outage = error;
    if (!this.#isPaused) this.options.logger.warn({ err: error }, 'not listening to Postgres; trying again');
    if (!isKnown) this.options.events.tell('disconnected', error);
  }

  /** Replaces the connection, and reads from the tables what it failed to deliver. */
  #giveUp(error: Error): void {
    this.#lost(error);
    this.options.dispatcher.catchUp();
    this.#listener?.drop(error);
  }

  #receive(payload: string): void {
    if (!this.#isListening) return;
    const content = this.#key && parsePayload(payload, this.#key);
    if (content === undefined) {
      if (noticeTrace.isOn) noticeTrace.tell({ event: 'ignored', reason: 'forged' });
      this.#forgeries.report();
    } else if (content === 'malformed') {
      if (noticeTrace.isOn) noticeTrace.tell({ event: 'ignored', reason: 'malformed' });
      this.#malformed.report();
      this.#lookout.miss();
    } else if (Array.isArray(content)) {
      this.received.mark(content.length);
      this.#lookout.announce(content);
    } else if ('version' in content) {
      this.options.dispatcher.changed(content.version);
      this.options.whileListening.wake();
      // Also sent when tables were emptied, and when the key changes: for the last time on the old NOTIFY channel.
      this.#lookout.doubt();
    } else {
      this.#peers.hear(content.node);
      this.#keepalive.hear(content.beat);
    }
  }
}
