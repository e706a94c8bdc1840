import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { Relay } from '../support/relay.ts';
import { clientMessage } from '../support/transcript.ts';
import { connectPg, expectWholePools, ReadLoad, until } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/**
 * Reads of many clients that are pipelined over few connections, under load: nobody's suffers for a neighbour. What may go wrong
 * with one of them is brought about on purpose in `shared-neighbours.test.ts`.
 */
let cluster: Cluster;
let pgweir: Pgweir;
let load: ReadLoad;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 });
  await cluster.primary.query(`
    CREATE FUNCTION naps(ms int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN PERFORM pg_sleep(ms / 1000.0); RETURN ms; END'`);
  await cluster.waitForReplay();
  pgweir = await startPgweir(cluster);
  load = await ReadLoad.start(pgweir.port, 12);
  await sharing();
});

afterAll(async () => {
  await load?.stop();
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

afterEach(() => {
  expect(load.failures).toEqual([]);
});

const shared = () => pgweir.metric('pgweir_shared_reads_total');

/** Waits until reads are shared. */
async function sharing(): Promise<void> {
  const before = await shared();
  await until('reads to be shared', async () => (await shared()) > before + 100);
}

async function withClients<T>(count: number, work: (clients: pg.Client[]) => Promise<T>): Promise<T> {
  const clients = await Promise.all(Array.from({ length: count }, () => connectPg(pgweir.port)));
  try {
    return await work(clients);
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}

/** Runs the text until its shape is known to be quick, with room for a busy machine. */
async function proven(client: pg.Client, text: string): Promise<void> {
  for (let run = 0; run < 40; run++) await client.query(text);
}

describe('each session gets its own replies', () => {
  test('of simple queries and of prepared statements of one name', async () => {
    await withClients(16, async (clients) => {
      const heard = clients.map(async (client, who) => {
        for (let n = 0; n < 200; n++) {
          const nonce = `${who}/${n}`;
          const simple = await client.query(`SELECT '${nonce}' AS nonce`);
          expect(simple.rows[0].nonce).toBe(nonce);
          const prepared = await client.query({ name: 'one', text: 'SELECT $1::text || $2 AS nonce', values: [nonce, who] });
          expect(prepared.rows[0].nonce).toBe(`${nonce}${who}`);
        }
      });
      await Promise.all(heard);
    });
  });

  test('under its own settings', async () => {
    await withClients(8, async (clients) => {
      await Promise.all(clients.map((client, who) => client.query(`SET application_name = 'group ${who % 2}'`)));
      await Promise.all(
        clients.map(async (client, who) => {
          for (let n = 0; n < 100; n++) {
            const { rows } = await client.query("SELECT current_setting('application_name') AS name");
            expect(rows[0].name).toBe(`group ${who % 2}`);
          }
        }),
      );
    });
  });

  test('errors among them', async () => {
    await withClients(8, async (clients) => {
      await Promise.all(
        clients.map(async (client, who) => {
          for (let n = 0; n < 100; n++) {
            const answer = client.query(`SELECT 100 / ${n % 10 === who ? 0 : 1} AS n`);
            if (n % 10 === who) await expect(answer).rejects.toMatchObject({ code: '22012' });
            else expect((await answer).rows[0].n).toBe(100);
          }
        }),
      );
    });
  });
});

test('reads come to be shared where more clients than there are connections have waited for them from the start', async () => {
  await using crowded = await startPgweir(cluster, 'pool: { max_per_backend: 2 }');
  const crowd = await ReadLoad.start(crowded.port, 24);
  await until('reads to be shared', async () => (await crowded.metric('pgweir_shared_reads_total')) > 1000);
  // And one that needs a connection for itself gets it.
  const client = await connectPg(crowded.port);
  for (let n = 0; n < 20; n++) {
    await client.query('BEGIN READ ONLY');
    await client.query('SELECT 1');
    await client.query('COMMIT');
  }
  await client.end();
  await crowd.stop();
  expect(crowd.failures).toEqual([]);
});

describe('who holds up the others is left alone', () => {
  test('a read that takes long: those behind it are answered before it', async () => {
    await withClients(1, async ([client]) => {
      if (client === undefined) return;
      await proven(client, 'SELECT naps(0)');
      let over = false;
      const slow = client.query('SELECT naps(3000) AS ms').then(({ rows }) => {
        over = true;
        return rows[0].ms;
      });
      await load.everySession();
      expect(over).toBe(false);
      expect(await slow).toBe(3000);
    });
    await sharing();
  });

  test('a read that takes long, of a client that has gone', async () => {
    await withClients(1, async ([client]) => {
      if (client !== undefined) await proven(client, 'SELECT naps(0) AS gone');
    });
    for (let round = 0; round < 5; round++) {
      const client = await WireClient.connect({ host: pgweir.host, port: pgweir.port, database: 'postgres', timeoutMs: 20_000 });
      client.send(clientMessage('Query', 'SELECT naps(300) AS gone'));
      await sleep(5);
      client[Symbol.dispose]();
      await load.everySession();
    }
    expect(pgweir.log.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('a client that does not read its long reply', async () => {
    using client = await WireClient.connect({ host: pgweir.host, port: pgweir.port, database: 'postgres', timeoutMs: 20_000 });
    for (let run = 0; run < 40; run++) await client.query("SELECT repeat('x', 10)");
    client.pause();
    client.send(clientMessage('Query', "SELECT repeat('x', 30000000)"));
    await load.everySession();
    await load.everySession();
    client.resume();
    const row = (await client.receiveUntilReady()).find(({ name }) => name === 'DataRow');
    expect((row?.args[0] as string[] | undefined)?.[0]?.length).toBe(30_000_000);
  });
});

describe('cancel', () => {
  test('ends the read that it is meant for, and no other', async () => {
    await withClients(4, async (clients) => {
      for (const client of clients) await proven(client, 'SELECT naps(0)');
    });
    for (let round = 0; round < 5; round++) {
      using client = await WireClient.connect({ host: pgweir.host, port: pgweir.port, database: 'postgres', timeoutMs: 20_000 });
      client.send(clientMessage('Query', 'SELECT naps(20000)'));
      await sleep(5 * round);
      await client.cancel();
      const error = (await client.receiveUntilReady()).find(({ name }) => name === 'ErrorResponse');
      expect(JSON.stringify(error?.args)).toContain('57014');
      expect((await client.query('SELECT 1')).rows).toEqual([['1']]);
    }
  });
});

test('a cancel request is over when its connection is closed: what is asked then is not hit', async () => {
  using client = await WireClient.connect({ host: pgweir.host, port: pgweir.port, database: 'postgres', timeoutMs: 20_000 });
  for (let round = 0; round < 50; round++) {
    client.send(clientMessage('Query', 'SELECT naps(1)'));
    await client.cancel();
    await client.receiveUntilReady();
    expect((await client.query('SELECT naps(5)')).rows).toEqual([['5']]);
  }
});

describe('losses', () => {
  test('a connection that is lost: its reads are run again', async () => {
    for (let round = 0; round < 5; round++) {
      await sharing();
      await cluster.replicas[0]
        ?.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )
        .catch(() => undefined);
      await load.everySession();
    }
  });

  test('clients that go in the middle of it', async () => {
    for (let round = 0; round < 20; round++) {
      const client = await WireClient.connect({ host: pgweir.host, port: pgweir.port, database: 'postgres', timeoutMs: 20_000 });
      for (let n = 0; n < 5; n++) await client.query(`SELECT ${n} AS gone`);
      client.send(...Array.from({ length: 10 }, (_, n) => clientMessage('Query', `SELECT ${n} AS gone`)));
      await sleep(round % 3);
      client[Symbol.dispose]();
    }
    await load.everySession();
  });
});

test('pipelines of reads and writes come back in order', async () => {
  await cluster.primary.query('CREATE TABLE IF NOT EXISTS pipeline (n int)');
  using client = await WireClient.connect({ host: pgweir.host, port: pgweir.port, database: 'postgres', timeoutMs: 20_000 });
  for (let run = 0; run < 40; run++) await client.query('SELECT 0 AS n');
  for (let round = 0; round < 20; round++) {
    const texts = Array.from({ length: 30 }, (_, n) =>
      n % 7 === 6 ? `INSERT INTO pipeline VALUES (${n}) RETURNING n` : `SELECT ${n} AS n`,
    );
    client.send(...texts.map((text) => clientMessage('Query', text)));
    for (const [n] of texts.entries()) {
      const messages = await client.receiveUntilReady();
      expect(messages.find(({ name }) => name === 'DataRow')?.args[0]).toEqual([String(n)]);
    }
  }
});

describe('a pipeline of one client to a primary without replicas', () => {
  const texts = (from: number) => Array.from({ length: 3 }, (_, n) => `SELECT ${from + n} AS alone`);
  const asked: string[] = [];
  let relay: Relay;
  let alone: Pgweir;
  let busy: pg.Client[];

  beforeAll(async () => {
    relay = await Relay.start(cluster.primary);
    relay.rule = ({ direction, text, chunk }) => {
      if (direction === 'to PostgreSQL' && text.includes('alone')) asked.push(text);
      return chunk;
    };
    await cluster.primary.query('CREATE TABLE written (n int)');
    alone = await startPgweir(cluster, `backends: [ "127.0.0.1:${relay.port}" ]`);
    // Work under way, without which nothing is shared.
    busy = await Promise.all([connectPg(alone.port), connectPg(alone.port)]);
    for (const client of busy) await client.query('BEGIN; SELECT 1');
  });

  afterAll(async () => {
    for (const client of busy ?? []) await client.end();
    if (alone !== undefined) await expectWholePools(alone, cluster);
    await alone?.[Symbol.asyncDispose]();
    await relay?.[Symbol.asyncDispose]();
  });

  const connect = () => WireClient.connect({ host: alone.host, port: alone.port, database: 'postgres', timeoutMs: 20_000 });
  const sharedReads = () => alone.metric('pgweir_shared_reads_total');

  async function readAll(client: WireClient, from: number): Promise<void> {
    client.send(...texts(from).map((text) => clientMessage('Query', text)));
    for (const [n] of texts(from).entries()) {
      const messages = await client.receiveUntilReady();
      expect(messages.find(({ name }) => name === 'DataRow')?.args[0]).toEqual([String(from + n)]);
    }
  }

  test('is sent at once on a shared connection', async () => {
    using client = await connect();
    let from = 0;
    await until('all of it to be shared', async () => {
      const before = await sharedReads();
      from += 10;
      await readAll(client, from);
      return (await sharedReads()) === before + 3;
    });
    expect(asked.filter((text) => texts(from).some((one) => text.includes(one))).length).toBe(1);
  });

  test('reads what it has written in its middle', async () => {
    using client = await connect();
    const before = await sharedReads();
    for (let round = 1; round <= 20; round++) {
      const asking = ['SELECT 1 AS alone', 'SELECT 2 AS alone', 'INSERT INTO written VALUES (1)', 'SELECT count(*) FROM written'];
      client.send(...asking.map((text) => clientMessage('Query', text)));
      const rows: unknown[] = [];
      for (const _text of asking) {
        const row = (await client.receiveUntilReady()).find(({ name }) => name === 'DataRow');
        if (row !== undefined) rows.push(row.args[0]);
      }
      expect(rows).toEqual([['1'], ['2'], [String(round)]]);
    }
    expect(await sharedReads()).toBeGreaterThan(before);
  });
});

test('afterwards the pools are whole, and nothing is shared', async () => {
  await load.stop();
  await expectWholePools(pgweir, cluster);
});
