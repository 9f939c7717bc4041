import type { Terms } from '../../reading/reader.js';

// Our clock and the database's part by so much, in microseconds, at the very most, from one answer to the next.
const margin = 5_000_000;

/** A tail, as its memory knows it. */
interface Remembered {
  /** About what it takes of the memory. */
  readonly bytes: number;
  forget(): void;
}

/**
 * What the tails of all feeds of a node have in common: the version of the settings that they are true of, a clock, and
 * the memory that they may take. Where that is full, those go first that were used longest ago.
 */
export class TailMemory {
  #version = -1;
  #bytes = 0;
  /** Database time, in microseconds, minus ours: at most this. */
  #ahead = Number.POSITIVE_INFINITY;
  readonly #byUse = new Set<Remembered>();

  constructor(private readonly maxBytes = 64 * 1024 * 1024) {}

  get bytes(): number {
    return this.#bytes;
  }

  /** What the database's clock shows, by its last answer. */
  get time(): number {
    return performance.now() * 1000 + this.#ahead;
  }

  /** Surely not before what the database's clock shows. */
  get latestTime(): number {
    return performance.now() * 1000 + this.#ahead + margin;
  }

  /** The settings have had this version. If it is a later one than was known, nothing that was kept is true any more. */
  learnVersion(version: number): void {
    if (version <= this.#version) return;
    this.forget();
    this.#version = version;
  }

  /** Whether what was said by settings of this version is still true. */
  isCurrent(version: number): boolean {
    return version === this.#version;
  }

  /** The database has answered with this version and this time. */
  learnTerms({ version, now, askedAt }: Terms): void {
    this.#ahead = now - askedAt * 1000;
    this.learnVersion(version);
  }

  /** Nothing is known any more, not even the version. */
  forget(): void {
    this.#version = -1;
    for (const tail of this.#byUse) tail.forget();
  }

  use(tail: Remembered): void {
    this.#byUse.delete(tail);
    this.#byUse.add(tail);
  }

  /** A tail has grown, or shrunk. */
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
