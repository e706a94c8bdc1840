import type { ViewSource } from '../topology/view.ts';
import type { Clock } from '../util/clock.ts';
import { Histogram, type HistogramCounts } from '../util/histogram.ts';
import { Measures, type Tally } from '../util/measures.ts';
import {
  type AdminSources,
  CLIENT_STATES,
  type ClientStats,
  CONNECTION_STATES,
  type PoolStats,
  type PreparedStatementStats,
  type StatementCacheStats,
  type WorkerStats,
} from './ports.ts';

/** What one process has to tell at an instant, as plain data that can travel. */
export interface Report {
  readonly tally: Tally;
  readonly eventLoopDelay: HistogramCounts;
  readonly pools: readonly PoolStats[];
  readonly clients: ClientStats;
  readonly statementCache: StatementCacheStats;
  readonly preparedStatements: PreparedStatementStats;
  readonly workers: readonly WorkerStats[];
}

export function reportOf(sources: AdminSources): Report {
  return {
    tally: sources.measures.tally(),
    eventLoopDelay: sources.eventLoopDelay.counts(),
    pools: [...sources.pools()],
    clients: sources.clients(),
    statementCache: sources.statementCache(),
    preparedStatements: sources.preparedStatements(),
    workers: [...sources.workers()],
  };
}

export interface MergedParts {
  readonly version: string;
  readonly views: ViewSource;
  readonly clock: Clock;
}

/**
 * The sources of several processes as if they were one. What is counted is added up, also of processes that are gone: as
 * they last reported, so that no counter ever goes back while this process lives. What is true at an instant is the sum
 * over those that are there. The topology is the one that all share.
 */
export class MergedSources implements AdminSources {
  readonly version: string;
  readonly views: ViewSource;
  readonly clock: Clock;
  lostWorkers = 0;
  readonly #reports = new Map<number, Report>();
  readonly #past = { measures: new Measures(), delay: new Histogram(), hits: 0, misses: 0 };
  #measures: Measures | null = null;

  constructor({ version, views, clock }: MergedParts) {
    this.version = version;
    this.views = views;
    this.clock = clock;
  }

  /** The newest report of a process. */
  reported(slot: number, report: Report): void {
    this.#reports.set(slot, report);
    this.#measures = null;
  }

  /** The process has ended; another one may report for its slot. */
  gone(slot: number): void {
    const last = this.#reports.get(slot);
    if (last === undefined) return;
    this.#reports.delete(slot);
    this.#past.measures.add(last.tally);
    this.#past.delay.add(last.eventLoopDelay);
    this.#past.hits += last.statementCache.hits;
    this.#past.misses += last.statementCache.misses;
    this.#measures = null;
  }

  get measures(): Measures {
    this.#measures ??= this.#addUp();
    return this.#measures;
  }

  get eventLoopDelay(): Histogram {
    const delay = new Histogram();
    delay.add(this.#past.delay.counts());
    for (const { eventLoopDelay } of this.#reports.values()) delay.add(eventLoopDelay);
    return delay;
  }

  pools(): Iterable<PoolStats> {
    const merged = new Map<string, PoolStats>();
    for (const { pools } of this.#reports.values()) {
      for (const pool of pools) {
        const other = merged.get(pool.backend);
        merged.set(pool.backend, other === undefined ? pool : addPools(other, pool));
      }
    }
    return merged.values();
  }

  clients(): ClientStats {
    const all = [...this.#reports.values()].map(({ clients }) => clients);
    return {
      states: addStates(
        CLIENT_STATES,
        all.map(({ states }) => states),
      ),
      pinned: sum(all.map(({ pinned }) => pinned)),
      limit: sum(all.map(({ limit }) => limit)),
    };
  }

  statementCache(): StatementCacheStats {
    const all = [...this.#reports.values()].map(({ statementCache }) => statementCache);
    return {
      entries: sum(all.map(({ entries }) => entries)),
      hits: this.#past.hits + sum(all.map(({ hits }) => hits)),
      misses: this.#past.misses + sum(all.map(({ misses }) => misses)),
    };
  }

  preparedStatements(): PreparedStatementStats {
    const all = [...this.#reports.values()].map(({ preparedStatements }) => preparedStatements);
    return { count: sum(all.map(({ count }) => count)), bytes: sum(all.map(({ bytes }) => bytes)) };
  }

  workers(): readonly WorkerStats[] {
    return [...this.#reports.values()].flatMap(({ workers }) => workers);
  }

  #addUp(): Measures {
    const measures = new Measures();
    measures.add(this.#past.measures.tally());
    for (const { tally } of this.#reports.values()) measures.add(tally);
    return measures;
  }
}

function addPools(one: PoolStats, other: PoolStats): PoolStats {
  return {
    backend: one.backend,
    connections: addStates(CONNECTION_STATES, [one.connections, other.connections]),
    waiters: one.waiters + other.waiters,
    limit: one.limit + other.limit,
  };
}

function addStates<State extends string>(
  states: readonly State[],
  counts: readonly Readonly<Record<State, number>>[],
): Readonly<Record<State, number>> {
  // Every state of the list becomes a property.
  return Object.fromEntries(states.map((state) => [state, sum(counts.map((count) => count[state]))])) as Record<State, number>;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
