import type { Clock, Timer } from '../../../src/util/clock.ts';

interface Due {
  readonly atMs: number;
  readonly callback: () => void;
}

/** A clock that stands still until it is moved; timers fire in order while it moves. */
export class ManualClock implements Clock {
  #nowMs: number;
  readonly #due = new Set<Due>();

  constructor(nowMs = 1000) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  wallNow(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const due = { atMs: this.#nowMs + delayMs, callback };
    this.#due.add(due);
    return { cancel: () => this.#due.delete(due) };
  }

  get timers(): number {
    return this.#due.size;
  }

  /** Lets time pass. */
  advance(durationMs: number): void {
    const untilMs = this.#nowMs + durationMs;
    for (;;) {
      const next = [...this.#due].reduce<Due | null>(
        (first, due) => (first === null || due.atMs < first.atMs ? due : first),
        null,
      );
      if (next === null || next.atMs > untilMs) break;
      this.#due.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
    }
    this.#nowMs = untilMs;
  }
}
