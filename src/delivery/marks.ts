/** By what a message is recognized. */
export interface Mark {
  globalId: number;
  expires: number;
}

const maxAhead = 100;

/** The messages at which the readers of a feed stand: the last one that it has dispatched, and later ones that cursors have read. */
export class Marks {
  /** Raised whenever the feed, or a cursor that reads beyond it, has come to another place. */
  progress = 0;
  /** 0: the last message was not seen here. */
  #globalId = 0;
  #expires = 0;
  /** The last message of each read beyond the feed's last id, by id, the latest reads alone; undefined for none. */
  #ahead: Map<number, Mark> | undefined;

  /** The feed stands at this id now; `message` has it, if it was seen. */
  stand(lastId: number, message: Mark | undefined): void {
    this.progress++;
    this.#globalId = message?.globalId ?? 0;
    this.#expires = message?.expires ?? 0;
    if (this.#ahead === undefined) return;
    for (const id of this.#ahead.keys()) if (id <= lastId) this.#ahead.delete(id);
    if (this.#ahead.size === 0) this.#ahead = undefined;
  }

  /** A cursor has read this message last, and the feed has not heard of it. */
  note(id: number, { globalId, expires }: Mark): void {
    this.progress++;
    this.#ahead ??= new Map();
    const [oldest] = this.#ahead.keys();
    if (oldest !== undefined && this.#ahead.size >= maxAhead) this.#ahead.delete(oldest);
    this.#ahead.set(id, { globalId, expires });
  }

  /** Moves what is known to `marks`, for a feed that stood at this id; undefined: nowhere. */
  moveTo(marks: Map<number, Mark>, lastId: number | undefined): void {
    if (lastId !== undefined && this.#globalId !== 0) {
      marks.set(lastId, { globalId: this.#globalId, expires: this.#expires });
    }
    for (const [id, mark] of this.#ahead ?? []) marks.set(id, mark);
    this.#ahead = undefined;
  }
}
