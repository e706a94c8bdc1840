import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { loadBackendTls } from '../../src/backend/tls.ts';
import type { Catalog } from '../../src/sql/catalog.ts';
import { CatalogLoader, type CatalogLoaderOptions } from '../../src/topology/catalog-loader.ts';
import { Monitor } from '../../src/topology/monitor.ts';
import { BackendProber } from '../../src/topology/probe.ts';
import type { View } from '../../src/topology/view.ts';
import { realClock } from '../../src/util/real-clock.ts';
import { silentTelemetry } from '../../src/util/telemetry.ts';
import { toWireText } from '../../src/util/wire-text.ts';
import { type Cluster, type PostgresNode, startCluster } from '../support/cluster.ts';

interface Loading extends Disposable {
  readonly loader: CatalogLoader;
  readonly events: string[];
  until(database: string, what: string, condition: (catalog: Catalog) => boolean): Promise<Catalog>;
}

/** Only the primary is known. */
function primaryAlone(node: PostgresNode, primary: () => number | null = () => 0): CatalogLoaderOptions['topology'] {
  const backends = [{ index: 0, host: node.host, port: node.port }];
  return { current: () => ({ primary: primary(), backends }) as unknown as View, waitForFence: () => null };
}

function loading(user: string, topology: CatalogLoaderOptions['topology']): Loading {
  const events: string[] = [];
  const loader = new CatalogLoader({
    login: { ...LOGIN, user, applicationName: 'pgweir catalog' },
    topology,
    clock: realClock,
    telemetry: { log: (_, event, fields = {}) => events.push(`${event} ${String(fields.database)}`) },
  });
  return {
    loader,
    events,
    async until(database, what, condition) {
      const deadline = performance.now() + 10_000;
      for (;;) {
        const catalog = loader.catalogFor(toWireText(database));
        if (condition(catalog)) return catalog;
        if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
        await sleep(5);
      }
    },
    [Symbol.dispose]: () => loader.close(),
  };
}

const LOGIN = {
  user: 'postgres',
  password: null,
  tls: () => loadBackendTls({ mode: 'disable', caFile: null, certFile: null, keyFile: null }),
  timeoutMs: 10_000,
};

const name = (text: string) => ({ schema: null, name: toWireText(text) });

it('catalogs are loaded when they are asked for, for each database its own, and again after DDL', async () => {
  await using cluster = await startCluster({ replicas: 0 });
  const { primary } = cluster;
  await primary.query('CREATE ROLE watcher LOGIN');
  await primary.query('CREATE DATABASE "büro"');
  await primary.query("CREATE FUNCTION f() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1'; CREATE UNLOGGED TABLE u (n int)");
  await primary.query("CREATE FUNCTION f() RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1'", 'büro');
  using catalogs = loading('watcher', primaryAlone(primary));
  const { loader, until } = catalogs;
  expect(loader.catalogFor('postgres').loaded).toBe(false);

  const first = await until('postgres', 'loaded', (catalog) => catalog.loaded);
  expect(first).toMatchObject({ database: 'postgres' });
  expect(first.userFunction(name('f'))).toMatchObject({ effect: 'read' });
  expect(first.relation(name('u'))?.reading).toMatchObject({ effect: 'write', reason: 'unlogged relation' });
  const other = await until('büro', 'loaded', (catalog) => catalog.loaded);
  expect(other.userFunction(name('f'))).toMatchObject({ reason: 'volatile function' });

  // DDL: at once no function is trusted, then the new truth is there.
  await primary.query("CREATE OR REPLACE FUNCTION f() RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 2'; CREATE TABLE t (n int)");
  loader.refresh('postgres');
  const doubted = loader.catalogFor('postgres');
  expect(doubted.version).not.toBe(first.version);
  expect(doubted).toMatchObject({ loaded: true });
  expect(doubted.userFunction(name('f'))).toBeNull();
  expect(doubted.relation(name('u'))?.reading).toMatchObject({ reason: 'unlogged relation' });
  const second = await until('postgres', 'loaded again', (catalog) => catalog.relation(name('t')) !== null);
  expect(second.userFunction(name('f'))).toMatchObject({ reason: 'volatile function' });
  expect(loader.catalogFor(toWireText('büro'))).toBe(other);

  // DDL that changed nothing here (a temporary table, or one that was rolled back): the same object comes back.
  await primary.query('CREATE TEMP TABLE temporary (n int DEFAULT 1)');
  await primary.query('CREATE INDEX ON t (n); ANALYZE t');
  loader.refresh('postgres');
  expect(loader.catalogFor('postgres')).not.toBe(second);
  expect(await until('postgres', 'trusted again', (catalog) => catalog === second)).toBe(second);

  // However fast it comes, the last of it is seen.
  for (let i = 0; i < 30; i++) {
    await primary.query(`CREATE TABLE many_${i} (n int)`);
    loader.refresh('postgres');
    loader.catalogFor('postgres');
  }
  await until(
    'postgres',
    'all tables',
    (catalog) => catalog.relation(name('many_29')) !== null && catalog.userFunction(name('f')) !== null,
  );
  expect(catalogs.events).toEqual([]);
});

it('a database that cannot be asked stays unloaded, which is said once, and loads when it can', async () => {
  await using cluster = await startCluster({ replicas: 0, hba: ['host all watcher all trust'] });
  const { primary } = cluster;
  await primary.query('CREATE ROLE watcher LOGIN; CREATE ROLE owner LOGIN');
  await primary.query('REVOKE CONNECT ON DATABASE postgres FROM PUBLIC');
  let known: number | null = null;
  using catalogs = loading(
    'watcher',
    primaryAlone(primary, () => known),
  );
  expect(catalogs.loader.catalogFor('postgres').loaded).toBe(false);
  expect(catalogs.loader.catalogFor('\xff no text').loaded).toBe(false);
  await sleep(200);
  expect(catalogs.events).toEqual([]);

  known = 0;
  const deadline = performance.now() + 10_000;
  while (catalogs.events.length === 0 && performance.now() < deadline) {
    catalogs.loader.refresh('postgres');
    catalogs.loader.catalogFor('postgres');
    await sleep(20);
  }
  expect(catalogs.loader.catalogFor('postgres').loaded).toBe(false);
  await primary.query('GRANT CONNECT ON DATABASE postgres TO PUBLIC');
  catalogs.loader.refresh('postgres');
  await catalogs.until('postgres', 'loaded', (catalog) => catalog.loaded);
  expect(catalogs.events).toEqual(['catalog_not_loaded postgres', 'catalog_loaded postgres']);
});

it('a replica is read that contains all of it, so that no snapshot on the primary holds VACUUM back', async () => {
  await using cluster = await startCluster({ replicas: 1, settings: { log_connections: 'all', log_line_prefix: '%a ' } });
  const { primary } = cluster;
  const asked = (node: PostgresNode | undefined) => node?.log(10_000).includes('pgweir catalog') ?? false;
  using monitoring = await monitored(cluster);
  using catalogs = loading('postgres', monitoring.monitor);
  await catalogs.until('postgres', 'loaded', (catalog) => catalog.loaded);
  for (let i = 0; i < 5; i++) {
    await primary.query(`CREATE TABLE t${i} (n int)`);
    catalogs.loader.refresh('postgres');
    await catalogs.until('postgres', 'the table', (catalog) => catalog.relation(name(`t${i}`)) !== null);
  }
  expect([asked(primary), asked(cluster.replicas[0])]).toEqual([false, true]);

  // Without a replica the primary is asked.
  await cluster.replicas[0]?.stop();
  await primary.query('CREATE TABLE last (n int)');
  catalogs.loader.refresh('postgres');
  await catalogs.until('postgres', 'the table', (catalog) => catalog.relation(name('last')) !== null);
  expect(asked(primary)).toBe(true);
  expect(catalogs.events).toEqual([]);
});

it('a replica that refuses is left for the primary', async () => {
  await using cluster = await startCluster({ replicas: 0 });
  const { host, port } = cluster.primary;
  const backends = [
    { index: 0, role: 'primary', host, port },
    { index: 1, role: 'replica', host, port: 1, problem: null, freshThroughMs: Infinity, expiresAtMs: Infinity },
  ];
  const view = { primary: 0, backends } as unknown as View;
  using catalogs = loading('postgres', { current: () => view, waitForFence: () => null });
  await catalogs.until('postgres', 'loaded', (catalog) => catalog.loaded);
  expect(catalogs.events).toEqual([]);
});

it('what a replica cancels is asked of the primary', async () => {
  await using cluster = await startCluster({ replicas: 1, settings: { log_connections: 'all', log_line_prefix: '%a ' } });
  using monitoring = await monitored(cluster);
  const [replica] = cluster.replicas;
  await replica?.query("ALTER SYSTEM SET statement_timeout = '1ms'");
  await replica?.query('SELECT pg_reload_conf()');
  while (!replica?.log(100).includes('"statement_timeout" changed')) await sleep(5);
  using catalogs = loading('postgres', monitoring.monitor);
  await catalogs.until('postgres', 'loaded', (catalog) => catalog.loaded);
  expect(replica.log(100)).toContain('pgweir catalog ERROR');
  expect(catalogs.events).toEqual([]);
});

async function monitored({ nodes }: Cluster): Promise<{ readonly monitor: Monitor } & Disposable> {
  const monitor = new Monitor({
    backends: nodes.map(({ name, host, port }) => ({ name, host, port, weight: 1 })),
    settings: { intervalMs: 100, idleIntervalMs: 1_000, observationLifeMs: 60_000, maxLagMs: 60_000, maxLagBytes: null },
    clock: realClock,
    telemetry: silentTelemetry,
    createProber: ({ host, port }, report) =>
      new BackendProber({ ...LOGIN, host, port, database: 'postgres', applicationName: 'pgweir monitor' }, realClock, report),
  });
  await monitor.start();
  while (monitor.current().backends.some(({ problem }) => problem !== null)) await sleep(5);
  return { monitor, [Symbol.dispose]: () => monitor.stop() };
}
