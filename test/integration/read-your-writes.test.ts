import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, type PostgresNode, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { connectPg, expectWholePools, ReadLoad, until } from '../support/weather.ts';

/** One replica is two seconds behind; nobody may see it who wrote since, or who saw more elsewhere. */
let cluster: Cluster;
let pgweir: Pgweir;
let healthy: PostgresNode;
let lagging: PostgresNode;

const SESSIONS = 50;
const PAIRS_EACH = 200;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 2 });
  [healthy, lagging] = cluster.replicas as [PostgresNode, PostgresNode];
  await cluster.primary.query('CREATE TABLE items (id int PRIMARY KEY, n int NOT NULL)');
  await cluster.primary.query(`INSERT INTO items SELECT id, 0 FROM generate_series(1, ${SESSIONS}) AS id`);
  await cluster.waitForReplay();
  await lagging.set('recovery_min_apply_delay', '2s');
  pgweir = await startPgweir(cluster);
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

function sessions(count: number): Promise<pg.Client[]> {
  return Promise.all(Array.from({ length: count }, () => connectPg(pgweir.port)));
}

const BUMP = 'UPDATE items SET n = n + 1 WHERE id = $1 RETURNING n';
const LOOK = "SELECT n, current_setting('port')::int AS port FROM items WHERE id = $1";

test('10 000 writes are each read by their session at once, while sessions that do not write read from the healthy replica', async () => {
  const writers = await sessions(SESSIONS);
  const readers = await ReadLoad.start(pgweir.port, 4);
  const reads = new Map<number, number>();
  const missed: string[] = [];
  await Promise.all(
    writers.map(async (client, index) => {
      for (let pair = 0; pair < PAIRS_EACH; pair++) {
        const written = await client.query(pair % 2 === 0 ? { name: 'bump', text: BUMP, values: [index + 1] } : BUMP, [
          index + 1,
        ]);
        const { rows } = await client.query(LOOK, [index + 1]);
        const { n, port } = rows[0];
        reads.set(port, (reads.get(port) ?? 0) + 1);
        if (n !== written.rows[0].n) missed.push(`session ${index} wrote ${written.rows[0].n} and read ${n} on port ${port}`);
      }
    }),
  );
  await readers.stop();
  expect(missed).toEqual([]);
  expect([...reads.values()].reduce((sum, count) => sum + count, 0)).toBe(SESSIONS * PAIRS_EACH);
  expect(reads.get(lagging.port) ?? 0, 'reads of writers on the lagging replica').toBe(0);

  expect(readers.failures).toEqual([]);
  // A session that has seen nothing yet may read the past, within routing.max_lag; afterwards it does not go back.
  expect(readers.answers.get(healthy.port) ?? 0).toBeGreaterThan(0);
  expect(readers.answers.get(cluster.primary.port) ?? 0, 'reads of others on the primary').toBeLessThan(readers.total / 10);
  const share = (count: number | undefined, total: number) => `${Math.round((100 * (count ?? 0)) / total)} %`;
  console.log(
    `writers' reads: ${share(reads.get(healthy.port), SESSIONS * PAIRS_EACH)} on the healthy replica, the rest on the primary; ` +
      `others' reads: ${share(readers.answers.get(healthy.port), readers.total)} of ${readers.total} there`,
  );
  await Promise.all(writers.map((client) => client.end()));
  await expectWholePools(pgweir, cluster);
});

test('what a session saw is never gone for it again, whichever replica serves it', async () => {
  const [writer, ...readers] = (await sessions(6)) as [pg.Client, ...pg.Client[]];
  const backwards: string[] = [];
  let over = false;
  const looking = readers.map(async (client) => {
    let last = -1;
    while (!over) {
      const { n, port } = (await client.query(LOOK, [1])).rows[0];
      if (n < last) backwards.push(`saw ${last}, then ${n} on port ${port}`);
      last = n;
    }
  });
  for (let round = 0; round < 300; round++) await writer.query(BUMP, [1]);
  over = true;
  await Promise.all(looking);
  expect(backwards).toEqual([]);
  await Promise.all([writer, ...readers].map((client) => client.end()));
});

test('with the lagging replica alone, reads of writers go to the primary and come back when it has caught up', async () => {
  await healthy.stop('fast');
  const [client] = (await sessions(1)) as [pg.Client];
  await client.query(BUMP, [2]);
  const first = (await client.query(LOOK, [2])).rows[0];
  expect(first.port).toBe(cluster.primary.port);
  // Each look at the primary moves the fence: the session has seen what is there now. So it pauses, as people do.
  await until('read on the replica again', async () => {
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    const { n, port } = (await client.query(LOOK, [2])).rows[0];
    expect(n).toBe(first.n);
    return port === lagging.port;
  });
  await client.end();
  await healthy.start();
});

test('a read-only transaction and a read with a hint see the writes of their session as well', async () => {
  const [client] = (await sessions(1)) as [pg.Client];
  for (let round = 0; round < 50; round++) {
    await client.query('BEGIN');
    const { n } = (await client.query(BUMP, [3])).rows[0];
    await client.query('COMMIT');
    await client.query('BEGIN READ ONLY');
    expect((await client.query(LOOK, [3])).rows[0].n).toBe(n);
    await client.query('COMMIT');
    expect((await client.query('/* pgweir: route=replica */ SELECT n FROM items WHERE id = 3')).rows[0].n).toBe(n);
  }
  await client.end();
});

test('a client that connects anew sees what its host wrote before', async () => {
  for (let round = 0; round < 30; round++) {
    const [writer] = await sessions(1);
    const { rows } = (await writer?.query(BUMP, [1])) ?? { rows: [] };
    await writer?.end();
    const [reader] = await sessions(1);
    const seen = await reader?.query(LOOK, [1]);
    await reader?.end();
    expect(seen?.rows[0].n).toBe(rows[0].n);
    expect(seen?.rows[0].port).not.toBe(lagging.port);
  }
});

test('where waiting for a replica is in vain, reads behind writes stop to wait, and begin again when it pays', async () => {
  await healthy.stop('fast');
  await lagging.set('recovery_min_apply_delay', '400ms');
  await using own = await startPgweir(cluster, 'routing: { fence_wait: 50ms }');
  const waits = (outcome: string) => own.metric(`pgweir_fence_waits_total{outcome="${outcome}"}`);
  const client = await connectPg(own.port);
  const pair = async () => {
    const { n } = (await client.query(BUMP, [4])).rows[0];
    const seen = (await client.query(LOOK, [4])).rows[0];
    expect(seen.n).toBe(n);
    return seen.port;
  };
  // Where the replica falls a second behind, which takes no more than a busy machine, it is not waited for anyway.
  await until('patience to be over', async () => {
    for (let round = 0; round < 50; round++) await pair();
    return (await waits('impatient')) > 50;
  });
  expect(await waits('timeout')).toBeGreaterThan(0);
  expect(await waits('timeout')).toBeLessThan(50);

  await lagging.set('recovery_min_apply_delay', '0');
  await cluster.waitForReplay();
  // Who may read from nowhere else waits as before, and is not told that there is no replica.
  const reader = await connectPg(own.readOnlyPort);
  await reader.query("SET pgweir.max_staleness = '20ms'");
  let served = 0;
  for (let round = 0; round < 20; round++) {
    await new Promise((resolve) => setTimeout(resolve, 30));
    // On a busy machine the replica may take longer than any wait.
    served += await reader.query(LOOK, [4]).then(
      () => 1,
      () => 0,
    );
  }
  expect(served).toBeGreaterThan(10);
  await reader.end();

  await until('most reads behind writes to be on the replica', async () => {
    let replicaReads = 0;
    for (let round = 0; round < 50; round++) replicaReads += (await pair()) === lagging.port ? 1 : 0;
    return replicaReads > 25;
  });
  expect(await waits('reached')).toBeGreaterThan(0);
  await client.end();
  await lagging.set('recovery_min_apply_delay', '2s');
  await healthy.start();
});
