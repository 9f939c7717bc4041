// Each power of two is divided into so many buckets: a quantile is exact to 1.6 %.
const resolutionBits = 6;
const resolution = 1 << resolutionBits;
const bucketCount = (32 - resolutionBits) * resolution;

export interface Quantiles {
  p50: number;
  p95: number;
  p99: number;
}

/** What is left of a histogram that another thread or process has handed over. */
export interface HistogramData {
  counts: Uint32Array;
  count: number;
}

/** Latencies, recorded in microseconds. */
export class Histogram implements HistogramData {
  readonly counts = new Uint32Array(bucketCount);
  count = 0;

  /** The histogram of several threads together. */
  static merge(parts: readonly HistogramData[]): Histogram {
    const merged = new Histogram();
    for (const part of parts) {
      merged.count += part.count;
      for (const [i, count] of part.counts.entries()) merged.counts[i] = (merged.counts[i] ?? 0) + count;
    }
    return merged;
  }

  add(microseconds: number): void {
    const value = Math.min(Math.max(microseconds, 0), 0x7fffffff) | 0;
    const bucket = bucketOf(value);
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.count++;
  }

  /** In milliseconds. NaN when nothing was recorded. */
  quantile(share: number): number {
    const wanted = Math.ceil(this.count * share);
    let seen = 0;
    for (const [bucket, count] of this.counts.entries()) {
      seen += count;
      if (count > 0 && seen >= wanted) return middleOf(bucket) / 1000;
    }
    return Number.NaN;
  }

  get quantiles(): Quantiles {
    return { p50: this.quantile(0.5), p95: this.quantile(0.95), p99: this.quantile(0.99) };
  }
}

function bucketOf(value: number): number {
  if (value < resolution) return value;
  const shift = 31 - Math.clz32(value) - resolutionBits;
  return shift * resolution + (value >> shift);
}

function middleOf(bucket: number): number {
  if (bucket < 2 * resolution) return bucket + 0.5;
  const shift = Math.floor(bucket / resolution) - 1;
  return (bucket - shift * resolution + 0.5) * 2 ** shift;
}
