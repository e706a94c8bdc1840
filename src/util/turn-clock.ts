import type { Clock, EventClock, Timer } from './clock.ts';
import type { Turn } from './turn.ts';

/** The system, asked for what is there, has waited when it took longer than this. Ours: an empty round takes some microseconds. */
const WAITED_MS = 0.1;

/**
 * A clock that stands still during a turn: everything in it happens when it began, which is after whatever it is about has
 * happened. The system is asked once for a turn, not for each of a query's five times.
 *
 * And a clock that knows how late it may be. The event loop goes in rounds: the system is asked which sockets have something,
 * and waits if none has; then they are handled one after the other. What is handled in a round has come while the round before
 * was handled, unless the system had to wait for it.
 */
export class TurnClock implements EventClock {
  readonly #clock: Clock;
  readonly #turn: Turn;
  readonly #atEndOfRound: (work: () => void) => void;
  #number = -1;
  #nowMs = 0;
  #inRound = false;
  #roundBeganMs = 0;
  #roundEndedMs = 0;
  #arrivedAfterMs = 0;
  readonly #endRound = (): void => {
    this.#inRound = false;
    this.#roundEndedMs = this.#clock.now();
  };

  /** @param atEndOfRound runs something when all events that are due now were handled */
  constructor(clock: Clock, turn: Turn, atEndOfRound: (work: () => void) => void) {
    this.#clock = clock;
    this.#turn = turn;
    this.#atEndOfRound = atEndOfRound;
  }

  now(): number {
    const { running, number } = this.#turn;
    if (!running) return this.#clock.now();
    if (number !== this.#number) {
      this.#number = number;
      this.#nowMs = this.#clock.now();
      if (!this.#inRound) this.#beginRound();
    }
    return this.#nowMs;
  }

  arrivedAfter(): number {
    this.now();
    return this.#arrivedAfterMs;
  }

  wallNow(): number {
    return this.#clock.wallNow();
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#clock.after(delayMs, callback);
  }

  #beginRound(): void {
    const waited = this.#nowMs - this.#roundEndedMs > WAITED_MS;
    this.#arrivedAfterMs = waited ? this.#nowMs : this.#roundBeganMs;
    this.#roundBeganMs = this.#nowMs;
    this.#inRound = true;
    this.#atEndOfRound(this.#endRound);
  }
}
