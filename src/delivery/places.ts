import type { Mark } from './marks.js';
import type { Source } from './source.js';

/** How far a feed had come in a past that has ended. */
export interface Former {
  /** The last id that the feed has dispatched; undefined if there was none. */
  lastId: number | undefined;
  /** Marks of the messages that were seen, by id: of the last id, and of those that cursors have read beyond it. */
  marks: Map<number, Mark>;
  /** Messages published after this time (µs, database clock) are unknown to this node. */
  seenAt: number;
}

/** Finds where the readers of a feed go on in another past. Each id is looked up once. */
export class Places {
  readonly #found = new Map<number | undefined, Promise<number | null>>();

  constructor(
    private readonly former: Former,
    private readonly source: Pick<Source, 'findPlace'>,
    /** Called after an error: waits, and resolves to whether to ask again. */
    private readonly canRetry: (error: unknown, failures: number) => Promise<boolean>,
  ) {}

  /** The id after which the feed goes on; null: it stays where it stands. */
  get ofFeed(): Promise<number | null> {
    return this.#find(this.former.lastId);
  }

  /**
   * The id after which a reader at this id goes on; null: it stays where it stands. A cursor that has read beyond the
   * feed may have read in the new past: if the last message that it got is still the same, none that it got comes
   * again.
   */
  async of(position: number): Promise<number | null> {
    const { lastId = 0, marks } = this.former;
    if (position <= lastId || !marks.has(position)) return this.ofFeed;
    const [place, ofFeed] = await Promise.all([this.#find(position), this.ofFeed]);
    if (place !== null) return place;
    // The new past's ids have overtaken the old ones: the reader may have passed over messages below the last id. It
    // keeps its position, but is told that it was moved.
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
