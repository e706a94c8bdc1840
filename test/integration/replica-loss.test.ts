import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Cluster, type PostgresNode, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { connectPg, expectWholePools, ReadLoad, until, WHERE } from '../support/weather.ts';

/** Replicas go and come back under a load of autocommit reads, which never notice. */
let cluster: Cluster;
let pgweir: Pgweir;
let load: ReadLoad;
const SESSIONS = 16;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 2 });
  pgweir = await startPgweir(cluster);
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  await until('all replicas usable', async () => (await pgweir.metricSum('pgweir_backend_problem')) === 0);
  load = await ReadLoad.start(pgweir.port, SESSIONS);
  await load.servedBy(...cluster.replicas.map(({ port }) => port));
});

afterEach(async () => {
  // Where a test has failed, some may still be frozen or gone.
  for (const node of cluster.replicas) {
    node.resume();
    await node.start();
  }
  await load.stop();
  expect(load.failures.map(({ message }) => message)).toEqual([]);
  await expectWholePools(pgweir, cluster);
});

function replica(index: number): PostgresNode {
  const node = cluster.replicas[index];
  if (node === undefined) throw new Error(`there is no replica ${index}`);
  return node;
}

describe('no read fails when a replica', () => {
  test.each(['fast', 'immediate'] as const)('is stopped in mode %s and comes back', async (mode) => {
    await replica(0).stop(mode);
    await load.more(300);
    await load.servedBy(replica(1).port);
    await replica(0).start();
    await load.servedBy(replica(0).port);
  });

  test('is killed and comes back', async () => {
    await replica(1).kill();
    await load.more(300);
    await replica(1).start();
    await load.servedBy(replica(1).port);
  });

  test('hangs for three seconds: what it has not begun to answer is answered elsewhere', async () => {
    replica(0).pause();
    await Promise.all([sleep(3_000), load.everySession()]);
    replica(0).resume();
    await load.servedBy(replica(0).port);
    console.log(`longest read while a replica hung: ${Math.round(load.slowestMs)} ms`);
  });

  test('is restarted again and again', async () => {
    for (let round = 0; round < 3; round++) {
      const node = replica(round % 2);
      await node.stop(round === 1 ? 'immediate' : 'fast');
      await node.start();
      await load.more(100);
    }
    await load.servedBy(...cluster.replicas.map(({ port }) => port));
  });

  test('loses one server process after the other to an administrator', async () => {
    for (let round = 0; round < 10; round++) {
      await replica(round % 2).query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
      );
      await load.more(50);
    }
  });
});

test('without any replica the primary serves, and they serve again soon after they are back', async () => {
  await Promise.all(cluster.replicas.map((node, index) => (index === 0 ? node.kill() : node.stop('fast'))));
  await load.servedBy(cluster.primary.port);
  await Promise.all(cluster.replicas.map((node) => node.start()));
  const took = await load.servedBy(...cluster.replicas.map(({ port }) => port));
  console.log(`replicas served again ${Math.round(took)} ms after they took connections`);
});

describe('on a replica that hangs', () => {
  test('nobody waits for a new connection longer than the monitor needs to notice', async () => {
    // Another role has connections of its own, none of them open yet.
    await cluster.primary.query('CREATE ROLE newcomer LOGIN');
    await cluster.waitForReplay();
    replica(0).pause();
    const began = performance.now();
    const clients = await Promise.all(Array.from({ length: 20 }, () => connectPg(pgweir.port, { user: 'newcomer' })));
    const answers = await Promise.all(clients.map((client) => client.query(WHERE)));
    expect(answers.map(({ rows }) => rows[0].port)).not.toContain(replica(0).port);
    expect(performance.now() - began, 'the time that opening a connection may take').toBeLessThan(10_000);
    replica(0).resume();
    await Promise.all(clients.map((client) => client.end()));
  });

  test('a read-only transaction is not broken off: it goes on when the replica does', async () => {
    const client = await connectPg(pgweir.port);
    await client.query('BEGIN READ ONLY');
    const port: number = (await client.query(WHERE)).rows[0].port;
    const node = cluster.replicas.find((other) => other.port === port);
    expect(node).toBeDefined();
    node?.pause();
    const answer = client.query(WHERE);
    await until(
      'noticed',
      async () =>
        (await pgweir.metric(`pgweir_backend_up{backend="${node?.name}",role="unknown"}`)) === 0 &&
        (await pgweir.metricSum('pgweir_backend_problem')) > 0,
    );
    await sleep(100);
    node?.resume();
    expect((await answer).rows[0].port).toBe(port);
    await client.query('COMMIT');
    await client.end();
  });
});
