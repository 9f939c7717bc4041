import { randomUUID } from 'node:crypto';

export interface KeepaliveOptions {
  /** Ms; 0: none. */
  interval: number;
  /** Sends a sign of life through Postgres; it comes back by hear(). */
  send: (beat: string) => Promise<unknown>;
  /** Nothing came back for three intervals. */
  onMissed: () => void;
  /** After that, something came back, or nothing can be said. */
  onHeard: () => void;
  onSendFailed: (error: unknown) => void;
}

export const patience = 3;

/**
 * Finds out whether what is sent through Postgres arrives: a connection can be up, answer queries and bring no
 * notifications, behind a pooler that gives it to others in between. Counts intervals, not time: a process that was
 * stopped for a while has missed nothing.
 */
export class Keepalive {
  #timer: NodeJS.Timeout | undefined;
  readonly #sent = new Set<string>();
  #unheard = 0;
  #isSending = false;
  #hasFailed = false;
  #isDeaf = false;

  constructor(private readonly options: KeepaliveOptions) {}

  /** Since three were missed, until one comes back. */
  get isDeaf(): boolean {
    return this.#isDeaf;
  }

  /** There is a connection that should hear. */
  start(): void {
    const { interval } = this.options;
    this.stop();
    if (interval === 0) return;
    this.#timer = setInterval(() => this.#tick(), interval).unref();
    // Whether the new connection is better is known at once.
    if (this.#isDeaf) this.#tick();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#sent.clear();
    this.#unheard = 0;
  }

  /** A sign of life came: ours, or another node's. */
  hear(beat: string): void {
    if (!this.#sent.has(beat)) return;
    this.#sent.clear();
    this.#unheard = 0;
    this.#trust();
  }

  #trust(): void {
    if (!this.#isDeaf) return;
    this.#isDeaf = false;
    this.options.onHeard();
  }

  #tick(): void {
    if (this.#unheard === patience) {
      this.stop();
      this.#isDeaf = true;
      this.options.onMissed();
    } else {
      this.#unheard++;
      // Where the database hangs, it is asked once.
      if (!this.#isSending) void this.#send();
    }
  }

  async #send(): Promise<void> {
    const beat = randomUUID();
    this.#sent.add(beat);
    this.#isSending = true;
    try {
      await this.options.send(beat);
      this.#hasFailed = false;
    } catch (error) {
      // What was not sent says nothing of what arrives: then the word of the connection counts.
      if (this.#sent.delete(beat)) this.#unheard = 0;
      if (this.#timer) {
        if (!this.#hasFailed) this.options.onSendFailed(error);
        this.#hasFailed = true;
        this.#trust();
      }
    }
    this.#isSending = false;
  }
}
