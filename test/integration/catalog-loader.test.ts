import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { loadBackendTls } from '../../src/backend/tls.ts';
import type { Catalog } from '../../src/sql/catalog.ts';
import { CatalogLoader } from '../../src/topology/catalog-loader.ts';
import type { View } from '../../src/topology/view.ts';
import { realClock } from '../../src/util/real-clock.ts';
import { toWireText } from '../../src/util/wire-text.ts';
import { type PostgresNode, startCluster } from '../support/cluster.ts';

interface Loading extends Disposable {
  readonly loader: CatalogLoader;
  readonly events: string[];
  until(database: string, what: string, condition: (catalog: Catalog) => boolean): Promise<Catalog>;
}

function loading(node: PostgresNode, user: string, primary: () => number | null = () => 0): Loading {
  const backends = [{ index: 0, host: node.host, port: node.port }];
  const events: string[] = [];
  const loader = new CatalogLoader({
    login: {
      user,
      password: null,
      tls: () => loadBackendTls({ mode: 'disable', caFile: null, certFile: null, keyFile: null }),
      timeoutMs: 10_000,
      applicationName: 'pgweir catalog',
    },
    // Only where the primary is matters here.
    views: { current: () => ({ primary: primary(), backends }) as unknown as View },
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

const name = (text: string) => ({ schema: null, name: toWireText(text) });

it('catalogs are loaded when they are asked for, for each database its own, and again after DDL', async () => {
  await using cluster = await startCluster({ replicas: 0 });
  const { primary } = cluster;
  await primary.query('CREATE ROLE watcher LOGIN');
  await primary.query('CREATE DATABASE "büro"');
  await primary.query("CREATE FUNCTION f() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1'; CREATE UNLOGGED TABLE u (n int)");
  await primary.query("CREATE FUNCTION f() RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1'", 'büro');
  using catalogs = loading(primary, 'watcher');
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
  using catalogs = loading(primary, 'watcher', () => known);
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
