/**
 * What is measured: one table, from which the registry and the reference (`metrics.md`) derive.
 *
 * Nothing is pushed here. The forwarding path writes plain numbers into `util/measures.ts`, everything that is true at an
 * instant is held where it happens, and a scrape reads both. So a metric costs nothing while nobody looks, and cannot
 * disagree with the page. This file is the only door to prom-client, which knows the exposition format and the process.
 */
import { collectDefaultMetrics, type Metric as PromMetric, Registry } from 'prom-client';
import type { LabelCounter } from '../util/counter.ts';
import { ERRORS } from '../util/errors.ts';
import type { Histogram } from '../util/histogram.ts';
import { counter, gauge, histogram, type Metric } from './metric.ts';
import { type AdminSources, CLIENT_STATES, CONNECTION_STATES } from './ports.ts';
import { isUp } from './readiness.ts';

const BACKENDS: readonly Metric[] = [
  gauge(
    'pgweir_backend_up',
    ['backend', 'role'],
    '1 while the last probe succeeded and has not expired.',
    ({ views, clock }, emit) => {
      const nowMs = clock.now();
      for (const backend of views.current().backends) emit(isUp(backend, nowMs) ? 1 : 0, backend.name, backend.role);
    },
  ),
  gauge(
    'pgweir_backend_role',
    ['backend', 'role'],
    '1 for the role that the backend has now, 0 for the others.',
    ({ views }, emit) => {
      for (const backend of views.current().backends) {
        for (const role of ['primary', 'replica', 'unknown']) emit(backend.role === role ? 1 : 0, backend.name, role);
      }
    },
  ),
  gauge(
    'pgweir_backend_problem',
    ['backend', 'problem'],
    '1 for the reason why the backend is not used; absent when it is used.',
    ({ views }, emit) => {
      for (const { name, problem } of views.current().backends) if (problem !== null) emit(1, name, problem);
    },
  ),
  gauge(
    'pgweir_backend_lag_seconds',
    ['backend'],
    'Age of the latest instant of the primary that the replica is known to contain; absent when unknown.',
    ({ views }, emit) => {
      for (const { name, lagMs } of views.current().backends) if (lagMs !== null) emit(lagMs / 1000, name);
    },
  ),
  gauge(
    'pgweir_backend_lag_bytes',
    ['backend'],
    'WAL that the primary has and the replica has not replayed; absent when unknown.',
    ({ views }, emit) => {
      for (const { name, lagBytes } of views.current().backends) if (lagBytes !== null) emit(lagBytes, name);
    },
  ),
  gauge(
    'pgweir_backend_wal_position_bytes',
    ['backend'],
    'Insert position of the primary, replay position of a replica; absent when unknown.',
    ({ views }, emit) => {
      for (const { name, lsn } of views.current().backends) if (lsn !== null) emit(lsn, name);
    },
  ),
  gauge('pgweir_backend_timeline', ['backend'], 'Timeline that the backend is on; absent when unknown.', ({ views }, emit) => {
    for (const { name, timeline } of views.current().backends) if (timeline !== null) emit(timeline, name);
  }),
  gauge(
    'pgweir_backend_warmth_ratio',
    ['backend'],
    'Share of its weight that the backend gets during its slow start.',
    ({ views }, emit) => {
      for (const { name, warmth } of views.current().backends) emit(warmth, name);
    },
  ),
  gauge('pgweir_topology_epoch', [], 'Grows with each change of the primary.', ({ views }, emit) => emit(views.current().epoch)),
  gauge('pgweir_split_brain', [], '1 while more than one backend takes writes.', ({ views }, emit) =>
    emit(views.current().splitBrain ? 1 : 0),
  ),
];

const POOLS: readonly Metric[] = [
  gauge(
    'pgweir_backend_connections',
    ['backend', 'state'],
    'Connections to the backend by what they are doing.',
    (sources, emit) => {
      for (const { backend, connections } of sources.pools()) {
        for (const state of CONNECTION_STATES) emit(connections[state], backend, state);
      }
    },
  ),
  gauge('pgweir_backend_connections_limit', ['backend'], 'The most connections to the backend.', (sources, emit) => {
    for (const { backend, limit } of sources.pools()) emit(limit, backend);
  }),
  gauge('pgweir_pool_waiters', ['backend'], 'Work that waits for a connection to the backend.', (sources, emit) => {
    for (const { backend, waiters } of sources.pools()) emit(waiters, backend);
  }),
  counter(
    'pgweir_backend_connections_opened_total',
    ['backend'],
    'Connections that were opened and logged in.',
    (sources, emit) => emitPerBackend(sources, sources.measures.connectionsOpened, emit),
  ),
  counter(
    'pgweir_backend_connections_closed_total',
    ['backend'],
    'Connections that ended, whoever ended them.',
    (sources, emit) => emitPerBackend(sources, sources.measures.connectionsClosed, emit),
  ),
  counter(
    'pgweir_backend_connections_failed_total',
    ['backend'],
    'Connections that could not be opened or logged in.',
    (sources, emit) => emitPerBackend(sources, sources.measures.connectionsFailed, emit),
  ),
  histogram('pgweir_pool_wait_seconds', [], 'How long work waited for a backend connection.', ({ measures }, emit) =>
    emit(measures.waitTime),
  ),
];

const CLIENTS: readonly Metric[] = [
  gauge('pgweir_clients', ['state'], 'Connected clients by what they are doing.', (sources, emit) => {
    const { states } = sources.clients();
    for (const state of CLIENT_STATES) emit(states[state], state);
  }),
  gauge('pgweir_clients_limit', [], 'The most clients that are let in.', (sources, emit) => emit(sources.clients().limit)),
  gauge('pgweir_clients_pinned', [], 'Clients whose session is bound to one backend connection.', (sources, emit) =>
    emit(sources.clients().pinned),
  ),
  counter('pgweir_clients_accepted_total', [], 'Client sockets accepted.', ({ measures }, emit) =>
    emit(measures.clientsAccepted),
  ),
  counter('pgweir_logins_total', [], 'Clients that logged in.', ({ measures }, emit) => emit(measures.clientsLoggedIn)),
  counter('pgweir_login_failures_total', ['reason'], 'Logins that were refused.', ({ measures }, emit) =>
    emitEach(measures.loginFailures, emit),
  ),
  histogram('pgweir_login_seconds', [], 'From accepting a client until it was logged in.', ({ measures }, emit) =>
    emit(measures.loginTime),
  ),
  counter('pgweir_client_received_bytes_total', [], 'Bytes received from clients.', ({ measures }, emit) =>
    emit(measures.clientReceivedBytes),
  ),
  counter('pgweir_client_sent_bytes_total', [], 'Bytes sent to clients.', ({ measures }, emit) => emit(measures.clientSentBytes)),
  counter('pgweir_backend_received_bytes_total', [], 'Bytes received from backends.', ({ measures }, emit) =>
    emit(measures.backendReceivedBytes),
  ),
  counter('pgweir_backend_sent_bytes_total', [], 'Bytes sent to backends.', ({ measures }, emit) =>
    emit(measures.backendSentBytes),
  ),
];

const WORK: readonly Metric[] = [
  counter('pgweir_routed_total', ['target', 'reason'], 'Batches by where they were sent and why.', ({ measures }, emit) => {
    for (const [target, reason, count] of measures.routed.entries()) emit(count, target, reason);
  }),
  histogram(
    'pgweir_query_seconds',
    ['target'],
    'From the arrival of a batch until its reply was complete.',
    ({ measures }, emit) => {
      emit(measures.queryTimePrimary, 'primary');
      emit(measures.queryTimeReplica, 'replica');
    },
  ),
  counter('pgweir_transactions_total', [], 'Transactions that ended, statements outside of one included.', ({ measures }, emit) =>
    emit(measures.transactions),
  ),
  counter('pgweir_retries_total', ['cause'], 'Statements that were run again unseen.', ({ measures }, emit) =>
    emitEach(measures.retries, emit),
  ),
  counter('pgweir_shared_reads_total', [], 'Reads that were sent on shared connections.', ({ measures }, emit) =>
    emit(measures.sharedReads),
  ),
  counter(
    'pgweir_prepared_reads_total',
    [],
    'Simple queries that were sent as prepared statements, with their integers as parameters.',
    ({ measures }, emit) => emit(measures.preparedReads),
  ),
  counter(
    'pgweir_unshared_total',
    ['cause'],
    'Shared connections that were left to one of their sessions, or given back.',
    ({ measures }, emit) => emitEach(measures.unshared, emit),
  ),
  counter(
    'pgweir_fence_waits_total',
    ['outcome'],
    'Reads that found no replica fresh enough: one was in time (`reached`) or not (`timeout`), or they did not wait, since none can be in time (`pointless`) or hardly any was of late (`impatient`).',
    ({ measures }, emit) => emitEach(measures.fenceWaits, emit),
  ),
  counter('pgweir_pins_total', ['reason'], 'Sessions that were bound to their connection.', ({ measures }, emit) =>
    emitEach(measures.pins, emit),
  ),
  counter('pgweir_unpins_total', ['reason'], 'Bindings that ended.', ({ measures }, emit) => emitEach(measures.unpins, emit)),
  counter('pgweir_cancels_total', ['outcome'], 'Cancel requests of clients.', ({ measures }, emit) =>
    emitEach(measures.cancels, emit),
  ),
  counter('pgweir_errors_total', ['kind'], 'Errors that pgweir itself reported to clients.', ({ measures }, emit) => {
    for (const kind of Object.keys(ERRORS)) emit(measures.errors.get(kind), kind);
  }),
];

const PROCESS: readonly Metric[] = [
  gauge('pgweir_statement_cache_entries', [], 'Statement shapes whose facts are known.', (sources, emit) =>
    emit(sources.statementCache().entries),
  ),
  counter('pgweir_statement_cache_hits_total', [], 'Statements whose shape was known.', (sources, emit) =>
    emit(sources.statementCache().hits),
  ),
  counter('pgweir_statement_cache_misses_total', [], 'Statements that had to be parsed.', (sources, emit) =>
    emit(sources.statementCache().misses),
  ),
  gauge('pgweir_prepared_statements', [], 'Distinct prepared statements that sessions hold.', (sources, emit) =>
    emit(sources.preparedStatements().count),
  ),
  gauge('pgweir_prepared_statements_bytes', [], 'Memory of the texts of prepared statements.', (sources, emit) =>
    emit(sources.preparedStatements().bytes),
  ),
  histogram(
    'pgweir_event_loop_delay_seconds',
    [],
    'How much later than due the event loop came to a timer.',
    ({ eventLoopDelay }, emit) => emit(eventLoopDelay),
  ),
  gauge('pgweir_workers', [], 'Processes that serve clients.', (sources, emit) => emit([...sources.workers()].length)),
  counter('pgweir_workers_lost_total', [], 'Workers that ended unasked, and were replaced.', ({ lostWorkers }, emit) =>
    emit(lostWorkers),
  ),
  counter('pgweir_worker_cpu_seconds_total', ['worker'], 'CPU time of each process that serves clients.', (sources, emit) => {
    for (const { slot, cpuSeconds } of sources.workers()) emit(cpuSeconds, String(slot));
  }),
  gauge('pgweir_worker_resident_memory_bytes', ['worker'], 'Memory of each process that serves clients.', (sources, emit) => {
    for (const { slot, residentBytes } of sources.workers()) emit(residentBytes, String(slot));
  }),
  gauge('pgweir_info', ['version'], 'Always 1.', ({ version }, emit) => emit(1, version)),
];

/** Every metric of pgweir's own, in the order of the reference. */
export const METRICS: readonly Metric[] = [...BACKENDS, ...POOLS, ...CLIENTS, ...WORK, ...PROCESS];

/**
 * prom-client's own that are kept. Not kept: `nodejs_eventloop_lag_*`, whose values include the sampling interval of 10 ms,
 * and `nodejs_active_*`, which walk every socket twice per scrape.
 */
const KEPT_DEFAULTS = /^(process_|nodejs_(heap_size|external_memory|gc|version))/;

/** A registry that reads `sources` at every scrape. Make one per process: the process's own metrics observe it. */
export class Metrics {
  readonly contentType: string = Registry.PROMETHEUS_CONTENT_TYPE;
  readonly #registry = new Registry();
  #scrape: Promise<string> | null = null;

  constructor(sources: AdminSources) {
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: 1000 });
    for (const { name } of this.#registry.getMetricsAsArray()) {
      if (!KEPT_DEFAULTS.test(name)) this.#registry.removeSingleMetric(name);
    }
    for (const metric of METRICS) {
      const { name, help, type } = metric;
      // The registry asks for a name and a `get`; its declared type asks for prom-client's own classes, which can only be pushed to.
      const pulled = { name, help, type, get: () => Promise.resolve({ name, help, type, values: samplesOf(metric, sources) }) };
      this.#registry.registerMetric(pulled as unknown as PromMetric);
    }
  }

  /** The text of one scrape, in Prometheus's format. Scrapes at the same time share one reading. */
  text(): Promise<string> {
    this.#scrape ??= this.#registry.metrics().finally(() => {
      this.#scrape = null;
    });
    return this.#scrape;
  }
}

interface Sample {
  readonly metricName: string;
  readonly labels: Record<string, string>;
  readonly value: number;
}

function samplesOf(metric: Metric, sources: AdminSources): Sample[] {
  const samples: Sample[] = [];
  const add = (metricName: string, value: number, labels: Record<string, string>) => samples.push({ metricName, labels, value });
  const named = (values: readonly string[]) =>
    Object.fromEntries(metric.labels.map((label, index) => [label, values[index] ?? '']));
  if (metric.type === 'histogram')
    metric.read(sources, (histogram, ...values) => addHistogram(metric.name, histogram, named(values), add));
  else metric.read(sources, (value, ...values) => add(metric.name, value, named(values)));
  return samples;
}

function addHistogram(
  name: string,
  histogram: Histogram,
  labels: Record<string, string>,
  add: (metricName: string, value: number, labels: Record<string, string>) => void,
): void {
  const cumulative = histogram.cumulative();
  cumulative.forEach((count, index) => {
    add(`${name}_bucket`, count, { ...labels, le: String(histogram.bounds[index] ?? '+Inf') });
  });
  add(`${name}_sum`, histogram.sum, labels);
  add(`${name}_count`, cumulative.at(-1) ?? 0, labels);
}

function emitEach(counts: LabelCounter, emit: (value: number, label: string) => void): void {
  for (const [label, count] of counts.entries()) emit(count, label);
}

/** Each backend of the view has a number from its start; one that has left the configuration keeps the one it had. */
function emitPerBackend({ views }: AdminSources, counts: LabelCounter, emit: (value: number, backend: string) => void): void {
  const names = new Set(views.current().backends.map(({ name }) => name));
  for (const name of names) emit(counts.get(name), name);
  for (const [name, count] of counts.entries()) if (!names.has(name)) emit(count, name);
}
