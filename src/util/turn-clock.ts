import type { Clock, Timer } from './clock.ts';
import type { Turn } from './turn.ts';

/**
 * A clock that stands still during a turn: everything in it happens when it began, which is after whatever it is about has
 * happened. The system is asked once for a turn, not for each of a query's five times.
 */
export class TurnClock implements Clock {
  readonly #clock: Clock;
  readonly #turn: Turn;
  #number = -1;
  #nowMs = 0;

  constructor(clock: Clock, turn: Turn) {
    this.#clock = clock;
    this.#turn = turn;
  }

  now(): number {
    const { running, number } = this.#turn;
    if (!running) return this.#clock.now();
    if (number !== this.#number) {
      this.#number = number;
      this.#nowMs = this.#clock.now();
    }
    return this.#nowMs;
  }

  wallNow(): number {
    return this.#clock.wallNow();
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#clock.after(delayMs, callback);
  }
}
