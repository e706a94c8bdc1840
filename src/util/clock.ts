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
