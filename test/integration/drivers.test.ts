import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';

let cluster: Cluster;
let pgweir: Pgweir;
let replicaPorts: number[];

beforeAll(async () => {
  cluster = await startCluster({ replicas: 2 });
  await cluster.primary.query('CREATE TABLE note (id serial PRIMARY KEY, body text NOT NULL)');
  await cluster.waitForReplay();
  pgweir = await startPgweir(cluster, 'routing: { fence_wait: 10s }');
  replicaPorts = cluster.replicas.map(({ port }) => port);
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

describe('postgres.js as it is', () => {
  let sql: postgres.Sql;

  beforeAll(() => {
    sql = postgres({
      host: '127.0.0.1',
      port: pgweir.port,
      user: 'postgres',
      database: 'postgres',
      max: 4,
      onnotice: () => undefined,
    });
  });
  afterAll(() => sql?.end());

  const port = async (on: postgres.Sql | postgres.TransactionSql) =>
    (await on`SELECT current_setting('port')::int AS port`)[0]?.port;

  test('its prepared reads run on replicas, again and again', async () => {
    for (let round = 0; round < 20; round++) expect(replicaPorts).toContain(await port(sql));
  });

  test('its writes run on the primary and are read back at once', async () => {
    for (let round = 0; round < 20; round++) {
      const body = `from postgres.js ${round}`;
      const [row] = await sql`INSERT INTO note (body) VALUES (${body}) RETURNING id, current_setting('port')::int AS port`;
      expect(row?.port).toBe(cluster.primary.port);
      expect(await sql`SELECT body FROM note WHERE id = ${row?.id}`).toEqual([{ body }]);
    }
  });

  test('its transactions: read-write on the primary, read-only on a replica, savepoints, rollback', async () => {
    await sql.begin(async (tx) => {
      expect(await port(tx)).toBe(cluster.primary.port);
      await tx`INSERT INTO note (body) VALUES ('kept')`;
      await tx.savepoint((inner) => inner`INSERT INTO nosuch VALUES (1)`).catch(() => undefined);
    });
    await sql.begin('read only', async (tx) => expect(replicaPorts).toContain(await port(tx)));
    await expect(
      sql.begin(async (tx) => {
        await tx`INSERT INTO note (body) VALUES ('gone')`;
        throw new Error('changed my mind');
      }),
    ).rejects.toThrow('changed my mind');
    expect(await sql`SELECT body FROM note WHERE body IN ('kept', 'gone')`).toEqual([{ body: 'kept' }]);
  });

  test('many queries at once, cursors and types in both directions', async () => {
    const numbers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => sql`SELECT ${n}::int AS n, now() AS t, ${[1, n]}::int[] AS a`),
    );
    expect(numbers.map(([row]) => row?.n)).toEqual(Array.from({ length: 50 }, (_, n) => n));
    let rows = 0;
    for await (const chunk of sql`SELECT generate_series(1, 1000) AS n`.cursor(100)) rows += chunk.length;
    expect(rows).toBe(1000);
  });
});

describe('node-postgres as it is', () => {
  test('a pool with named statements, whose reads run on replicas', async () => {
    const pool = new pg.Pool({ host: '127.0.0.1', port: pgweir.port, user: 'postgres', database: 'postgres', max: 5 });
    const ports = await Promise.all(
      Array.from({ length: 40 }, async (_, n) => {
        const query = { name: 'where', text: "SELECT current_setting('port')::int AS port, $1::int AS n", values: [n] };
        const { rows } = await pool.query(query);
        expect(rows[0].n).toBe(n);
        return rows[0].port;
      }),
    );
    for (const port of ports) expect(replicaPorts).toContain(port);
    await pool.end();
  });

  test('a transaction per request, with errors inside', async () => {
    const client = new pg.Client({ host: '127.0.0.1', port: pgweir.port, user: 'postgres', database: 'postgres' });
    await client.connect();
    await client.query('BEGIN');
    await client.query("INSERT INTO note (body) VALUES ('pg')");
    await expect(client.query('SELECT 1/0')).rejects.toMatchObject({ code: '22012' });
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '25P02' });
    await client.query('ROLLBACK');
    expect((await client.query("SELECT count(*)::int AS n FROM note WHERE body = 'pg'")).rows).toEqual([{ n: 0 }]);
    await client.end();
  });
});
