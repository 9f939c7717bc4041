/** What a message is recognized by in another past: its global id, and when it expires (µs, database clock). */
export interface Mark {
  globalId: number;
  expires: number;
}

const maxAhead = 100;

/**
 * The marks of the messages at which the readers of a feed stand: the last one that the feed has dispatched, and later
 * ones that cursors have read.
 */
export class Marks {
  /** Raised whenever the feed moves, or a cursor reads beyond it. */
  progress = 0;
  /** 0: this node has not seen the last message. */
  #globalId = 0;
  #expires = 0;
  /**
   * The last message of each read beyond the feed's last id, by id, of the latest reads only. Undefined if there are
   * none.
   */
  #ahead: Map<number, Mark> | undefined;

  /** Called when the feed stands at this id; `message` is the message with this id, if it was seen. */
  stand(lastId: number, message: Mark | undefined): void {
    this.progress++;
    this.#globalId = message?.globalId ?? 0;
    this.#expires = message?.expires ?? 0;
    if (this.#ahead === undefined) return;
    for (const id of this.#ahead.keys()) if (id <= lastId) this.#ahead.delete(id);
    if (this.#ahead.size === 0) this.#ahead = undefined;
  }

  /** Called when a cursor has read up to this message, and the feed has had no notice of it. */
  note(id: number, { globalId, expires }: Mark): void {
    this.progress++;
    this.#ahead ??= new Map();
    const [oldest] = this.#ahead.keys();
    if (oldest !== undefined && this.#ahead.size >= maxAhead) this.#ahead.delete(oldest);
    this.#ahead.set(id, { globalId, expires });
  }

  /** Moves all marks to `marks`. `lastId` is where the feed stood; undefined: nowhere. */
  moveTo(marks: Map<number, Mark>, lastId: number | undefined): void {
    if (lastId !== undefined && this.#globalId !== 0) {
      marks.set(lastId, { globalId: this.#globalId, expires: this.#expires });
    }
    for (const [id, mark] of this.#ahead ?? []) marks.set(id, mark);
    this.#ahead = undefined;
  }
}
