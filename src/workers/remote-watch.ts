import { changesBetween } from '../topology/changes.ts';
import { FenceWaiters } from '../topology/fence-waiters.ts';
import type { ViewListener } from '../topology/monitor.ts';
import type { FenceCallback, FenceWait, View } from '../topology/view.ts';
import type { Watch } from '../topology/watch.ts';
import type { Clock, Timer } from '../util/clock.ts';
import type { TopologyAsks } from './messages.ts';

/** How long after traffic was told of before it is told of again; far below the monitor's idea of idleness (1 s). */
const TRAFFIC_GAP_MS = 100;
/** How closely deadlines of waiting reads are kept, as in the monitor. */
const PACE_MS = 2;
/** Reads that may wait for a fence at the same time, as in the monitor. */
const MAX_FENCE_WAITERS = 10_000;

export interface RemoteWatchParts {
  readonly view: View;
  readonly clock: Clock;
  /** Runs its argument at the end of this turn of the event loop. */
  readonly defer: (work: () => void) => void;
  /** Takes what was gathered in a turn to the monitor. Times are of this process. */
  readonly tell: (asks: TopologyAsks) => void;
}

/**
 * The topology as the monitor of another process sees it: views come in, and what sessions tell and ask goes out, gathered
 * over a turn. Reads wait here for a view that is fresh enough; over there only the latest of their fences is known, for
 * which the backends are probed.
 */
export class RemoteWatch implements Watch {
  readonly #clock: Clock;
  readonly #defer: (work: () => void) => void;
  readonly #tell: (asks: TopologyAsks) => void;
  readonly #listeners = new Set<ViewListener>();
  readonly #waiters = new FenceWaiters();
  readonly #suspects = new Map<number, string>();
  #view: View;
  #trafficKnown = false;
  #trafficToldMs = -Infinity;
  #fence: { fenceMs: number; deadlineMs: number } | null = null;
  #telling = false;
  #paceTimer: Timer | null = null;
  #stopped = false;

  constructor({ view, clock, defer, tell }: RemoteWatchParts) {
    this.#view = view;
    this.#clock = clock;
    this.#defer = defer;
    this.#tell = tell;
  }

  current(): View {
    return this.#view;
  }

  /** The monitor has begun before this process has. */
  start(): Promise<View> {
    return Promise.resolve(this.#view);
  }

  stop(): void {
    this.#stopped = true;
    this.#paceTimer?.cancel();
    this.#waiters.expire(Infinity);
  }

  /** The monitor has its settings from the same configuration as this process. */
  reconfigure(): void {}

  onChange(listener: ViewListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  noteTraffic(): void {
    if (this.#trafficKnown) return;
    this.#trafficKnown = true;
    this.#trafficToldMs = this.#clock.now();
    this.#tellSoon();
  }

  suspect(index: number, cause: string): void {
    this.#suspects.set(index, cause);
    this.#tellSoon();
  }

  waitForFence(fenceMs: number, deadlineMs: number, callback: FenceCallback): FenceWait | null {
    if (this.#stopped || this.#waiters.size >= MAX_FENCE_WAITERS) return null;
    if (!this.#view.backends.some(({ role, problem }) => role === 'replica' && problem === null)) return null;
    const wait = this.#waiters.add(fenceMs, deadlineMs, callback);
    const before = this.#fence;
    this.#fence = {
      fenceMs: Math.max(fenceMs, before?.fenceMs ?? fenceMs),
      deadlineMs: Math.max(deadlineMs, before?.deadlineMs ?? deadlineMs),
    };
    this.#tellSoon();
    this.#pace();
    return wait;
  }

  /** A newer view has come. */
  receive(view: View): void {
    const previous = this.#view;
    this.#view = view;
    // Noted again at the next batch: views come as often as it makes sense to say so, or there is nobody to be told.
    if (this.#clock.now() - this.#trafficToldMs >= TRAFFIC_GAP_MS) this.#trafficKnown = false;
    if (changesBetween(previous, view).length > 0) {
      for (const listener of this.#listeners) listener(view, previous);
    }
    this.#release();
  }

  /** The monitor does not expect any replica to be that fresh soon. */
  hopeless(fenceMs: number): void {
    this.#waiters.refuse(fenceMs);
  }

  #release(): void {
    for (const { role, problem, freshThroughMs } of this.#view.backends) {
      if (role === 'replica' && problem === null) this.#waiters.release(freshThroughMs);
    }
  }

  #tellSoon(): void {
    if (this.#telling) return;
    this.#telling = true;
    this.#defer(() => {
      this.#telling = false;
      const suspects = [...this.#suspects].map(([backend, cause]) => ({ backend, cause }));
      const asks = { traffic: this.#trafficKnown, suspects, fence: this.#fence };
      this.#suspects.clear();
      this.#fence = null;
      if (!this.#stopped) this.#tell(asks);
    });
  }

  #pace(): void {
    this.#paceTimer ??= this.#clock.after(PACE_MS, () => {
      this.#paceTimer = null;
      this.#waiters.expire(this.#clock.now());
      // What was there already when they came brings no view.
      this.#release();
      if (this.#waiters.size > 0) this.#pace();
    });
  }
}
