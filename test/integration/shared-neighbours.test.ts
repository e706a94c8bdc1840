import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { parse, query, run } from '../support/conversation.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { connectPg, expectWholePools, until } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/**
 * What can go wrong with one of several reads on a shared connection, each brought about on purpose, and proven by the
 * counters to have happened on one: a test in which nothing was shared would prove nothing. Under load the same is in
 * `shared-reads.test.ts`.
 */
let cluster: Cluster;
let pgweir: Pgweir;
/** Two read-only transactions: work under way, without which nothing is shared. */
let busy: pg.Client[];
/** On the replica itself, with the lock that `waits` waits for. */
let holder: pg.Client;

const LOCK = 7;

/** On a busy machine a read may not be shared when it should: then the counters say so, and nothing was proven. */
const UNTIL_SHARED = { retry: 5 };

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 });
  await cluster.primary.query(`
    CREATE FUNCTION waits(lock int) RETURNS int LANGUAGE plpgsql STABLE AS
      'BEGIN IF lock > 0 THEN PERFORM pg_advisory_xact_lock_shared(lock); END IF; RETURN lock; END';
    CREATE FUNCTION writes(really int) RETURNS int LANGUAGE plpgsql STABLE AS
      'BEGIN IF really > 0 THEN PERFORM txid_current(); END IF; RETURN really; END';`);
  await cluster.waitForReplay();
  // However busy the machine is, reads are for the replica.
  pgweir = await startPgweir(cluster, 'routing: { fence_wait: 10s }');
  busy = await Promise.all([1, 2].map(() => connectPg(pgweir.port)));
  for (const client of busy) await client.query('BEGIN READ ONLY; SELECT 1');
  holder = await connectPg(cluster.replicas[0]?.port ?? 0);
});

afterAll(async () => {
  await holder?.end();
  for (const client of busy ?? []) await client.end();
  if (pgweir !== undefined) await expectWholePools(pgweir, cluster);
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

afterEach(() => {
  expect(pgweir.log.filter(({ level }) => level === 'error')).toEqual([]);
});

function connect(): Promise<WireClient> {
  return WireClient.connect({ host: pgweir.host, port: pgweir.port, database: 'postgres', timeoutMs: 30_000 });
}

const shared = () => pgweir.metric('pgweir_shared_reads_total');
const left = (cause: string) => pgweir.metric(`pgweir_unshared_total{cause="${cause}"}`);

/** Runs the text until it is shared: its shape is known to be quick then, and a connection is shared. */
async function share(client: WireClient, text: string): Promise<void> {
  await until(`shared: ${text}`, async () => {
    const before = await shared();
    await client.query(text);
    return (await shared()) > before;
  });
}

/** Whether it comes about: a read that was slow for another cause is not shared for a while. */
async function soon(condition: () => Promise<boolean>): Promise<boolean> {
  for (let n = 0; n < 200; n++) {
    if (await condition()) return true;
    await sleep(10);
  }
  return false;
}

async function locked<T>(work: () => Promise<T>): Promise<T> {
  await holder.query('SELECT pg_advisory_lock($1)', [LOCK]);
  try {
    return await work();
  } finally {
    await holder.query('SELECT pg_advisory_unlock($1)', [LOCK]);
  }
}

const row = async (client: WireClient) =>
  (await client.receiveUntilReady()).find(({ name }) => name === 'DataRow' || name === 'ErrorResponse')?.args[0];

describe('a read that does not end', () => {
  test('is left alone with its connection: those behind it are answered before it', UNTIL_SHARED, async () => {
    using slow = await connect();
    using behind = await connect();
    await until('one behind the other on a shared connection', async () => {
      await share(slow, 'SELECT waits(0)');
      await share(behind, "SELECT 'behind 0'");
      const before = { shared: await shared(), left: await left('slow read') };
      let proven = false;
      await locked(async () => {
        slow.send(query(`SELECT waits(${LOCK})`));
        behind.send(query("SELECT 'behind 1'"));
        expect(await row(behind)).toEqual(['behind 1']);
        const together = (await shared()) >= before.shared + 2;
        proven = (await soon(async () => (await left('slow read')) > before.left)) && together;
        // Its late answer to the other one, which is swallowed, and its place are in nobody's way.
        behind.send(query("SELECT 'behind 2'"));
        expect(await row(behind)).toEqual(['behind 2']);
      });
      expect(await row(slow)).toEqual([String(LOCK)]);
      for (const client of [slow, behind]) {
        client.send(query("SELECT 'goes on'"));
        expect(await row(client)).toEqual(['goes on']);
      }
      return proven;
    });
  });

  test('of a client that leaves keeps nobody waiting, nor a connection of the pool', UNTIL_SHARED, async () => {
    using behind = await connect();
    await share(behind, "SELECT 'behind 0'");
    const before = await left('slow read');
    await locked(async () => {
      {
        using slow = await connect();
        await share(slow, 'SELECT waits(0)');
        slow.send(query(`SELECT waits(${LOCK})`));
        behind.send(query("SELECT 'behind 1'"));
        while ((await waiting()) < 1);
      }
      expect(await row(behind)).toEqual(['behind 1']);
      await until('its place in the pool is free', async () => (await active()) === busy.length);
    });
    expect(await left('slow read')).toBe(before + 1);
  });

  test('can be cancelled by its client, and the request finds no other', UNTIL_SHARED, async () => {
    using slow = await connect();
    using behind = await connect();
    await share(slow, 'SELECT waits(0)');
    await share(behind, "SELECT 'behind 0'");
    await locked(async () => {
      const before = await left('cancel');
      // The request must come before the read is known to be slow, which takes some 30 ms.
      await until('cancelled on a shared connection', async () => {
        slow.send(query(`SELECT waits(${LOCK})`));
        behind.send(query("SELECT 'behind 1'"));
        await slow.cancel();
        expect(await row(slow)).toMatchObject({ C: '57014' });
        expect(await row(behind)).toEqual(['behind 1']);
        if ((await left('cancel')) > before) return true;
        await share(slow, 'SELECT waits(0)');
        return false;
      });
    });
  });
});

/** Connections to the replica that are lent or shared. */
function active(): Promise<number> {
  return pgweir.metric(`pgweir_backend_connections{backend="${cluster.replicas[0]?.name}",state="active"}`);
}

/** Statements on the replica that wait for the lock. */
async function waiting(): Promise<number> {
  const rows = await holder.query("SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
  return rows.rows[0].n;
}

test('a cancel request for a read that waits behind another hits neither, and a late one nobody', UNTIL_SHARED, async () => {
  const clients = await Promise.all(Array.from({ length: 4 }, connect));
  for (const client of clients) await share(client, 'SELECT 1');
  const before = await shared();
  let cancelled = 0;
  for (let round = 0; round < 40; round++) {
    for (const client of clients) client.send(query(`SELECT ${round}`));
    const [last] = clients.slice(-1);
    const asked = last?.cancel();
    for (const client of clients) {
      const heard = await row(client);
      if (client === last && JSON.stringify(heard).includes('57014')) cancelled++;
      else expect(heard).toEqual([String(round)]);
    }
    await asked;
    // Whatever is still on its way must not find these.
    for (const client of clients) client.send(query(`SELECT ${round}`));
    for (const client of clients) expect(await row(client)).toEqual([String(round)]);
  }
  console.log(`${cancelled} of 40 were cancelled`);
  expect(await shared()).toBeGreaterThan(before);
  for (const client of clients) client.destroy();
});

test('a long reply is given a connection of its own', UNTIL_SHARED, async () => {
  using long = await connect();
  using behind = await connect();
  await share(long, "SELECT repeat('x', 10)");
  await share(behind, "SELECT 'behind 0'");
  const before = await left('long reply');
  long.send(query("SELECT repeat('x', 400000)"));
  behind.send(query("SELECT 'behind 1'"));
  expect(await row(behind)).toEqual(['behind 1']);
  expect(String(Object(await row(long))[0])).toHaveLength(400_000);
  expect(await left('long reply')).toBe(before + 1);
});

test('a client that asks and does not read is given a connection of its own', UNTIL_SHARED, async () => {
  using behind = await connect();
  await share(behind, "SELECT 'behind 0'");
  await until('it is left alone', async () => {
    using lazy = await connect();
    await share(lazy, "SELECT repeat('y', 10000)");
    const before = await left('slow client');
    const asked = 2_000;
    lazy.pause();
    lazy.send(...Array.from({ length: asked }, () => query("SELECT repeat('y', 10000)")));
    const alone = await soon(async () => {
      behind.send(query("SELECT 'behind 1'"));
      expect(await row(behind)).toEqual(['behind 1']);
      return (await left('slow client')) > before;
    });
    lazy.resume();
    for (let n = 0; n < asked; n++) expect(String(Object(await row(lazy))[0])).toHaveLength(10_000);
    return alone;
  });
});

test('an error is told to the one whose it is, those before and behind it get their rows', UNTIL_SHARED, async () => {
  const clients = await Promise.all(Array.from({ length: 4 }, connect));
  for (const client of clients) await share(client, 'SELECT 8 / 1');
  const before = await shared();
  for (let round = 0; round < 20; round++) {
    for (const [who, client] of clients.entries()) client.send(query(`SELECT 8 / ${who === 1 ? 0 : 1}`));
    for (const [who, client] of clients.entries()) {
      if (who === 1) expect(await row(client)).toMatchObject({ C: '22012' });
      else expect(await row(client)).toEqual(['8']);
    }
  }
  expect(await shared()).toBeGreaterThan(before + 40);
  for (const client of clients) client.destroy();
});

test(
  'a named statement that a neighbour has prepared is known, and one that fails to parse disturbs nobody',
  UNTIL_SHARED,
  async () => {
    const [first, second, third] = (await Promise.all(Array.from({ length: 3 }, connect))) as [
      WireClient,
      WireClient,
      WireClient,
    ];
    for (const client of [first, second]) await share(client, 'SELECT 3');
    const before = await shared();
    for (let round = 0; round < 20; round++) {
      first.send(...run("SELECT 'of all'"));
      third.send(parse('', 'SELECT nothing'), ...run("SELECT 'of all'"));
      second.send(...run("SELECT 'of all'"));
      expect(await row(first)).toEqual(['of all']);
      expect(await row(third)).toMatchObject({ C: '42703' });
      expect(await row(second)).toEqual(['of all']);
    }
    expect(await shared()).toBeGreaterThan(before);
    for (const client of [first, second, third]) client.destroy();
  },
);

test('reads that stay on the primary are shared there, and each session hears its own', UNTIL_SHARED, async () => {
  const writers = await Promise.all([1, 2].map(() => connectPg(pgweir.port)));
  for (const client of writers) await client.query('BEGIN; SELECT 1');
  const clients = await Promise.all(Array.from({ length: 4 }, connect));
  for (const client of clients) {
    await client.query("SET pgweir.route = 'primary'");
    await share(client, "SELECT inet_server_port(), 'nobody'");
  }
  const before = await shared();
  for (let round = 0; round < 20; round++) {
    for (const [who, client] of clients.entries()) client.send(query(`SELECT inet_server_port(), '${who}/${round}'`));
    for (const [who, client] of clients.entries()) {
      expect(await row(client)).toEqual([String(cluster.primary.port), `${who}/${round}`]);
    }
  }
  expect(await shared()).toBeGreaterThan(before + 40);
  for (const client of clients) client.destroy();
  for (const client of writers) await client.end();
});

test('what the standby refuses is run on the primary, and its neighbours do not notice', UNTIL_SHARED, async () => {
  using writer = await connect();
  using behind = await connect();
  await share(writer, 'SELECT writes(0)');
  await share(behind, "SELECT 'behind 0'");
  const before = { shared: await shared(), retries: await pgweir.metric('pgweir_retries_total{cause="25006"}') };
  writer.send(query('SELECT writes(1)'));
  behind.send(query("SELECT 'behind 1'"));
  expect(await row(writer)).toEqual(['1']);
  expect(await row(behind)).toEqual(['behind 1']);
  expect(await shared()).toBeGreaterThanOrEqual(before.shared + 2);
  expect(await pgweir.metric('pgweir_retries_total{cause="25006"}')).toBe(before.retries + 1);
  // It is known from now on.
  writer.send(query('SELECT writes(1)'));
  expect(await row(writer)).toEqual(['1']);
  expect(await pgweir.metric('pgweir_retries_total{cause="25006"}')).toBe(before.retries + 1);
});

test('a connection that is lost has the reads on it run again, none twice and none not at all', UNTIL_SHARED, async () => {
  const clients = await Promise.all(Array.from({ length: 4 }, connect));
  const retries = () => pgweir.metricSum('pgweir_retries_total');
  await until('lost while it was shared', async () => {
    for (const client of clients) await share(client, 'SELECT waits(0) + 0');
    const before = { left: await left('slow read'), retries: await retries() };
    await holder.query('SELECT pg_advisory_lock($1)', [LOCK]);
    for (const [who, client] of clients.entries()) client.send(query(`SELECT waits(${who === 0 ? LOCK : 0}) + ${100 * who}`));
    const end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    while ((await holder.query(end)).rows.length === 0);
    await holder.query('SELECT pg_advisory_unlock($1)', [LOCK]);
    for (const [who, client] of clients.entries()) {
      expect(await row(client)).toEqual([String(who === 0 ? LOCK : 100 * who)]);
      expect((await client.query(`SELECT ${who}`)).rows).toEqual([[String(who)]]);
    }
    expect(await retries()).toBeGreaterThan(before.retries);
    return (await left('slow read')) === before.left && (await retries()) > before.retries + 1;
  });
  for (const client of clients) client.destroy();
});
