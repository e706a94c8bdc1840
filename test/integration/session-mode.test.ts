import type pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { connectPg, expectWholePools, WHERE } from '../support/weather.ts';

/** `pool.mode: session`: one connection of the primary for the life of a client, while reads are split as ever. */
let cluster: Cluster;
let pgweir: Pgweir;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 });
  await cluster.primary.query('CREATE TABLE notes (n int)');
  // Where a statement runs must not depend on how busy the machine is.
  pgweir = await startPgweir(cluster, 'pool: { mode: session, max_per_backend: 2 }\nrouting: { fence_wait: 10s }');
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

afterEach(() => expectWholePools(pgweir, cluster));

const portOf = async (client: pg.Client): Promise<number> => (await client.query(WHERE)).rows[0].port;
const writerPid = async (client: pg.Client): Promise<number> =>
  (await client.query('INSERT INTO notes VALUES (1) RETURNING pg_backend_pid() AS pid')).rows[0].pid;

test('the writes of a client all run on one connection, which no other gets meanwhile; its reads run on the replica', async () => {
  const [one, other] = await Promise.all([1, 2].map(() => connectPg(pgweir.port)));
  if (one === undefined || other === undefined) return;
  const pids = new Map([one, other].map((client) => [client, new Set<number>()]));
  for (let round = 0; round < 10; round++) {
    for (const [client, seen] of pids) {
      seen.add(await writerPid(client));
      expect(await portOf(client)).toBe(cluster.replicas[0]?.port);
    }
  }
  const [ofOne, ofOther] = [...pids.values()].map((seen) => [...seen]);
  expect(ofOne).toHaveLength(1);
  expect(ofOther).toHaveLength(1);
  expect(ofOne).not.toEqual(ofOther);
  await Promise.all([one.end(), other.end()]);
});

test('a client more than there are connections has its writes wait until one leaves, not its reads', async () => {
  const clients = await Promise.all([1, 2, 3].map(() => connectPg(pgweir.port)));
  const [one, two, three] = clients as [pg.Client, pg.Client, pg.Client];
  for (const client of [one, two]) await writerPid(client);
  let written = false;
  const waits = writerPid(three).then(() => {
    written = true;
  });
  const reader = await connectPg(pgweir.port);
  for (let round = 0; round < 20; round++) expect(await portOf(reader)).toBe(cluster.replicas[0]?.port);
  expect(written).toBe(false);
  await one.end();
  await waits;
  for (const client of [two, three, reader]) await client.end();
});

test('what a client leaves on its connection is not met by the next one', async () => {
  for (let round = 0; round < 5; round++) {
    const client = await connectPg(pgweir.port);
    await client.query('CREATE TEMP TABLE mine (id int)');
    await client.query("SET work_mem = '7MB'");
    await client.query('SELECT pg_advisory_lock(3)');
    await client.query('PREPARE p AS SELECT 1');
    await client.query('LISTEN there');
    await client.query('BEGIN; INSERT INTO notes VALUES (2)');
    await client.end();
    const next = await connectPg(pgweir.port);
    const { rows } = await next.query(`INSERT INTO notes VALUES (3) RETURNING current_setting('work_mem') AS work_mem,
      to_regclass('pg_temp.mine') AS mine, (SELECT count(*)::int FROM pg_prepared_statements WHERE from_sql) AS prepared,
      (SELECT count(*)::int FROM pg_listening_channels()) AS channels, (SELECT count(*)::int FROM notes WHERE n = 2) AS notes`);
    expect(rows).toEqual([{ work_mem: '4MB', mine: null, prepared: 0, channels: 0, notes: 0 }]);
    expect((await next.query('SELECT pg_try_advisory_lock(3) AS free')).rows).toEqual([{ free: true }]);
    await next.end();
  }
});

test('a client whose connection is lost outside a transaction goes on with another one', async () => {
  const client = await connectPg(pgweir.port);
  const pid = await writerPid(client);
  await cluster.primary.query(`SELECT pg_terminate_backend(${pid}, 5000)`);
  expect(await portOf(client)).toBe(cluster.replicas[0]?.port);
  expect(await writerPid(client)).not.toBe(pid);
  await client.end();
});
