import { randomUUID } from 'node:crypto';

export interface KeepaliveOptions {
  /** Ms; 0: none. */
  interval: number;
  /** Sends a sign of life through Postgres; it comes back by hear(). */
  send: (beat: string) => Promise<unknown>;
  /** Something came back, or nothing can be said: once a start(). */
  onHeard: () => void;
  /** What was sent does not come to this connection, and never will. */
  onLost: () => void;
  /** After that, nothing came back for three intervals. */
  onMissed: () => void;
  onSendFailed: (error: unknown) => void;
}

export const missedBeatsAllowed = 3;

/** What takes longer is not lost yet: then the connection is asked. */
const roundTripMs = 1_000;

/**
 * Finds out whether what is sent through Postgres arrives: a connection can be up, answer queries and bring no
 * notifications, behind a pooler that gives it to others in between. A new connection has to prove that it does; from then
 * on, three in a row may be missed. Counts intervals, not time: a process that was stopped for a while has missed nothing.
 */
export class Keepalive {
  #timer: NodeJS.Timeout | undefined;
  #asking: NodeJS.Timeout | undefined;
  /** Has the connection answer: what was sent to it earlier has come in by then. */
  #ask: () => Promise<unknown> = async () => {};
  readonly #sent = new Set<string>();
  #unheard = 0;
  #sending: string | undefined;
  #hasFailed = false;
  #isHeard = false;

  constructor(private readonly options: KeepaliveOptions) {}

  /** Whether what was sent has come back on the present connection, or nothing can be said. */
  get isHeard(): boolean {
    return this.#isHeard;
  }

  /** There is a connection that should hear. */
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

  /** A sign of life came: ours, or another node's. */
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
      // Where the database hangs, it is asked once.
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
      // What was not sent says nothing of what arrives: then the word of the connection counts.
      if (this.#sent.delete(beat)) {
        this.#unheard = 0;
        if (!this.#hasFailed) this.options.onSendFailed(error);
        this.#hasFailed = true;
        this.#trust();
      }
    }
    if (this.#sending === beat) this.#sending = undefined;
  }

  /** A beat that was sent before the question and has not come with the answer does not come at all. */
  #askSoon(beat: string): void {
    this.#asking ??= setTimeout(async () => {
      this.#asking = undefined;
      try {
        await this.#ask();
      } catch {
        return; // What has become of the connection is not for us to tell.
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
