import type { Terms } from '../../reading/reader.js';

// Assumed upper bound of clock drift between two database answers, in µs.
const margin = 5_000_000;

/** A tail, as TailMemory sees it. */
interface Remembered {
  /** About how many bytes the tail takes. */
  readonly bytes: number;
  forget(): void;
}

/**
 * What the tails of all feeds of a node share: the version of the settings under which they are true, a clock, and a
 * limit of memory. If the limit is reached, the tails that were used longest ago are forgotten first.
 */
export class TailMemory {
  #version = -1;
  #bytes = 0;
  /** Upper bound of the database's clock minus ours, in µs. */
  #ahead = Number.POSITIVE_INFINITY;
  readonly #byUse = new Set<Remembered>();

  constructor(private readonly maxBytes = 64 * 1024 * 1024) {}

  get bytes(): number {
    return this.#bytes;
  }

  /** The database's clock in µs, reckoned from its last answer. */
  get time(): number {
    return performance.now() * 1000 + this.#ahead;
  }

  /** Upper bound of the database's clock, in µs. */
  get latestTime(): number {
    return performance.now() * 1000 + this.#ahead + margin;
  }

  /**
   * Called with a version that the settings have had. If it is later than the known one, no tail is true any more, and
   * all are forgotten.
   */
  learnVersion(version: number): void {
    if (version <= this.#version) return;
    this.forget();
    this.#version = version;
  }

  /** True if what was said under this version of the settings is still true. */
  isCurrent(version: number): boolean {
    return version === this.#version;
  }

  /** Called with the version and the time of a database answer. */
  learnTerms({ version, now, askedAt }: Terms): void {
    this.#ahead = now - askedAt * 1000;
    this.learnVersion(version);
  }

  /** Forgets everything, also the version. */
  forget(): void {
    this.#version = -1;
    for (const tail of this.#byUse) tail.forget();
  }

  use(tail: Remembered): void {
    this.#byUse.delete(tail);
    this.#byUse.add(tail);
  }

  /** Called when a tail has grown by this number of bytes, or shrunk if it is negative. */
  grow(tail: Remembered, bytes: number): void {
    this.#bytes += bytes;
    if (tail.bytes === 0) this.#byUse.delete(tail);
    else if (bytes > 0) this.#byUse.add(tail);
    if (this.#bytes <= this.maxBytes) return;
    for (const oldest of this.#byUse) {
      oldest.forget();
      if (this.#bytes <= this.maxBytes) return;
    }
  }
}
