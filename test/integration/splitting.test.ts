import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { until } from '../support/weather.ts';

let cluster: Cluster;
let pgweir: Pgweir;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 2 });
  await cluster.primary.query('CREATE TABLE items (id int PRIMARY KEY, name text)');
  // Where a statement runs must not depend on how busy the machine is.
  pgweir = await startPgweir(cluster, 'routing: { fence_wait: 10s }');
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

async function connect(port = pgweir.port): Promise<pg.Client> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' });
  await client.connect();
  return client;
}

/** The port of the node on which the statement's own query ran, asked of the database. */
async function portOf(client: pg.Client, sql = "SELECT current_setting('port')::int AS port"): Promise<number> {
  const { rows } = await client.query(sql);
  return rows[0].port;
}

describe('where statements run, asked of the database', () => {
  test('a plain read runs on a replica', async () => {
    const client = await connect();
    expect(cluster.replicas.map(({ port }) => port)).toContain(await portOf(client));
    await client.end();
  });

  test('a write and the transaction around it run on the primary', async () => {
    const client = await connect();
    await client.query('BEGIN');
    expect(await portOf(client)).toBe(cluster.primary.port);
    await client.query("INSERT INTO items VALUES (1, 'one')");
    await client.query('COMMIT');
    await client.end();
  });

  test('a transaction declared read-only runs on a replica', async () => {
    const client = await connect();
    await client.query('BEGIN READ ONLY');
    expect(cluster.replicas.map(({ port }) => port)).toContain(await portOf(client));
    await client.query('COMMIT');
    await client.end();
  });

  test('a session sees its own write at once, on whatever node the read runs', async () => {
    const client = await connect();
    for (let id = 100; id < 150; id++) {
      await client.query('INSERT INTO items VALUES ($1, $2)', [id, 'x']);
      const { rows } = await client.query('SELECT count(*)::int AS n FROM items WHERE id = $1', [id]);
      expect(rows[0].n).toBe(1);
    }
    await client.end();
  });

  test('the read-only listener refuses a write in the words of a standby', async () => {
    const client = await connect(pgweir.readOnlyPort);
    await expect(client.query("INSERT INTO items VALUES (2, 'two')")).rejects.toMatchObject({ code: '25006' });
    expect(cluster.replicas.map(({ port }) => port)).toContain(await portOf(client));
    await client.end();
  });
});

describe('state that is known to one connection only', () => {
  test('currval is answered after the statement that advanced the sequence, also when others advance it meanwhile', async () => {
    await cluster.primary.query('CREATE SEQUENCE tickets');
    const [client, other] = [await connect(), await connect()];
    await client.query("SELECT nextval('tickets')");
    expect((await client.query("SELECT currval('tickets')::int AS n")).rows[0].n).toBe(1);
    await other.query("SELECT nextval('tickets')");
    expect((await other.query('SELECT lastval()::int AS n')).rows[0].n).toBe(2);
    expect((await client.query("SELECT currval('tickets')::int AS n")).rows[0].n).toBe(1);
    // Who asks for them has a connection of the primary to itself, and reads elsewhere.
    expect(cluster.replicas.map(({ port }) => port)).toContain(await portOf(client));
    await client.end();
    await other.end();
  });

  test('a temporary table keeps its session on its connection until it is dropped', async () => {
    const client = await connect();
    await client.query('CREATE TEMP TABLE mine (id int)');
    expect(await pgweir.metric('pgweir_clients_pinned')).toBe(1);
    expect(await portOf(client)).toBe(cluster.primary.port);
    await client.query('DROP TABLE mine');
    await expect.poll(() => pgweir.metric('pgweir_clients_pinned')).toBe(0);
    expect(cluster.replicas.map(({ port }) => port)).toContain(await portOf(client));
    await client.end();
  });

  test('a cursor WITH HOLD keeps its session on its connection until it is closed', async () => {
    const client = await connect();
    await client.query('DECLARE c CURSOR WITH HOLD FOR SELECT 1');
    expect(await portOf(client)).toBe(cluster.primary.port);
    await client.query('CLOSE c');
    // The next read may come before it is known that nothing is left.
    const elsewhere = new Set(cluster.replicas.map(({ port }) => port));
    await until('a read of a replica', async () => elsewhere.has(await portOf(client)));
    await client.end();
  });

  test('set_config answers with its row inside a transaction that no backend knows of yet', async () => {
    const client = await connect();
    await client.query('BEGIN');
    const { rows } = await client.query("SELECT set_config('search_path', 'pg_catalog', true)");
    expect(rows).toEqual([{ set_config: 'pg_catalog' }]);
    await client.query('COMMIT');
    await client.end();
  });
});
