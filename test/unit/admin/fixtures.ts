import type { AdminSources, PoolStats } from '../../../src/admin/ports.ts';
import type { BackendView, View } from '../../../src/topology/view.ts';
import { Histogram } from '../../../src/util/histogram.ts';
import { Measures } from '../../../src/util/measures.ts';

export function backend(index: number, differences: Partial<BackendView> = {}): BackendView {
  return {
    index,
    name: `pg${index + 1}`,
    host: '127.0.0.1',
    port: 5432 + index,
    weight: 1,
    role: index === 0 ? 'primary' : 'replica',
    up: true,
    problem: null,
    expiresAtMs: Number.POSITIVE_INFINITY,
    incarnation: 1,
    freshThroughMs: index === 0 ? Number.POSITIVE_INFINITY : 1000,
    lagMs: index === 0 ? 0 : 12.5,
    lagBytes: index === 0 ? 0 : 4096,
    lsn: null,
    timeline: 1,
    warmth: 1,
    serverVersion: 180000,
    ...differences,
  };
}

export function view(backends: readonly BackendView[], differences: Partial<View> = {}): View {
  const primary = backends.findIndex(({ role }) => role === 'primary');
  return { version: 1, backends, primary: primary === -1 ? null : primary, epoch: 1, splitBrain: false, ...differences };
}

export function pool(name: string, differences: Partial<PoolStats> = {}): PoolStats {
  return {
    backend: name,
    connections: { connecting: 0, idle: 0, active: 0, quarantined: 0 },
    waiters: 0,
    limit: 50,
    ...differences,
  };
}

/** Sources whose view and pools a test may exchange while they are read. */
export interface AdjustableSources extends AdminSources {
  view: View;
  poolStats: PoolStats[];
}

export function sources(): AdjustableSources {
  const adjustable: AdjustableSources = {
    version: '1.2.3',
    measures: new Measures(),
    view: view([backend(0), backend(1)]),
    poolStats: [],
    views: { current: () => adjustable.view },
    eventLoopDelay: new Histogram(),
    clock: { now: () => 5000, wallNow: () => 0, after: () => ({ cancel: () => undefined }) },
    pools: () => adjustable.poolStats,
    clients: () => ({
      states: { login: 0, idle: 7, active: 2, waiting: 1, 'idle in transaction': 0 },
      pinned: 1,
      limit: 10_000,
    }),
    statementCache: () => ({ entries: 3, hits: 100, misses: 4 }),
    preparedStatements: () => ({ count: 2, bytes: 512 }),
    workers: () => [{ slot: 0, cpuSeconds: 1.5, residentBytes: 100_000_000 }],
    lostWorkers: 0,
  };
  return adjustable;
}
