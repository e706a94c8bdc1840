import type { Clock, Timer } from '../util/clock.ts';
import type { Telemetry } from '../util/telemetry.ts';
import { changesBetween } from './changes.ts';
import { FenceWaiters } from './fence-waiters.ts';
import type { Observation } from './observation.ts';
import type { Prober, Report } from './probe.ts';
import { type TopologyNode, TopologyReducer } from './reduce.ts';
import type { BackendView, FenceCallback, FenceWait, Topology, View } from './view.ts';

/*
 * When is whom asked? Four things start a probe:
 *
 * - the regular round, every interval while there is traffic or no primary, every idle interval otherwise;
 * - once behind it, shortly after, those replicas that had not replayed all of the primary's newest sample, so that the
 *   lag of a replica that keeps up is its lag and not the time between two rounds;
 * - suspicion: an error somewhere is evidence, so all nodes are asked at once;
 * - reads that wait for a fence T: a sample of the primary sent after T, and the replicas until one has replayed it. One
 *   such round serves every read that waits, and the next one begins a pace later as long as somebody waits.
 *
 * Each backend has its own prober with its own timeout, so a node that hangs delays nobody. Each outcome makes a new view
 * at once.
 */

/** A read is not waited for when every replica is further behind than this: it would wait in vain. */
const HOPELESS_LAG_MS = 1000;
/** Time between two rounds for waiting reads, and before the second look at a replica that was behind. */
const PACE_MS = 2;
/** Suspicions within this time share one round. */
const SUSPICION_GAP_MS = 20;
/** Without traffic for this long the idle interval begins. */
const IDLE_AFTER_MS = 1000;
/** However small max_lag is. */
const MIN_INTERVAL_MS = 10;
/** Reads that may wait for a fence at the same time; more go to the primary at once. */
const MAX_FENCE_WAITERS = 10_000;
/** How long a replica that returns takes to its full share of reads. */
const SLOW_START_MS = 5000;

export interface MonitorSettings {
  readonly intervalMs: number;
  readonly idleIntervalMs: number;
  readonly observationLifeMs: number;
  readonly maxLagMs: number;
  /** Null: no limit. */
  readonly maxLagBytes: number | null;
}

export interface MonitorOptions {
  /** In the order of the configuration; the index is the backend's identity. */
  readonly backends: readonly TopologyNode[];
  readonly settings: MonitorSettings;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** Makes the prober of one backend, which reports what it finds. */
  readonly createProber: (backend: TopologyNode, report: Report) => Prober;
}

/** Called after each view in which something besides fresh-through and lag is different. Must not throw. */
export type ViewListener = (view: View, previous: View) => void;

/** Somebody waits for a probe of every backend that was started after the call. */
interface Join {
  /** Outcomes still to come, by backend. */
  readonly missing: number[];
  readonly resolve: (view: View) => void;
}

/** Watches all backends of one cluster and publishes what is known of them. */
export class Monitor implements Topology {
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  readonly #reducer: TopologyReducer;
  readonly #probers: readonly Prober[];
  readonly #waiters = new FenceWaiters();
  readonly #listeners = new Set<ViewListener>();
  readonly #observers = new Set<(view: View) => void>();
  #settings: MonitorSettings;
  #view: View;
  #joins: Join[] = [];
  #running = false;
  #traffic = false;
  #lastTrafficMs = -Infinity;
  #idle = false;
  /** The next sample of the primary is one of a regular round. */
  #secondLookOwed = false;
  #secondLookDue = false;
  #roundTimer: Timer | null = null;
  #paceTimer: Timer | null = null;
  #suspicionTimer: Timer | null = null;
  #lastChaseMs = -Infinity;
  #lastSuspicionMs = -Infinity;

  constructor(options: MonitorOptions) {
    this.#clock = options.clock;
    this.#telemetry = options.telemetry;
    this.#settings = options.settings;
    this.#reducer = new TopologyReducer(options.backends, policyOf(options.settings));
    this.#probers = options.backends.map((backend, index) =>
      options.createProber(backend, (observation) => this.#observed(index, observation)),
    );
    this.#view = this.#reducer.view(this.#clock.now());
  }

  current(): View {
    return this.#view;
  }

  /** Begins to probe. Resolves with the first view for which every backend has been asked. */
  start(): Promise<View> {
    this.#running = true;
    this.#lastTrafficMs = this.#clock.now();
    const asked = this.probeNow();
    this.#tick();
    return asked;
  }

  /** Ends all connections; whoever waits is told that it was in vain. */
  stop(): void {
    this.#running = false;
    for (const timer of [this.#roundTimer, this.#paceTimer, this.#suspicionTimer]) timer?.cancel();
    for (const prober of this.#probers) prober.close();
    for (const { resolve } of this.#joins.splice(0)) resolve(this.#view);
    this.#waiters.expire(Infinity);
  }

  /** Takes over new settings with the next view. */
  reconfigure(settings: MonitorSettings): void {
    this.#settings = settings;
    this.#reducer.policy = policyOf(settings);
  }

  /** Called with every view. Must not throw. @returns what ends the listening. */
  onView(observer: (view: View) => void): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** @returns what ends the listening. */
  onChange(listener: ViewListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  noteTraffic(): void {
    this.#traffic = true;
    if (this.#idle) this.#tick();
  }

  suspect(index: number, cause: string): void {
    if (!this.#running || this.#suspicionTimer !== null) return;
    const backend = this.#view.backends[index]?.name;
    this.#telemetry.log('info', 'backend_suspected', { backend, cause });
    const now = this.#clock.now();
    this.#suspicionTimer = this.#clock.after(Math.max(0, this.#lastSuspicionMs + SUSPICION_GAP_MS - now), () => {
      this.#suspicionTimer = null;
      this.#lastSuspicionMs = this.#clock.now();
      this.#round(true);
    });
  }

  /** Probes every backend, and resolves when each has answered or failed. Calls at the same time share the probes. */
  probeNow(): Promise<View> {
    if (!this.#running) return Promise.resolve(this.#view);
    return new Promise((resolve) => {
      // What is under way was sent too early: it counts for nothing here.
      this.#joins.push({ missing: this.#probers.map(({ busy }) => (busy ? 2 : 1)), resolve });
      for (const prober of this.#probers) prober.probe(true);
    });
  }

  waitForFence(fenceMs: number, deadlineMs: number, callback: FenceCallback): FenceWait | null {
    if (!this.#running || this.#waiters.size >= MAX_FENCE_WAITERS) return null;
    if (this.#view.primary === null && this.#reducer.newestSampleMs < fenceMs) return null;
    if (!this.#view.backends.some((backend) => this.#isHopeful(backend))) return null;
    const wait = this.#waiters.add(fenceMs, deadlineMs, callback);
    const sinceLastMs = this.#clock.now() - this.#lastChaseMs;
    if (sinceLastMs >= PACE_MS) this.#chase();
    else this.#paceIn(PACE_MS - sinceLastMs);
    return wait;
  }

  #tick(): void {
    if (!this.#running) return;
    const now = this.#clock.now();
    if (this.#traffic) this.#lastTrafficMs = now;
    this.#traffic = false;
    this.#idle = this.#view.primary !== null && now - this.#lastTrafficMs >= IDLE_AFTER_MS;
    this.#publish();
    this.#round(false);
    this.#roundTimer?.cancel();
    this.#roundTimer = this.#clock.after(this.#intervalMs(), () => this.#tick());
  }

  /** A gap between two samples counts as lag until the next one, so it stays well below max_lag. */
  #intervalMs(): number {
    const { intervalMs, idleIntervalMs, maxLagMs } = this.#settings;
    return Math.max(MIN_INTERVAL_MS, Math.min(this.#idle ? idleIntervalMs : intervalMs, maxLagMs / 2));
  }

  #round(urgent: boolean): void {
    const { primary } = this.#view;
    this.#secondLookOwed = true;
    // The primary first: its sample should not be newer than it must be when the replicas answer.
    if (primary !== null) this.#probers[primary]?.probe(urgent);
    for (const prober of this.#probers) prober.probe(urgent);
  }

  #observed(index: number, observation: Observation): void {
    this.#reducer.observe(index, observation);
    this.#publish();
    if (observation.kind === 'break') {
      const backend = this.#view.backends[index]?.name;
      this.#telemetry.log('debug', 'monitor_connection_lost', { backend, detail: observation.detail });
      return;
    }
    if (this.#idle && this.#view.primary === null) this.#tick();
    this.#settleJoins(index);
    if (this.#waiters.size > 0) this.#release();
    if (this.#secondLookOwed && index === this.#view.primary) {
      this.#secondLookOwed = false;
      this.#secondLookDue = true;
      this.#paceIn(PACE_MS);
    }
  }

  #publish(): void {
    const previous = this.#view;
    this.#view = this.#reducer.view(this.#clock.now());
    for (const observe of this.#observers) observe(this.#view);
    const changes = changesBetween(previous, this.#view);
    if (changes.length === 0) return;
    for (const { level, event, fields } of changes) this.#telemetry.log(level, event, fields);
    for (const listener of this.#listeners) listener(this.#view, previous);
  }

  #settleJoins(index: number): void {
    const settled: Join[] = [];
    for (const join of this.#joins) {
      join.missing[index] = Math.max(0, (join.missing[index] ?? 0) - 1);
      if (join.missing[index] > 0) this.#probers[index]?.probe(true);
      else if (join.missing.every((count) => count === 0)) settled.push(join);
    }
    if (settled.length === 0) return;
    this.#joins = this.#joins.filter((join) => !settled.includes(join));
    for (const { resolve } of settled) resolve(this.#view);
  }

  #paceIn(delayMs: number): void {
    this.#paceTimer ??= this.#clock.after(delayMs, () => {
      this.#paceTimer = null;
      this.#waiters.expire(this.#clock.now());
      // What was there already when they came brings no observation.
      if (this.#waiters.size > 0) this.#release();
      if (this.#waiters.size > 0) this.#chase();
      else if (this.#secondLookDue) this.#lookAgain();
      this.#secondLookDue = false;
    });
  }

  /** One round for the reads that wait. */
  #chase(): void {
    this.#lastChaseMs = this.#clock.now();
    const { primary, backends } = this.#view;
    const fenceMs = this.#waiters.latestFenceMs;
    const needsSample = this.#reducer.newestSampleMs < fenceMs;
    if (needsSample && primary !== null) this.#probers[primary]?.probe(false);
    for (const backend of backends) {
      if (backend.freshThroughMs >= fenceMs || !this.#isHopeful(backend)) continue;
      // A replica that has replayed the newest sample knows nothing new before the next one.
      if (needsSample || backend.freshThroughMs < this.#reducer.newestSampleMs) this.#probers[backend.index]?.probe(false);
    }
    this.#paceIn(PACE_MS);
  }

  #lookAgain(): void {
    for (const { index, role, freshThroughMs } of this.#view.backends) {
      if (role === 'replica' && freshThroughMs < this.#reducer.newestSampleMs) this.#probers[index]?.probe(false);
    }
  }

  #isHopeful({ role, problem, index }: BackendView): boolean {
    return role === 'replica' && problem === null && this.#reducer.behindMs(index) <= HOPELESS_LAG_MS;
  }

  /** Tells all that wait for no more than what some usable replica has. */
  #release(): void {
    for (const { role, problem, freshThroughMs } of this.#view.backends) {
      if (role === 'replica' && problem === null) this.#waiters.release(freshThroughMs);
    }
  }
}

function policyOf({ maxLagMs, maxLagBytes, observationLifeMs }: MonitorSettings) {
  return { maxLagMs, maxLagBytes, observationLifeMs, slowStartMs: SLOW_START_MS };
}
