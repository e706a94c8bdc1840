import type { View } from '../topology/view.ts';

/*
 * Each process counts its time from its own start (performance.now()), the machine counts one time for all of them
 * (CLOCK_MONOTONIC, which process.hrtime reads). Between processes times travel as the machine's.
 *
 * Whether a session sees its own write is one comparison: the time at which the write was acknowledged, taken by a worker,
 * with the time at which the supervisor sent a probe. So what is not known of the distance between two clocks, less than a
 * microsecond, must err on the safe side: a probe may look earlier than it was, and a fence later, never the reverse.
 */

/** Readings around each other to measure by; the closest pair counts. The first few are slow: nothing is compiled yet. */
const TRIES = 64;
/** For readings that are rounded to their last digit. */
const ROUNDING_MS = 0.0005;

/** Readings of the two clocks, in ms. */
export interface TwoClocks {
  machine(): number;
  own(): number;
}

/** How far the machine's clock is ahead of the process's own, which never changes, as far as that is known. */
export class TimeBase {
  readonly #atLeastMs: number;
  readonly #atMostMs: number;

  constructor({ machine, own }: TwoClocks) {
    let [atLeast, atMost] = [-Infinity, Infinity];
    for (let tries = 0; tries < TRIES; tries++) {
      const before = machine();
      const at = own();
      const after = machine();
      atLeast = Math.max(atLeast, before - at);
      atMost = Math.min(atMost, after - at);
    }
    this.#atLeastMs = atLeast - ROUNDING_MS;
    this.#atMostMs = atMost + ROUNDING_MS;
  }

  /** A view of this process for others: as fresh as it is, or less by the uncertainty. */
  viewForOthers(view: View): View {
    return shifted(view, this.#atLeastMs);
  }

  /** A view of another process for this one: as fresh as it is, or less by the uncertainty. */
  viewFromOthers(view: View): View {
    return shifted(view, -this.#atMostMs);
  }

  /** A fence of this process for others: as late as it is, or later by the uncertainty. */
  fenceForOthers(fenceMs: number): number {
    return fenceMs + this.#atMostMs;
  }

  /** A fence of another process for this one: as late as it is, or later by the uncertainty. */
  fenceFromOthers(fenceMs: number): number {
    return fenceMs - this.#atLeastMs;
  }
}

function shifted(view: View, byMs: number): View {
  const backends = view.backends.map((backend) => ({
    ...backend,
    freshThroughMs: backend.freshThroughMs + byMs,
    expiresAtMs: backend.expiresAtMs + byMs,
  }));
  return { ...view, backends };
}
