import type { FenceCallback, FenceWait } from './view.ts';

interface Entry {
  readonly fenceMs: number;
  readonly deadlineMs: number;
  callback: FenceCallback | null;
}

/**
 * The reads that wait for a replica to be fresh enough, in the order in which they came. Bounded by its owner. Callbacks
 * may add and cancel waiters; they are called after everything else is in order.
 */
export class FenceWaiters {
  #entries: Entry[] = [];
  #earliestFenceMs = Infinity;
  #latestFenceMs = -Infinity;
  #earliestDeadlineMs = Infinity;

  get size(): number {
    return this.#entries.length;
  }

  /** No waiter needs more than this; -Infinity without waiters. */
  get latestFenceMs(): number {
    return this.#latestFenceMs;
  }

  add(fenceMs: number, deadlineMs: number, callback: FenceCallback): FenceWait {
    const entry: Entry = { fenceMs, deadlineMs, callback };
    this.#keep(entry);
    return {
      cancel: () => {
        entry.callback = null;
      },
    };
  }

  /** Calls back all that `freshThroughMs` satisfies. */
  release(freshThroughMs: number): void {
    if (freshThroughMs >= this.#earliestFenceMs) this.#take(true, (entry) => entry.fenceMs <= freshThroughMs);
  }

  /** Calls back all whose time is over, and forgets the cancelled. */
  expire(nowMs: number): void {
    if (nowMs >= this.#earliestDeadlineMs) this.#take(false, (entry) => entry.deadlineMs <= nowMs);
  }

  /** Calls back all that need as much as `fenceMs` or more: they would wait in vain. */
  refuse(fenceMs: number): void {
    if (this.#latestFenceMs >= fenceMs) this.#take(false, (entry) => entry.fenceMs >= fenceMs);
  }

  #take(reached: boolean, fits: (entry: Entry) => boolean): void {
    const entries = this.#entries;
    this.#entries = [];
    this.#earliestFenceMs = this.#earliestDeadlineMs = Infinity;
    this.#latestFenceMs = -Infinity;
    const taken: Entry[] = [];
    for (const entry of entries) {
      if (entry.callback === null) continue;
      if (fits(entry)) taken.push(entry);
      else this.#keep(entry);
    }
    for (const entry of taken) {
      const { callback } = entry;
      entry.callback = null;
      callback?.(reached);
    }
  }

  #keep(entry: Entry): void {
    this.#entries.push(entry);
    this.#earliestFenceMs = Math.min(this.#earliestFenceMs, entry.fenceMs);
    this.#latestFenceMs = Math.max(this.#latestFenceMs, entry.fenceMs);
    this.#earliestDeadlineMs = Math.min(this.#earliestDeadlineMs, entry.deadlineMs);
  }
}
