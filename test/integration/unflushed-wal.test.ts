import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, type PostgresNode, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { connectPg, ReadLoad, until } from '../support/weather.ts';

/*
 * A primary sends only the WAL that it has flushed. What it holds back is none of a replica's fault, as long as nothing of
 * it was committed; and when something was, nobody who wrote it may miss it.
 */
let cluster: Cluster;
let pgweir: Pgweir;
let primary: PostgresNode;

const MAX_LAG_MS = 1500;
/** How long the primary must hold WAL back for a look to count. The background writer flushes every 15 s. */
const HELD_MS = 2 * MAX_LAG_MS;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 2, settings: { wal_writer_delay: '100ms' } });
  primary = cluster.primary;
  await primary.query('CREATE TABLE items (id int PRIMARY KEY, n int NOT NULL); CREATE TABLE notes (n int)');
  await primary.query('INSERT INTO items SELECT id, 0 FROM generate_series(1, 20) AS id; INSERT INTO notes VALUES (0)');
  await cluster.waitForReplay();
  pgweir = await startPgweir(cluster, `routing: { max_lag: ${MAX_LAG_MS}ms }`);
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

const BUMP = 'UPDATE items SET n = n + 1 WHERE id = $1 RETURNING n';
const LOOK = "SELECT n, current_setting('port')::int AS port FROM items WHERE id = $1";
const BEHIND =
  'SELECT pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn() AS held, pg_current_wal_flush_lsn()::text AS flushed';

test('an open transaction that wrote a row takes no replica out, and its WAL is no lag', async () => {
  await until('reads served by a replica', async () => {
    const reader = await connectPg(pgweir.port);
    const { port } = (await reader.query(LOOK, [1])).rows[0];
    await reader.end();
    return port !== primary.port;
  });
  const writer = await connectPg(primary.port);
  const lags: number[] = [];
  // Something else may flush at any time; only a look during which nothing did says anything.
  await until('WAL held back all the time', async () => {
    await writer.query('BEGIN');
    await writer.query('INSERT INTO notes VALUES (1)');
    const readers = await ReadLoad.start(pgweir.port, 2);
    const before = (await primary.query(BEHIND))[0];
    lags.length = 0;
    for (const end = performance.now() + HELD_MS; performance.now() < end; await sleep(100)) lags.push(await highestLag());
    const after = (await primary.query(BEHIND))[0];
    await readers.stop();
    await writer.query('ROLLBACK');
    if (!before?.held || !after?.held || before.flushed !== after.flushed) return false;
    expect(readers.failures).toEqual([]);
    expect(readers.answers.get(primary.port) ?? 0, 'reads on the primary').toBe(0);
    return true;
  });
  // Three rounds of the WAL writer, and the time between two probes. Any one of them may be late on a busy machine.
  const usual = lags.toSorted((a, b) => a - b)[lags.length >> 1];
  expect(usual).toBeGreaterThanOrEqual(0.3);
  expect(usual).toBeLessThan(1);
  await writer.end();
});

test('asynchronous commits are read at once by who made them', async () => {
  const clients = await Promise.all(Array.from({ length: 10 }, () => connectPg(pgweir.port)));
  const missed: string[] = [];
  await Promise.all(
    clients.map(async (client, index) => {
      await client.query('SET synchronous_commit = off');
      for (let pair = 0; pair < 100; pair++) {
        const written = (await client.query(BUMP, [index + 1])).rows[0].n;
        await sleep(pair % 10 === 0 ? 30 : 0);
        const { n, port } = (await client.query(LOOK, [index + 1])).rows[0];
        if (n !== written) missed.push(`session ${index} wrote ${written} and read ${n} on port ${port}`);
      }
    }),
  );
  expect(missed).toEqual([]);
  await Promise.all(clients.map((client) => client.end()));
});

test('asynchronous commits are not missed when the WAL writer stalls for longer than it should', async () => {
  const client = await connectPg(pgweir.port);
  await client.query('SET synchronous_commit = off');
  const [{ pid }] = (await primary.query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")) as [
    { pid: number },
  ];
  for (let trapped = 0; trapped < 3; ) if (await readsWhileStalled(client, pid)) trapped++;
  await client.end();
});

/**
 * Writes, and reads again when a stopped WAL writer should have flushed that. Returns whether the replica then had all that
 * was flushed and lacked the write, which makes it look fresh.
 */
async function readsWhileStalled(client: pg.Client, walWriterPid: number): Promise<boolean> {
  const replica = cluster.replicas[0] as PostgresNode;
  process.kill(walWriterPid, 'SIGSTOP');
  try {
    const written = (await client.query(BUMP, [20])).rows[0].n;
    await sleep(800);
    const { n, port } = (await client.query(LOOK, [20])).rows[0];
    expect(n, `read on port ${port}`).toBe(written);
    const [there] = await replica.query('SELECT n, pg_last_wal_replay_lsn()::text AS replayed FROM items WHERE id = 20');
    const [{ flushed }] = (await primary.query(BEHIND)) as [{ flushed: string }];
    return there?.n !== written && there?.replayed === flushed;
  } finally {
    process.kill(walWriterPid, 'SIGCONT');
  }
}

async function highestLag(): Promise<number> {
  const page = await (await fetch(`http://127.0.0.1:${pgweir.httpPort}/metrics`)).text();
  return Math.max(...page.matchAll(/^pgweir_backend_lag_seconds\{[^}]*\} (\S+)$/gm).map(([, seconds]) => Number(seconds)));
}
