import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { clientMessage } from '../support/transcript.ts';
import { connectPg, expectWholePools, until } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/** Many clients over few connections: each lease comes back once, whoever waits is served or told, limits hold. */
let cluster: Cluster;
let pgweir: Pgweir;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 });
  await cluster.primary.query('CREATE TABLE notes (n int); CREATE ROLE other LOGIN; GRANT ALL ON notes TO other');
  await cluster.waitForReplay();
  pgweir = await startPgweir(cluster, 'pool: { max_per_backend: 2 }');
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

afterEach(async () => {
  await expectWholePools(pgweir, cluster);
});

function connect(front: Pgweir = pgweir, parameters: Record<string, string> = {}): Promise<WireClient> {
  return WireClient.connect({ host: front.host, port: front.port, database: 'postgres', timeoutMs: 20_000, parameters });
}

/** The most connections of clients that any node had at a time, asked of it again and again while `work` is done. */
async function mostConnections(work: Promise<unknown>): Promise<number> {
  const sql = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE backend_type = 'client backend'
    AND pid <> pg_backend_pid() AND application_name NOT LIKE 'pgweir %'`;
  let most = 0;
  let over = false;
  const watching = (async () => {
    while (!over) {
      for (const node of cluster.nodes) most = Math.max(most, Number((await node.query(sql))[0]?.n));
      await sleep(5);
    }
  })();
  await work.finally(() => {
    over = true;
  });
  await watching;
  return most;
}

describe('twenty clients over two connections', () => {
  test.each([
    ['one role', ['postgres']],
    // Whose connections are closed to make room for the other's.
    ['two roles', ['postgres', 'other']],
  ])('of %s are all served: reads, writes, transactions and batches', async (_of, users) => {
    await cluster.primary.query('TRUNCATE notes');
    const work = Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const client = await connectPg(pgweir.port, { user: users[index % users.length] });
        for (let round = 0; round < 20; round++) {
          await client.query('SELECT $1::int', [round]);
          await client.query('BEGIN');
          await client.query('INSERT INTO notes VALUES ($1)', [index]);
          await client.query(round % 2 === 0 ? 'COMMIT' : 'ROLLBACK');
        }
        await client.end();
      }),
    );
    const most = await mostConnections(work);
    // A closed one is still to be seen for a moment.
    expect(most).toBeLessThanOrEqual(users.length === 1 ? 2 : 6);
    const counts = await cluster.primary.query('SELECT count(*)::int AS c FROM notes GROUP BY n');
    expect(counts).toEqual(Array.from({ length: 20 }, () => ({ c: 10 })));
  });

  test('of whom some leave in the middle: the others do not notice', async () => {
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        for (let round = 0; round < 5; round++) {
          const client = await connect();
          await client.query('BEGIN; INSERT INTO notes VALUES (100)');
          if (index % 2 === 0) client.destroy();
          else {
            await client.query('COMMIT');
            client.destroy();
          }
        }
      }),
    );
    expect(await cluster.primary.query('SELECT count(*)::int AS c FROM notes WHERE n = 100')).toEqual([{ c: 50 }]);
  });
});

describe('limits', () => {
  test('who waits for longer than pool.wait_timeout gets 53300, and goes on when there is room', async () => {
    await using front = await startPgweir(cluster, 'pool: { max_per_backend: 1, wait_timeout: 200ms }');
    using holder = await connect(front);
    await holder.query('BEGIN; INSERT INTO notes VALUES (200)');
    using waiter = await connect(front);
    await expect(waiter.query('INSERT INTO notes VALUES (201)')).rejects.toMatchObject({ sqlstate: '53300' });
    await expect(waiter.execute('INSERT INTO notes VALUES (201)')).rejects.toMatchObject({ sqlstate: '53300' });
    await waiter.query('BEGIN');
    await expect(waiter.query('INSERT INTO notes VALUES (201)')).rejects.toMatchObject({ sqlstate: '53300' });
    expect(waiter.status).toBe('E');
    await waiter.query('ROLLBACK');
    await holder.query('COMMIT');
    expect((await waiter.query('INSERT INTO notes VALUES (202)')).tags).toEqual(['INSERT 0 1']);
    await expectWholePools(front, cluster);
  });

  test('more than pool.max_waiters do not wait at all', async () => {
    await using front = await startPgweir(cluster, 'pool: { max_per_backend: 1, max_waiters: 1 }');
    using holder = await connect(front);
    await holder.query('BEGIN; INSERT INTO notes VALUES (210)');
    using patient = await connect(front);
    const answer = patient.query('INSERT INTO notes VALUES (211)');
    await until('one waits', async () => (await front.metricSum('pgweir_pool_waiters')) === 1);
    using late = await connect(front);
    await expect(late.query('INSERT INTO notes VALUES (212)')).rejects.toMatchObject({ sqlstate: '53300' });
    await holder.query('COMMIT');
    expect((await answer).tags).toEqual(['INSERT 0 1']);
  });

  test('a client that is idle in a transaction for too long is sent away with 25P03, its transaction undone', async () => {
    await using front = await startPgweir(cluster, 'limits: { idle_in_transaction_timeout: 200ms }');
    using client = await connect(front);
    await client.query('BEGIN');
    await client.query('INSERT INTO notes VALUES (220)');
    const messages = await client.receiveUntilClosed();
    expect(messages.map(({ args }) => args[0])).toMatchObject([{ S: 'FATAL', C: '25P03' }]);
    await expectWholePools(front, cluster);
    expect(await cluster.primary.query('SELECT 1 FROM notes WHERE n = 220')).toEqual([]);
  });

  test('a statement that runs for too long is cancelled, and the session goes on', async () => {
    await using front = await startPgweir(cluster, 'limits: { query_timeout: 300ms }');
    using client = await connect(front);
    await expect(client.query('SELECT pg_sleep(30)')).rejects.toMatchObject({ sqlstate: '57014' });
    await expect(client.query('INSERT INTO notes SELECT 230 FROM pg_sleep(30)')).rejects.toMatchObject({ sqlstate: '57014' });
    expect((await client.query('SELECT 1')).rows).toEqual([['1']]);
    await expectWholePools(front, cluster);
  });
});

describe('a connection is given back once, in a state for others', () => {
  test('when the name of a prepared statement is taken, alone, in a pipeline and in a transaction', async () => {
    using client = await connect();
    const parse = (text: string) => [clientMessage('Parse', 's', text, []), clientMessage('Sync')];
    for (let round = 0; round < 3; round++) {
      client.send(...parse('SELECT 1'), ...parse('SELECT 2'), ...parse('SELECT 3'));
      const [first, second, third] = [
        await client.receiveUntilReady(),
        await client.receiveUntilReady(),
        await client.receiveUntilReady(),
      ];
      expect(first.map(({ name }) => name)).toContain(round === 0 ? 'ParseComplete' : 'ErrorResponse');
      for (const messages of [second, third]) expect(messages[0]?.args[0]).toMatchObject({ C: '42P05' });
      await expectWholePools(pgweir, cluster);
    }
    await client.query('BEGIN');
    client.send(...parse('SELECT 4'));
    expect((await client.receiveUntilReady())[0]?.args[0]).toMatchObject({ C: '42P05' });
    expect(client.status).toBe('E');
    await client.query('ROLLBACK');
  });

  test('when the client is too slow for the last bytes of a transaction, and leaves', async () => {
    for (let round = 0; round < 5; round++) {
      const client = await connect();
      await client.query('BEGIN; INSERT INTO notes VALUES (300)');
      client.send(clientMessage('Query', "SELECT repeat('x', 12000000)"));
      await client.receive(1);
      client.pause();
      await sleep(50);
      client.destroy();
    }
    await expectWholePools(pgweir, cluster);
    expect(await cluster.primary.query('SELECT 1 FROM notes WHERE n = 300')).toEqual([]);
  });

  test('when settings were sent ahead of a COMMIT that is cancelled meanwhile, or whose client leaves', async () => {
    for (const how of ['cancel', 'leave'] as const) {
      using holder = await connect(pgweir, { application_name: 'holder' });
      using client = await connect(pgweir, { application_name: `client-${how}` });
      await client.query("SET work_mem = '9MB'");
      await holder.query('SELECT 1');
      client.send(clientMessage('Query', 'BEGIN; INSERT INTO notes VALUES (310); COMMIT'));
      if (how === 'cancel') {
        await client.cancel();
        await client.receiveUntilReady();
      } else client.destroy();
      expect((await holder.query('SHOW work_mem')).rows).toEqual([['4MB']]);
      expect((await holder.query("/* pgweir: route=primary */ SELECT current_setting('application_name')")).rows).toEqual([
        ['holder'],
      ]);
    }
  });
});

test('a storm of everything at once leaves the pools whole', async () => {
  let seed = 7;
  const random = (limit: number) => {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff;
    return Math.floor((seed / 0x8000_0000) * limit);
  };
  const deeds: ((client: WireClient) => Promise<unknown>)[] = [
    (client) => client.query('SELECT 1'),
    (client) => client.execute('SELECT $1::text', ['x']),
    (client) => client.query('INSERT INTO notes VALUES (400)'),
    (client) => client.query('BEGIN; SELECT 1'),
    (client) => client.query('COMMIT'),
    (client) => client.query('ROLLBACK'),
    (client) => client.query('SELECT 1/0'),
    (client) => client.query('SELEKT'),
    (client) => client.query("SET work_mem = '7MB'"),
    (client) => client.query('CREATE TEMP TABLE IF NOT EXISTS storm (n int)'),
    (client) => client.query('DISCARD ALL'),
    (client) => client.cancel(),
    (client) => Promise.race([client.query('SELECT pg_sleep(0.05)'), client.cancel()]).then(() => sleep(60)),
    (client) => client.query('SELECT pg_terminate_backend(pg_backend_pid()) /* pgweir: route=primary */'),
    (client) => {
      client.send(clientMessage('Query', 'SELECT pg_sleep(0.01)'));
      client.destroy();
      return Promise.resolve();
    },
  ];
  await Promise.all(
    Array.from({ length: 12 }, async () => {
      let client = await connect();
      for (let round = 0; round < 40; round++) {
        const deed = deeds[random(deeds.length)];
        await deed?.(client).catch(() => undefined);
        if (client.closed || random(10) === 0) {
          client.destroy();
          client = await connect();
        }
      }
      client.destroy();
    }),
  );
});
