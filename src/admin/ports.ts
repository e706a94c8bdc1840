import type { ViewSource } from '../topology/view.ts';
import type { Clock } from '../util/clock.ts';
import type { Histogram } from '../util/histogram.ts';
import type { Measures } from '../util/measures.ts';

/**
 * What metrics and page read when they are asked; built by `app.ts` over the floors below. Every call answers
 * with the present moment: nothing here keeps numbers of its own.
 */
export interface AdminSources {
  /** pgweir's own version. */
  readonly version: string;
  readonly measures: Measures;
  readonly views: ViewSource;
  readonly eventLoopDelay: Histogram;
  readonly clock: Clock;
  /** One row for each backend that has a pool. */
  pools(): Iterable<PoolStats>;
  clients(): ClientStats;
  statementCache(): StatementCacheStats;
  preparedStatements(): PreparedStatementStats;
  /** The processes that serve clients; one without `workers`. */
  workers(): Iterable<WorkerStats>;
  /** Workers that ended although nobody had asked them to. */
  readonly lostWorkers: number;
}

export interface WorkerStats {
  /** From 0; a worker that takes the place of another has its number. */
  readonly slot: number;
  readonly cpuSeconds: number;
  readonly residentBytes: number;
}

export interface PoolStats {
  /** The backend's name. */
  readonly backend: string;
  readonly connections: Readonly<Record<ConnectionState, number>>;
  /** Work that waits for a connection. */
  readonly waiters: number;
  /** The most connections to this backend. */
  readonly limit: number;
}

/** `active`: lent to a session. `quarantined`: lent to nobody while a cancel request is on its way to it. */
export const CONNECTION_STATES = ['connecting', 'idle', 'active', 'quarantined'] as const;
export type ConnectionState = (typeof CONNECTION_STATES)[number];

export interface ClientStats {
  readonly states: Readonly<Record<ClientState, number>>;
  /** Those of them whose session is bound to a connection. */
  readonly pinned: number;
  /** The most clients that are let in. */
  readonly limit: number;
}

/** `waiting`: for a backend connection, a fence or a primary. */
export const CLIENT_STATES = ['login', 'idle', 'active', 'waiting', 'idle in transaction'] as const;
export type ClientState = (typeof CLIENT_STATES)[number];

/** The cache from statement shape to facts. */
export interface StatementCacheStats {
  readonly entries: number;
  readonly hits: number;
  readonly misses: number;
}

/** Protocol-level statements that sessions hold, each distinct text and parameter types counted once. */
export interface PreparedStatementStats {
  readonly count: number;
  readonly bytes: number;
}
