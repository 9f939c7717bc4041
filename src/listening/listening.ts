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
  /** Work for a node that listens: started and stopped with that, and woken when the settings have changed. */
  whileListening: { start(): void; stop(): void; wake(): void };
  /** Ms; 0 for none. */
  keepaliveInterval: number;
}

/**
 * What NOTIFY brings in: listens for it, verifies it and hands it to the dispatcher. Knows whether anything comes in, by
 * the connection and by the signs of life that it sends itself.
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
  /** Whether a connection listens; what others still bring in is ignored. */
  #isListening = false;
  /** Resolves when all who wait know where they are in another past. */
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

  /** Whether what is published anywhere is heard of here. */
  get isConnected(): boolean {
    return this.options.dispatcher.isConnected;
  }

  /** Why it is not, as far as that is known. */
  get outage(): unknown {
    return this.#outage;
  }

  /** @throws why nothing is heard of here, if somebody has asked to listen. */
  checkHearing(): void {
    if (this.isConnected || !this.#isWanted) return;
    // That a connection was lost, and is made anew, is all that this says.
    const isLoss = this.#outage instanceof errors.CONNECTION_LOST || this.#outage instanceof errors.DEAF;
    throw isPostbusError(this.#outage) && !isLoss ? this.#outage : new errors.NOT_LISTENING();
  }

  get snapshot() {
    const { keepaliveInterval } = this.options;
    return { connections: this.#connections, keepaliveInterval, heardItselfAt: this.#peers.heardItselfAt };
  }

  /** Those whose signs of life came within the patience that we have with ourselves. */
  otherNodes(): { node: string; heardAt: string }[] {
    return this.#peers.list();
  }

  start(): void {
    this.#isWanted = true;
    if (!this.#isPaused) this.#listen();
  }

  /** Lets go of the connection, until resume(). */
  pause(): void {
    this.#isPaused = true;
    this.options.dispatcher.isOff = true;
    // Nothing of the old one counts any more, also where it takes its time to close.
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

  /** The past may be another one. */
  doubt(): void {
    this.#lookout.doubt();
  }

  /** Checks that the bus is there. @throws POSTBUS_NO_SCHEMA, and whatever keeps the database from answering */
  async check(): Promise<void> {
    await this.#lookout.check();
  }

  /**
   * Before a connection listens: asks for the NOTIFY channel, a secret kept in the database together with the key that
   * payloads are signed with, and whether the past is the one that those who wait know.
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
    // Logged at the level of the outage, so that whoever reads of that reads of its end. off() is none.
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
    // Once an outage; but for what no time will mend.
    const isKnown = this.#outage !== undefined;
    if (isKnown && (!(error instanceof errors.POOLER) || this.#outage instanceof errors.POOLER)) return;
    this.#outage = error;
    if (!this.#isPaused) this.options.logger.warn({ err: error }, 'not listening to Postgres; trying again');
    if (!isKnown) this.options.events.tell('disconnected', error);
  }

  /** Another connection may do better. What this one should have brought is read now. */
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
      // Said also when tables were emptied, and when the key is about to be another one.
      this.#lookout.doubt();
    } else {
      this.#peers.hear(content.node);
      this.#keepalive.hear(content.beat);
    }
  }
}
