import { Histogram } from '../util/histogram.ts';

const INTERVAL_MS = 20;

/**
 * Measures how late the event loop comes to a timer: the time by which everything in this process is late. A histogram of
 * its own, because `perf_hooks.monitorEventLoopDelay` counts its sampling interval into every value and, reset by one
 * scraper, forgets what another has not read.
 */
export class EventLoopDelay implements Disposable {
  readonly histogram = new Histogram();
  readonly #timer: NodeJS.Timeout;
  #dueMs = performance.now() + INTERVAL_MS;

  constructor() {
    this.#timer = setInterval(() => this.#tick(), INTERVAL_MS);
    this.#timer.unref();
  }

  #tick(): void {
    const nowMs = performance.now();
    this.histogram.observe((nowMs - this.#dueMs) / 1000);
    this.#dueMs = nowMs + INTERVAL_MS;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
