import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { clientMessage } from '../support/transcript.ts';
import { expectWholePools, until } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/** A cancel request reaches the statement that it is about, or nothing. One connection to each backend, so that all are neighbours. */
let cluster: Cluster;
let pgweir: Pgweir;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 });
  await cluster.primary.query('CREATE TABLE notes (n int); CREATE SEQUENCE turns');
  pgweir = await startPgweir(cluster, 'pool: { max_per_backend: 1 }');
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

afterEach(async () => {
  await expectWholePools(pgweir, cluster);
});

function connect(timeoutMs = 20_000): Promise<WireClient> {
  return WireClient.connect({ host: pgweir.host, port: pgweir.port, database: 'postgres', timeoutMs });
}

/** Waits until a statement of that text runs somewhere, asked of the databases. */
function running(text: string): Promise<number> {
  const sql = `SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = '${text.replaceAll("'", "''")}'`;
  return until(`${text} runs`, async () => {
    const found = await Promise.all(cluster.nodes.map((node) => node.query(sql)));
    return found.some((rows) => rows.length > 0);
  });
}

const SLOW_WRITE = 'INSERT INTO notes SELECT 1 FROM pg_sleep(20)';

describe('a cancel request', () => {
  test.each([
    ['a read on a replica', 'SELECT pg_sleep(20)'],
    ['a write on the primary', SLOW_WRITE],
  ])('ends %s, and the session goes on', async (_what, sql) => {
    using client = await connect();
    const answer = client.query(sql);
    answer.catch(() => undefined);
    await running(sql);
    await client.cancel();
    await expect(answer).rejects.toMatchObject({ sqlstate: '57014' });
    expect((await client.query('SELECT 1')).rows).toEqual([['1']]);
  });

  test('fails a transaction and leaves it open', async () => {
    using client = await connect();
    await client.query('BEGIN');
    await client.query('INSERT INTO notes VALUES (2)');
    const answer = client.query('SELECT pg_sleep(20)');
    answer.catch(() => undefined);
    await running('SELECT pg_sleep(20)');
    await client.cancel();
    await expect(answer).rejects.toMatchObject({ sqlstate: '57014' });
    expect(client.status).toBe('E');
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ sqlstate: '25P02' });
    await client.query('ROLLBACK');
    expect((await client.query('SELECT count(*) FROM notes WHERE n = 2')).rows).toEqual([['0']]);
  });

  test('ends a pipelined batch of the extended protocol up to its Sync', async () => {
    using client = await connect();
    client.send(
      clientMessage('Parse', '', SLOW_WRITE, []),
      clientMessage('Bind', '', '', [], [], []),
      clientMessage('Execute', '', 0),
      clientMessage('Sync'),
    );
    await running(SLOW_WRITE);
    await client.cancel();
    const names = (await client.receiveUntilReady()).map(({ name }) => name);
    expect(names).toEqual(['ParseComplete', 'BindComplete', 'ErrorResponse', 'ReadyForQuery']);
    expect((await client.query('SELECT 1')).rows).toEqual([['1']]);
  });

  test('of a session that waits for a connection ends the waiting, and what holds the connection runs on', async () => {
    using holder = await connect();
    await holder.query('BEGIN; INSERT INTO notes VALUES (3)');
    using client = await connect();
    const answer = client.query('INSERT INTO notes VALUES (4)');
    answer.catch(() => undefined);
    await until('somebody waits', async () => (await pgweir.metricSum('pgweir_pool_waiters')) === 1);
    await client.cancel();
    await expect(answer).rejects.toMatchObject({ sqlstate: '57014' });
    await holder.query('COMMIT');
    const { rows } = await client.query('SELECT n FROM notes WHERE n IN (3, 4)');
    expect(rows).toEqual([['3']]);
  });

  test('of a batch that waits for a connection is answered at its Sync', async () => {
    using holder = await connect();
    await holder.query('BEGIN; INSERT INTO notes VALUES (5)');
    using client = await connect();
    const answer = client.execute('INSERT INTO notes VALUES (6)');
    answer.catch(() => undefined);
    await until('somebody waits', async () => (await pgweir.metricSum('pgweir_pool_waiters')) === 1);
    await client.cancel();
    await expect(answer).rejects.toMatchObject({ sqlstate: '57014' });
    await holder.query('ROLLBACK');
    expect((await client.execute('SELECT 1')).rows).toEqual([['1']]);
  });

  test('of an idle session is nothing, in a transaction too', async () => {
    using client = await connect();
    await client.query('SELECT 1');
    await client.cancel();
    await client.query('BEGIN');
    await client.query('INSERT INTO notes VALUES (7)');
    await client.cancel();
    await sleep(20);
    await client.query('COMMIT');
    expect((await client.query('SELECT n FROM notes WHERE n = 7')).rows).toEqual([['7']]);
  });

  test('with a wrong key, a wrong process id or a key of another length is ignored', async () => {
    using client = await connect();
    const answer = client.query('SELECT pg_sleep(1)');
    await running('SELECT pg_sleep(1)');
    const before = await pgweir.metric('pgweir_cancels_total{outcome="unknown key"}');
    const key = client.key.toString('latin1');
    const wrong = `${String.fromCharCode(key.charCodeAt(0) ^ 1)}${key.slice(1)}`;
    for (const [processId, secret] of [
      [client.processId, wrong],
      [client.processId + 1, key],
      [client.processId, `${key}${key}`],
      [0, '\0\0\0\0'],
    ] as const) {
      using other = await WireClient.open({ host: pgweir.host, port: pgweir.port });
      other.send(clientMessage('CancelRequest', processId, secret));
      await other.receiveUntilClosed();
    }
    expect((await answer).tags).toEqual(['SELECT 1']);
    expect(await pgweir.metric('pgweir_cancels_total{outcome="unknown key"}')).toBe(before + 4);
  });
});

test('a cancel request never hits a neighbour, however late it comes', async () => {
  using neighbour = await connect();
  const NEIGHBOURLY = 'INSERT INTO notes SELECT nextval($$turns$$) FROM generate_series(1, 3)';
  let over = false;
  let served = 0;
  const failures: string[] = [];
  const work = (async () => {
    while (!over) {
      await neighbour.query(NEIGHBOURLY).catch((error: Error) => void failures.push(error.message));
      served++;
    }
  })();
  using client = await connect();
  let hits = 0;
  const cancels: Promise<void>[] = [];
  for (let round = 0; round < 1_000; round++) {
    const answer = client.query('INSERT INTO notes VALUES (0)').catch(() => void hits++);
    cancels.push(client.cancel());
    await answer;
    if (round % 20 === 0) await Promise.all(cancels.splice(0));
  }
  await Promise.all(cancels);
  over = true;
  await work;
  console.log(`1000 cancel requests: ${hits} hit their own statement, 0 of ${served} of the neighbour`);
  expect(failures).toEqual([]);
  expect(served).toBeGreaterThan(100);
});

test('a client that asks to cancel and leaves at once leaves nothing to its successor', async () => {
  using neighbour = await connect();
  const failures: string[] = [];
  for (let round = 0; round < 100; round++) {
    const client = await connect();
    const answer = client.query('INSERT INTO notes VALUES (0)').catch(() => undefined);
    const cancelled = client.cancel();
    await answer;
    client.destroy();
    await neighbour
      .query('INSERT INTO notes SELECT 0 FROM pg_sleep(0.002)')
      .catch((error: Error) => failures.push(error.message));
    await cancelled;
  }
  expect(failures).toEqual([]);
});
