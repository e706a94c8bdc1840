/** Weight of each wait in what is remembered: about the last 16 count. */
const WEIGHT = 1 / 16;
/** Below it waiting costs more than it saves: of two reads that wait, one goes to the primary all the same, late. */
const WORTHWHILE = 1 / 2;
/** From here it goes on when one that waited while it was not worthwhile was in time. */
const ANEW = 3 / 4;
/** While it is not worthwhile, one read waits now and then: at first after so many times its limit ... */
const FIRST_PAUSE_LIMITS = 4;
/** ... and twice as long after each that waited in vain, up to this. */
const MAX_PAUSE_MS = 5000;

/**
 * Whether it is worthwhile for reads to wait for a replica that is fresh enough, judged by what became of those that did.
 *
 * A read waits because a replica usually has a write a moment later. Where none has it in time again and again (the WAL is
 * flushed late under `synchronous_commit = off`, a replica applies it with a delay), every read behind a write would be late by
 * the whole limit, and go to the primary nevertheless.
 */
export class FencePatience {
  /** The share of waits that were not in vain, recent ones first. */
  #success = 1;
  #pauseMs = 0;
  #nextTryMs = -Infinity;
  #missedMs = -Infinity;

  /** Whether a read is to wait now. */
  hasPatience(nowMs: number): boolean {
    return this.#success >= WORTHWHILE || nowMs >= this.#nextTryMs;
  }

  /** A read waits, for at most `limitMs`. */
  began(nowMs: number, limitMs: number): void {
    if (this.#success >= WORTHWHILE) return;
    this.#pauseMs = Math.min(MAX_PAUSE_MS, Math.max(2 * this.#pauseMs, FIRST_PAUSE_LIMITS * limitMs));
    this.#nextTryMs = nowMs + this.#pauseMs;
  }

  /**
   * A read has waited since `sinceMs`, until it was in time or its time was over. Of those that missed the same moment, one
   * counts.
   */
  ended(reached: boolean, sinceMs: number, nowMs: number): void {
    if (reached) {
      this.#success = this.#success < WORTHWHILE ? ANEW : this.#success + WEIGHT * (1 - this.#success);
      this.#pauseMs = 0;
      this.#nextTryMs = -Infinity;
    } else if (sinceMs >= this.#missedMs) {
      this.#success -= WEIGHT * this.#success;
      this.#missedMs = nowMs;
    }
  }
}
