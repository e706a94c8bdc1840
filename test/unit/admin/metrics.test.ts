import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { METRICS, Metrics } from '../../../src/admin/metrics.ts';
import { metricsReference } from '../../../src/admin/reference.ts';
import { parseLsn } from '../../../src/util/lsn.ts';
import { backend, pool, sources, view } from './fixtures.ts';

/** The samples of one metric, as lines. */
async function samples(metrics: Metrics, name: string): Promise<string[]> {
  const lines = (await metrics.text()).split('\n');
  return lines.filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
}

describe('the table', () => {
  test('holds each name once', () => {
    expect(new Set(METRICS.map(({ name }) => name)).size).toBe(METRICS.length);
  });

  test.each(METRICS)('$name follows the naming conventions of Prometheus', ({ name, type, labels, help }) => {
    expect(name).toMatch(/^pgweir_[a-z]+(_[a-z]+)*$/);
    expect(name.endsWith('_total')).toBe(type === 'counter');
    if (type === 'histogram') expect(name).toMatch(/_seconds$/);
    for (const label of labels) expect(label).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect(labels).not.toContain('le');
    expect(help).toMatch(/^[A-Z0-9].*\.$/);
  });

  test('is what metrics.md says (npm run generate)', () => {
    expect(readFileSync('src/admin/metrics.md', 'utf8')).toBe(metricsReference());
  });
});

describe('a scrape', () => {
  test('shows every metric of the table with its help and type', async () => {
    const text = await new Metrics(sources()).text();
    for (const { name, help, type } of METRICS) {
      expect(text).toContain(`# HELP ${name} ${help}\n# TYPE ${name} ${type}`);
    }
  });

  test('shows the process itself, without the metrics that mislead or cost', async () => {
    const text = await new Metrics(sources()).text();
    expect(text).toMatch(/^process_resident_memory_bytes \d+/m);
    expect(text).toMatch(/^process_cpu_seconds_total \d+/m);
    expect(text).not.toMatch(/nodejs_eventloop|nodejs_active/);
  });

  test('reads the topology of its own moment', async () => {
    const from = sources();
    const metrics = new Metrics(from);
    expect(await samples(metrics, 'pgweir_backend_up')).toEqual([
      'pgweir_backend_up{backend="pg1",role="primary"} 1',
      'pgweir_backend_up{backend="pg2",role="replica"} 1',
    ]);
    const lost = { up: false, role: 'unknown', problem: 'unreachable', lagMs: null, lagBytes: null, timeline: null } as const;
    from.view = view([backend(0, lost), backend(1, { role: 'primary' })], { epoch: 2 });
    expect(await samples(metrics, 'pgweir_backend_up')).toEqual([
      'pgweir_backend_up{backend="pg1",role="unknown"} 0',
      'pgweir_backend_up{backend="pg2",role="primary"} 1',
    ]);
    expect(await samples(metrics, 'pgweir_backend_problem')).toEqual([
      'pgweir_backend_problem{backend="pg1",problem="unreachable"} 1',
    ]);
    expect(await samples(metrics, 'pgweir_topology_epoch')).toEqual(['pgweir_topology_epoch 2']);
  });

  test('shows one role of each backend as the current one', async () => {
    expect(await samples(new Metrics(sources()), 'pgweir_backend_role')).toEqual([
      'pgweir_backend_role{backend="pg1",role="primary"} 1',
      'pgweir_backend_role{backend="pg1",role="replica"} 0',
      'pgweir_backend_role{backend="pg1",role="unknown"} 0',
      'pgweir_backend_role{backend="pg2",role="primary"} 0',
      'pgweir_backend_role{backend="pg2",role="replica"} 1',
      'pgweir_backend_role{backend="pg2",role="unknown"} 0',
    ]);
  });

  test('gives lag in seconds and bytes, and no number where it is unknown', async () => {
    const from = sources();
    from.view = view([backend(0), backend(1), backend(2, { lagMs: null, lagBytes: null, problem: 'lag unknown' })]);
    const metrics = new Metrics(from);
    expect(await samples(metrics, 'pgweir_backend_lag_seconds')).toEqual([
      'pgweir_backend_lag_seconds{backend="pg1"} 0',
      'pgweir_backend_lag_seconds{backend="pg2"} 0.0125',
    ]);
    expect(await samples(metrics, 'pgweir_backend_lag_bytes')).toEqual([
      'pgweir_backend_lag_bytes{backend="pg1"} 0',
      'pgweir_backend_lag_bytes{backend="pg2"} 4096',
    ]);
  });

  test('gives a WAL position as the number of bytes', async () => {
    const from = sources();
    from.view = view([backend(0, { lsn: parseLsn('1/00000010') })]);
    expect(await samples(new Metrics(from), 'pgweir_backend_wal_position_bytes')).toEqual([
      `pgweir_backend_wal_position_bytes{backend="pg1"} ${2 ** 32 + 16}`,
    ]);
  });

  test('a backend whose last observation expired is not up, whatever it said', async () => {
    const from = sources();
    from.view = view([backend(0, { expiresAtMs: 5000 }), backend(1, { expiresAtMs: 4999 })]);
    expect(await samples(new Metrics(from), 'pgweir_backend_up')).toEqual([
      'pgweir_backend_up{backend="pg1",role="primary"} 1',
      'pgweir_backend_up{backend="pg2",role="replica"} 0',
    ]);
  });

  test('shows the connections of each pool by state', async () => {
    const from = sources();
    from.poolStats = [pool('pg1', { connections: { connecting: 1, idle: 2, active: 3, quarantined: 0 }, waiters: 4, limit: 7 })];
    const metrics = new Metrics(from);
    expect(await samples(metrics, 'pgweir_backend_connections')).toEqual([
      'pgweir_backend_connections{backend="pg1",state="connecting"} 1',
      'pgweir_backend_connections{backend="pg1",state="idle"} 2',
      'pgweir_backend_connections{backend="pg1",state="active"} 3',
      'pgweir_backend_connections{backend="pg1",state="quarantined"} 0',
    ]);
    expect(await samples(metrics, 'pgweir_backend_connections_limit')).toEqual([
      'pgweir_backend_connections_limit{backend="pg1"} 7',
    ]);
    expect(await samples(metrics, 'pgweir_pool_waiters')).toEqual(['pgweir_pool_waiters{backend="pg1"} 4']);
  });

  test('counts connections per backend from zero, and keeps the count of one that has left', async () => {
    const from = sources();
    from.measures.connectionsOpened.inc('pg1');
    from.measures.connectionsOpened.inc('gone');
    expect(await samples(new Metrics(from), 'pgweir_backend_connections_opened_total')).toEqual([
      'pgweir_backend_connections_opened_total{backend="pg1"} 1',
      'pgweir_backend_connections_opened_total{backend="pg2"} 0',
      'pgweir_backend_connections_opened_total{backend="gone"} 1',
    ]);
  });

  test('counts what the floors below counted', async () => {
    const from = sources();
    const { measures } = from;
    measures.routed.inc('replica', 'plain read');
    measures.routed.inc('replica', 'plain read');
    measures.routed.inc('primary', 'data modification');
    measures.retries.inc('57P01');
    measures.errors.inc('no_primary');
    measures.clientSentBytes += 2 ** 40;
    const metrics = new Metrics(from);
    expect(await samples(metrics, 'pgweir_routed_total')).toEqual([
      'pgweir_routed_total{target="replica",reason="plain read"} 2',
      'pgweir_routed_total{target="primary",reason="data modification"} 1',
    ]);
    expect(await samples(metrics, 'pgweir_retries_total')).toEqual(['pgweir_retries_total{cause="57P01"} 1']);
    expect(await samples(metrics, 'pgweir_client_sent_bytes_total')).toEqual([`pgweir_client_sent_bytes_total ${2 ** 40}`]);
    const errors = await samples(metrics, 'pgweir_errors_total');
    expect(errors).toContain('pgweir_errors_total{kind="no_primary"} 1');
    expect(errors).toContain('pgweir_errors_total{kind="internal"} 0');
  });

  test('gives histograms as cumulative buckets up to +Inf, with sum and count', async () => {
    const from = sources();
    for (const seconds of [0.0002, 0.0002, 0.003, 100]) from.measures.queryTimeReplica.observe(seconds);
    const lines = (await new Metrics(from).text()).split('\n').filter((line) => line.includes('target="replica"'));
    expect(lines).toContain('pgweir_query_seconds_bucket{target="replica",le="0.0001"} 0');
    expect(lines).toContain('pgweir_query_seconds_bucket{target="replica",le="0.00025"} 2');
    expect(lines).toContain('pgweir_query_seconds_bucket{target="replica",le="0.005"} 3');
    expect(lines).toContain('pgweir_query_seconds_bucket{target="replica",le="60"} 3');
    expect(lines).toContain('pgweir_query_seconds_bucket{target="replica",le="+Inf"} 4');
    expect(lines).toContain('pgweir_query_seconds_sum{target="replica"} 100.0034');
    expect(lines).toContain('pgweir_query_seconds_count{target="replica"} 4');
  });

  test('escapes label values', async () => {
    const from = sources();
    from.view = view([backend(0, { name: 'a"b\\c\nd' })]);
    expect(await samples(new Metrics(from), 'pgweir_backend_up')).toEqual([
      'pgweir_backend_up{backend="a\\"b\\\\c\\nd",role="primary"} 1',
    ]);
  });

  test('asked twice at once reads once', async () => {
    const from = sources();
    let reads = 0;
    const clients = from.clients;
    from.clients = () => {
      reads++;
      return clients();
    };
    const metrics = new Metrics(from);
    await metrics.text();
    const readsOfOne = reads;
    const [first, second] = await Promise.all([metrics.text(), metrics.text()]);
    expect(first).toBe(second);
    expect(reads).toBe(2 * readsOfOne);
  });

  test('fails as a whole when a source fails, and works again afterwards', async () => {
    const from = sources();
    const metrics = new Metrics(from);
    const clients = from.clients;
    from.clients = () => {
      throw new Error('broken');
    };
    await expect(metrics.text()).rejects.toThrow('broken');
    from.clients = clients;
    await expect(metrics.text()).resolves.toContain('pgweir_clients{state="idle"} 7');
  });
});
