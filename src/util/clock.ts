/** A running timer of a {@link Clock}. */
export interface Timer {
  /** Stops the timer; harmless when it has already fired. */
  cancel(): void;
}

/** The only way to time: handed in through constructors so that pure floors stay pure and tests own the time. */
export interface Clock {
  /** Local monotonic time in milliseconds with a fraction; the zero point is arbitrary. */
  now(): number;
  /** Wall clock in milliseconds since the epoch; for logs and certificates only, never for measuring. */
  wallNow(): number;
  /** Calls `callback` once after at least `delayMs` milliseconds. Does not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer;
}

/** A clock for those who are told of events by the event loop. */
export interface EventClock extends Clock {
  /** What is handled in this turn has not come before that (ms of the clock): it was looked for then, or waited for. */
  arrivedAfter(): number;
}
