import { assert } from './assert.ts';

/** Upper bounds in seconds for everything that takes between a loopback round trip and a minute. */
export const LATENCY_BOUNDS_SECONDS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

const MICROSECONDS = 1e6;
const OCTAVES = 33;

/** What a histogram has counted: for each bucket, not cumulative, and the sum in seconds. */
export interface HistogramCounts {
  readonly counts: readonly number[];
  readonly sum: number;
}

/**
 * Counts durations in fixed buckets. `observe` allocates nothing and does not depend on the number of buckets: the power
 * of two of the microseconds indexes a table of first candidates, and the few bounds inside that octave are compared.
 */
export class Histogram {
  /** Ascending upper bounds in seconds, inclusive as Prometheus's `le` is. */
  readonly bounds: readonly number[];
  /** Not cumulative; one more than `bounds`: the last counts what is above all of them. */
  readonly #counts: Float64Array;
  readonly #bounds: Float64Array;
  readonly #firstOfOctave = new Uint8Array(OCTAVES);
  readonly #last: number;
  #sum = 0;

  constructor(bounds: readonly number[] = LATENCY_BOUNDS_SECONDS) {
    const last = bounds.at(-1);
    assert(last !== undefined && bounds.length < 256, 'a histogram has between 1 and 255 bounds');
    assert(last * MICROSECONDS < 2 ** 32, 'the highest bound is under 2^32 microseconds');
    let previous = 0;
    for (const bound of bounds) {
      assert(bound > previous, 'bounds are positive and ascend');
      previous = bound;
    }
    this.bounds = bounds;
    this.#bounds = Float64Array.from(bounds);
    this.#counts = new Float64Array(bounds.length + 1);
    this.#last = last;
    for (let octave = 0; octave < OCTAVES; octave++) {
      const leastSeconds = (octave === 0 ? 0 : 2 ** (octave - 1)) / MICROSECONDS;
      const index = bounds.findIndex((bound) => leastSeconds <= bound);
      this.#firstOfOctave[octave] = index === -1 ? bounds.length : index;
    }
  }

  /** Counts one duration. Below zero and NaN count as zero: a measurement never throws. */
  observe(seconds: number): void {
    const value = Number.isNaN(seconds) ? 0 : Math.max(seconds, 0);
    this.#sum += value;
    let index = this.#counts.length - 1;
    if (value <= this.#last) {
      index = this.#firstOfOctave[32 - Math.clz32(value * MICROSECONDS)] ?? 0;
      while (value > (this.#bounds[index] ?? Infinity)) index++;
    }
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
  }

  /** Its numbers, to be added to another histogram of the same bounds, perhaps in another process. */
  counts(): HistogramCounts {
    return { counts: Array.from(this.#counts), sum: this.#sum };
  }

  /** Counts everything that another one has counted. */
  add({ counts, sum }: HistogramCounts): void {
    assert(counts.length === this.#counts.length, 'both histograms have the same bounds');
    for (const [index, count] of counts.entries()) this.#counts[index] = (this.#counts[index] ?? 0) + count;
    this.#sum += sum;
  }

  /** Seconds, of all observations together. */
  get sum(): number {
    return this.#sum;
  }

  get count(): number {
    let total = 0;
    for (const count of this.#counts) total += count;
    return total;
  }

  /** For each bound the number of observations at or under it, and at the end the number of all. */
  cumulative(): number[] {
    let total = 0;
    return Array.from(this.#counts, (count) => {
      total += count;
      return total;
    });
  }

  /**
   * The duration in seconds that the share `quantile` (0..1) of the observations does not exceed, interpolated inside its
   * bucket as Prometheus's `histogram_quantile` does. Null before the first observation; the highest bound when it is above.
   */
  quantile(quantile: number): number | null {
    const cumulative = this.cumulative();
    const rank = quantile * (cumulative.at(-1) ?? 0);
    if (!(rank > 0)) return null;
    const index = cumulative.findIndex((count) => count >= rank);
    const upper = this.bounds[index];
    if (upper === undefined) return this.#last;
    const lower = index === 0 ? 0 : (this.bounds[index - 1] ?? 0);
    const below = index === 0 ? 0 : (cumulative[index - 1] ?? 0);
    return lower + ((upper - lower) * (rank - below)) / (this.#counts[index] ?? 1);
  }
}
