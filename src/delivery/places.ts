import type { Mark } from './marks.js';
import type { Source } from './source.js';

/** How far a feed had come in a past that is no more. */
export interface Former {
  /** The last id that it has dispatched; undefined if it had none. */
  lastId: number | undefined;
  /** Messages that were seen, by id: the one with the last id, and those that cursors have read beyond it. */
  marks: Map<number, Mark>;
  /** In microseconds of the database's clock: what was published later, the node has not heard of. */
  seenAt: number;
}

/** Where the readers of a feed go on in another past. Each id is looked up once. */
export class Places {
  readonly #found = new Map<number | undefined, Promise<number | null>>();

  constructor(
    private readonly former: Former,
    private readonly source: Pick<Source, 'findPlace'>,
    /** After an error: waits, and resolves to whether to ask again. */
    private readonly canRetry: (error: unknown, failures: number) => Promise<boolean>,
  ) {}

  /** Where the feed goes on; null where it stands. */
  get ofFeed(): Promise<number | null> {
    return this.#find(this.former.lastId);
  }

  /**
   * Where a reader at this id goes on; null where it stands. A cursor that has read beyond the feed may have read in the past
   * that is there now: if the last message that it got still is, nothing that it got comes again.
   */
  async of(position: number): Promise<number | null> {
    const { lastId = 0, marks } = this.former;
    if (position <= lastId || !marks.has(position)) return this.ofFeed;
    const [place, ofFeed] = await Promise.all([this.#find(position), this.ofFeed]);
    if (place !== null) return place;
    // The ids have overtaken those of before: it may have passed over what was published below the last id, and is told.
    return ofFeed !== null && ofFeed < lastId ? position : null;
  }

  #find(id: number | undefined): Promise<number | null> {
    const found = this.#found.get(id) ?? this.#ask(id);
    this.#found.set(id, found);
    return found;
  }

  async #ask(id: number | undefined): Promise<number | null> {
    const { marks, seenAt } = this.former;
    const mark = id === undefined ? undefined : marks.get(id);
    for (let failures = 1; ; failures++) {
      try {
        return await this.source.findPlace(id, mark, seenAt);
      } catch (error) {
        if (!(await this.canRetry(error, failures))) return null;
      }
    }
  }
}
