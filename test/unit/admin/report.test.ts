import { expect, test } from 'vitest';
import { Metrics } from '../../../src/admin/metrics.ts';
import type { AdminSources } from '../../../src/admin/ports.ts';
import { MergedSources, reportOf } from '../../../src/admin/report.ts';
import { backend, pool, sources, view } from './fixtures.ts';

/** One worker's numbers, times `factor` where they are counted. */
function worker(slot: number, factor: number): AdminSources {
  const from = sources();
  from.poolStats = [
    pool('pg1', { connections: { connecting: 0, idle: factor, active: 1, quarantined: 0 }, waiters: factor, limit: 25 }),
    ...(slot === 0 ? [] : [pool('pg2', { limit: 25 })]),
  ];
  from.measures.routed.inc('replica', 'plain read', 10 * factor);
  from.measures.transactions = 100 * factor;
  for (let count = 0; count < factor; count++) from.measures.queryTimeReplica.observe(0.0002);
  from.eventLoopDelay.observe(0.001);
  return { ...from, workers: () => [{ slot, cpuSeconds: factor, residentBytes: 1000 }] };
}

function merged(): MergedSources {
  const { version, clock } = sources();
  const views = { current: () => view([backend(0), backend(1)]) };
  const sum = new MergedSources({ version, clock, views });
  sum.reported(0, structuredClone(reportOf(worker(0, 1))));
  sum.reported(1, structuredClone(reportOf(worker(1, 2))));
  return sum;
}

async function samples(from: AdminSources, ...wanted: string[]): Promise<Record<string, number>> {
  const lines = (await new Metrics(from).text()).split('\n');
  const value = (name: string) => lines.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1);
  return Object.fromEntries(wanted.map((name) => [name, Number(value(name))]));
}

const COUNTED = {
  'pgweir_routed_total{target="replica",reason="plain read"}': 30,
  pgweir_transactions_total: 300,
  'pgweir_query_seconds_count{target="replica"}': 3,
  'pgweir_query_seconds_bucket{target="replica",le="0.00025"}': 3,
  pgweir_event_loop_delay_seconds_count: 2,
  pgweir_statement_cache_hits_total: 200,
};

const PRESENT = {
  'pgweir_clients{state="idle"}': 14,
  pgweir_clients_limit: 20_000,
  'pgweir_backend_connections{backend="pg1",state="idle"}': 3,
  'pgweir_backend_connections_limit{backend="pg1"}': 50,
  'pgweir_backend_connections_limit{backend="pg2"}': 25,
  'pgweir_pool_waiters{backend="pg1"}': 3,
  pgweir_prepared_statements: 4,
  pgweir_workers: 2,
  'pgweir_worker_cpu_seconds_total{worker="1"}': 2,
};

const TOPOLOGY = { 'pgweir_backend_up{backend="pg1",role="primary"}': 1, pgweir_topology_epoch: 1, pgweir_split_brain: 0 };

test('what workers count is added up, what they hold too, and the topology is the one that all share', async () => {
  const all = { ...COUNTED, ...PRESENT, ...TOPOLOGY };
  expect(await samples(merged(), ...Object.keys(all))).toEqual(all);
});

test('what a worker counted stays counted when it is gone; what it held does not', async () => {
  const sum = merged();
  sum.gone(1);
  expect(await samples(sum, ...Object.keys(COUNTED))).toEqual(COUNTED);
  const present = { 'pgweir_clients{state="idle"}': 7, pgweir_workers: 1, pgweir_clients_limit: 10_000 };
  expect(await samples(sum, ...Object.keys(present))).toEqual(present);
});

test('another one in its place counts from zero, beside what was before', async () => {
  const sum = merged();
  sum.gone(1);
  sum.gone(1);
  sum.reported(1, reportOf(worker(1, 1)));
  expect(await samples(sum, 'pgweir_transactions_total')).toEqual({ pgweir_transactions_total: 400 });
  sum.reported(1, reportOf(worker(1, 3)));
  expect(await samples(sum, 'pgweir_transactions_total')).toEqual({ pgweir_transactions_total: 600 });
});
