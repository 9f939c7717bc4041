import type { Terms } from '../reading/reader.js';
import type { Tail } from './tail.js';

// Our clock and the database's part by so much, in microseconds, at the very most, from one answer to the next.
const margin = 5_000_000;

/**
 * What the tails of all feeds of a node have in common: the version of the settings that they are true of, a clock, and
 * the memory that they may take. Where that is full, those go first that were used longest ago.
 */
export class Tails {
  #version = -1;
  #bytes = 0;
  /** Database time, in microseconds, minus ours: at most this. */
  #ahead = Number.POSITIVE_INFINITY;
  readonly #byUse = new Set<Tail>();

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

  /** Whether something said by settings of this version holds. News of later settings end all that was known. */
  admits(version: number): boolean {
    if (version > this.#version) {
      this.forget();
      this.#version = version;
    }
    return version === this.#version;
  }

  /** The same, of an answer of the database. */
  admitsAnswer({ version, now, askedAt }: Terms): boolean {
    this.#ahead = now - askedAt * 1000;
    return this.admits(version);
  }

  /** Nothing is known any more, not even the version. */
  forget(): void {
    this.#version = -1;
    for (const tail of this.#byUse) tail.forget();
  }

  use(tail: Tail): void {
    this.#byUse.delete(tail);
    this.#byUse.add(tail);
  }

  /** A tail has grown, or shrunk. */
  grow(tail: Tail, bytes: number): void {
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
