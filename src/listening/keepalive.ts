import { randomUUID } from 'node:crypto';

export interface KeepaliveOptions {
  /** Ms between two beats; 0: no beats. */
  interval: number;
  /** Sends a beat through Postgres. If it comes back, hear() is to be called with it. */
  send: (beat: string) => Promise<unknown>;
  /**
   * Called once per start(): a beat came back, or none could be sent and the connection gets the benefit of the doubt.
   */
  onHeard: () => void;
  /** Called if a beat that was sent has not come to this connection, and never will. */
  onLost: () => void;
  /** Called if nothing came back for three intervals. */
  onMissed: () => void;
  onSendFailed: (error: unknown) => void;
}

export const missedBeatsAllowed = 3;

/** If a beat takes longer than this, it is not lost yet: the connection is asked then. */
const roundTripMs = 1_000;

/**
 * Finds out whether notifications reach this node. A connection can be up and answer queries, but bring no
 * notifications: for example behind a pooler that lends it to others in between. A new connection has to prove with a
 * beat that it brings them; from then on, three beats in a row may be missed. Intervals are counted, not time, because
 * a process that was stopped for a while has missed nothing.
 */
export class Keepalive {
  #timer: NodeJS.Timeout | undefined;
  #asking: NodeJS.Timeout | undefined;
  /**
   * Asks the connection a question. What Postgres sent to the connection earlier has come in by the time of the answer.
   */
  #ask: () => Promise<unknown> = async () => {};
  readonly #sent = new Set<string>();
  #unheard = 0;
  #sending: string | undefined;
  #hasFailed = false;
  #isHeard = false;

  constructor(private readonly options: KeepaliveOptions) {}

  /** True if a beat has come back on the present connection, or if no beat can be sent that would tell. */
  get isHeard(): boolean {
    return this.#isHeard;
  }

  /** Called when a new connection listens. `ask` puts a question to that connection, and resolves with its answer. */
  start(ask: () => Promise<unknown>): void {
    const { interval } = this.options;
    this.stop();
    if (interval === 0) {
      this.#trust();
      return;
    }
    this.#ask = ask;
    this.#timer = setInterval(() => this.#tick(), interval).unref();
    this.#tick();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#askNoMore();
    this.#sent.clear();
    this.#sending = undefined;
    this.#unheard = 0;
    this.#isHeard = false;
  }

  /** Called with a beat that came in, ours or another node's. */
  hear(beat: string): void {
    if (!this.#sent.has(beat)) return;
    this.#sent.clear();
    this.#unheard = 0;
    this.#trust();
  }

  #trust(): void {
    this.#askNoMore();
    if (this.#isHeard) return;
    this.#isHeard = true;
    this.options.onHeard();
  }

  #tick(): void {
    if (this.#unheard === missedBeatsAllowed) {
      this.stop();
      this.options.onMissed();
    } else {
      this.#unheard++;
      // While the database hangs, only one beat waits for it.
      if (this.#sending === undefined) void this.#send();
    }
  }

  async #send(): Promise<void> {
    const beat = randomUUID();
    this.#sent.add(beat);
    this.#sending = beat;
    try {
      await this.options.send(beat);
      this.#hasFailed = false;
      if (this.#sent.has(beat) && !this.#isHeard) this.#askSoon(beat);
    } catch (error) {
      // A beat that was not sent says nothing of what arrives. So the connection is trusted until it reports its own
      // loss.
      if (this.#sent.delete(beat)) {
        this.#unheard = 0;
        if (!this.#hasFailed) this.options.onSendFailed(error);
        this.#hasFailed = true;
        this.#trust();
      }
    }
    if (this.#sending === beat) this.#sending = undefined;
  }

  /**
   * Asks the connection, a round trip after the beat was sent. A beat that was sent before the question and has not
   * come by the answer will never come.
   */
  #askSoon(beat: string): void {
    this.#asking ??= setTimeout(async () => {
      this.#asking = undefined;
      try {
        await this.#ask();
      } catch {
        return; // The listener finds out by itself that the connection is lost.
      }
      if (!this.#sent.has(beat)) return;
      this.stop();
      this.options.onLost();
    }, roundTripMs).unref();
  }

  #askNoMore(): void {
    clearTimeout(this.#asking);
    this.#asking = undefined;
  }
}
