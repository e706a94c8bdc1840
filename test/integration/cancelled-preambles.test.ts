import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { clientMessage } from '../support/transcript.ts';
import { connectPg, expectWholePools } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/**
 * What goes ahead of a statement (settings, the BEGIN that was put off) may be cancelled at any moment. The statement is in the
 * same write, and must not run then: not under another's role, not outside of its transaction, and never twice.
 */
let cluster: Cluster;
let pgweir: Pgweir;

const RUN_MS = 4_000;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 });
  await cluster.primary.query(`CREATE TABLE who (n int, meant text, was text); CREATE ROLE one; CREATE ROLE two;
    GRANT ALL ON who TO one, two; CREATE SEQUENCE turns`);
  await cluster.waitForReplay();
  // One connection, which two clients with different roles take from each other.
  pgweir = await startPgweir(cluster, 'pool: { max_per_backend: 1 }');
  // Until it is known that no trigger stands behind it, an INSERT may leave anything, and is asked about.
  const client = await connectPg(pgweir.port);
  for (let time = 0; time < 30; time++) {
    await client.query("INSERT INTO who VALUES (-1, '', '')");
    await sleep(50);
  }
  await client.end();
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

/** Cancels whatever runs for clients of that name, again and again, at no particular moment. */
async function cancelling<T>(application: string, work: () => Promise<T>): Promise<T> {
  const canceller = await connectPg(cluster.primary.port);
  const cancels = canceller.query(`DO $$ DECLARE victim int; till timestamptz := clock_timestamp() + '${RUN_MS} ms'; BEGIN
    WHILE clock_timestamp() < till LOOP
      PERFORM pg_stat_clear_snapshot();
      FOR victim IN SELECT pid FROM pg_stat_activity WHERE application_name = '${application}' LOOP
        FOR i IN 1..20 LOOP PERFORM pg_cancel_backend(victim); PERFORM pg_sleep(random() * 0.0004); END LOOP;
      END LOOP;
    END LOOP; END $$`);
  const result = await work();
  await cancels;
  await canceller.end();
  return result;
}

interface Row {
  readonly n: number;
  readonly times: number;
  readonly isOther: boolean;
}

/** What became of the rows from that number on. */
async function rowsFrom(first: number): Promise<Map<number, Row>> {
  const rows = await cluster.primary.query(`SELECT n, count(*)::int AS times, bool_or(meant <> was) AS "isOther"
    FROM who WHERE n >= ${first} GROUP BY n`);
  return new Map((rows as unknown as Row[]).map((row) => [row.n, row]));
}

function asRoles(application: string): Promise<pg.Client[]> {
  return Promise.all(
    ['one', 'two'].map(async (role) => {
      const client = await connectPg(pgweir.port, { application_name: application });
      await client.query(`SET ROLE ${role}`);
      return client;
    }),
  );
}

const insert = (n: number, role: string) => `INSERT INTO who VALUES (${n}, '${role}', current_user)`;

test('a statement whose settings were cancelled does not run under those of another', async () => {
  const clients = await asRoles('settings');
  const refused = new Set<number>();
  const sent = await cancelling('settings', async () => {
    let n = 0;
    for (const end = Date.now() + RUN_MS; Date.now() < end; n++) {
      await clients[n % 2]?.query(insert(n, n % 2 === 0 ? 'one' : 'two')).catch(({ code }: { code: string }) => {
        expect(code).toBe('57014');
        refused.add(n);
      });
    }
    return n;
  });
  for (const client of clients) await client.end();
  const rows = await rowsFrom(0);
  expect([...rows.values()].filter(({ times, isOther }) => times > 1 || isOther)).toEqual([]);
  for (let n = 0; n < sent; n++) expect(rows.has(n), `row ${n}`).toBe(!refused.has(n));
  // Or nothing was tried.
  expect(refused.size).toBeGreaterThan(10);
  await expectWholePools(pgweir, cluster);
});

test('a statement whose BEGIN was cancelled does not run outside of its transaction', async () => {
  const [client, other] = await asRoles('begin');
  const failed = new Set<number>();
  const first = 1_000_000;
  const sent = await cancelling('begin', async () => {
    let n = first;
    for (const end = Date.now() + RUN_MS; Date.now() < end; n++) {
      try {
        await client?.query('BEGIN');
        await client?.query(insert(n, 'one'));
        await client?.query('COMMIT');
      } catch (error) {
        expect(error).toMatchObject({ code: '57014' });
        await client?.query('ROLLBACK').catch(() => client.query('ROLLBACK'));
        failed.add(n);
      }
    }
    return n;
  });
  for (const each of [client, other]) await each?.end();
  const rows = await rowsFrom(first);
  expect([...rows.values()].filter(({ times, isOther }) => times > 1 || isOther)).toEqual([]);
  for (let n = first; n < sent; n++) expect(rows.has(n), `row ${n}`).toBe(!failed.has(n));
  expect(failed.size).toBeGreaterThan(10);
  await expectWholePools(pgweir, cluster);
});

test('a client that cancels its own statement is told, and the statement has not run', async () => {
  const clients = await Promise.all(
    ['one', 'two'].map(async (role) => {
      const client = await WireClient.connect({ host: pgweir.host, port: pgweir.port, database: 'postgres', timeoutMs: 20_000 });
      await client.query(`SET ROLE ${role}`);
      return client;
    }),
  );
  const refused = new Set<number>();
  const first = 2_000_000;
  let n = first;
  for (const end = Date.now() + RUN_MS; Date.now() < end; n++) {
    const client = clients[n % 2] as WireClient;
    client.send(clientMessage('Query', insert(n, n % 2 === 0 ? 'one' : 'two')));
    const cancel = client.cancel();
    if ((await client.receiveUntilReady()).some(({ name }) => name === 'ErrorResponse')) refused.add(n);
    await cancel;
  }
  for (const client of clients) client.destroy();
  const rows = await rowsFrom(first);
  expect([...rows.values()].filter(({ times, isOther }) => times > 1 || isOther)).toEqual([]);
  for (let at = first; at < n; at++) expect(rows.has(at), `row ${at}`).toBe(!refused.has(at));
  await expectWholePools(pgweir, cluster);
});

test('a BEGIN that is refused at last is the answer to a batch that waits for one', async () => {
  // The one replica may be behind after so many writes, and a read-only address has no other.
  await cluster.waitForReplay();
  using client = await WireClient.connect({
    host: pgweir.host,
    port: pgweir.readOnlyPort,
    database: 'postgres',
    timeoutMs: 20_000,
  });
  // No standby does that.
  await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE');
  client.send(
    clientMessage('Parse', 'one', 'SELECT 1', []),
    clientMessage('Bind', '', 'one', [], [], []),
    clientMessage('Execute', '', 0),
    clientMessage('Flush'),
  );
  const [refusal] = await client.receive(1);
  expect([refusal?.name, refusal?.args]).toMatchObject(['ErrorResponse', [{ C: '0A000' }]]);
  client.send(clientMessage('Sync'));
  await client.receiveUntilReady();
  await client.query('ROLLBACK');
  // PostgreSQL has passed over it, so there is no statement of that name.
  client.send(clientMessage('Parse', 'one', 'SELECT 3', []), clientMessage('Bind', '', 'one', [], [], []));
  client.send(clientMessage('Execute', '', 0), clientMessage('Sync'));
  expect((await client.receiveUntilReady()).filter(({ name }) => name === 'DataRow').map(({ args }) => args)).toEqual([[['3']]]);
});
