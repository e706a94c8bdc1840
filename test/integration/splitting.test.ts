import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { connectPg, until, WHERE } from '../support/weather.ts';

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

function connect(port = pgweir.port, options = ''): Promise<pg.Client> {
  return connectPg(port, { options });
}

const replicaPorts = () => cluster.replicas.map(({ port }) => port);

/** The port of the node on which the statement's own query ran, asked of the database. */
async function portOf(client: pg.Client, sql = WHERE): Promise<number> {
  const { rows } = await client.query(sql);
  return rows[0].port;
}

describe('where statements run, asked of the database', () => {
  test('a plain read runs on a replica', async () => {
    const client = await connect();
    expect(replicaPorts()).toContain(await portOf(client));
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

  test.each([
    ['BEGIN READ ONLY', ['BEGIN READ ONLY']],
    ['START TRANSACTION READ ONLY', ['START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY']],
    ['SET TRANSACTION READ ONLY', ['BEGIN', 'SET TRANSACTION READ ONLY']],
    ['SET LOCAL transaction_read_only', ['BEGIN', 'SET LOCAL transaction_read_only = on']],
    ['default_transaction_read_only', ['SET default_transaction_read_only = on', 'BEGIN']],
  ])('a transaction declared read-only runs on a replica: %s', async (_how, texts) => {
    const client = await connect();
    for (const text of texts) await client.query(text);
    expect(replicaPorts()).toContain(await portOf(client));
    await client.query('COMMIT');
    await client.end();
  });

  test.each([
    ['by a startup option', { options: '-c default_transaction_read_only=on' }],
    ['for its role', { user: 'reader' }],
  ])('so does one of a session whose transactions are read-only %s, until it says otherwise', async (_how, login) => {
    await cluster.primary.query(`DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN SUPERUSER;
      ALTER ROLE reader SET default_transaction_read_only = on`);
    await cluster.waitForReplay();
    const client = new pg.Client({ host: '127.0.0.1', port: pgweir.port, user: 'postgres', database: 'postgres', ...login });
    await client.connect();
    await client.query('BEGIN');
    expect(replicaPorts()).toContain(await portOf(client));
    await expect(client.query("INSERT INTO items VALUES (3, 'three')")).rejects.toMatchObject({ code: '25006' });
    await client.query('ROLLBACK');
    await client.query('SET default_transaction_read_only = off');
    await client.query('BEGIN');
    expect(await portOf(client)).toBe(cluster.primary.port);
    await client.query('COMMIT');
    await client.end();
  });

  test('so does one of a session with such characteristics, once these were asked for', async () => {
    const client = await connect();
    await client.query('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY');
    await until('its transactions run on a replica', async () => {
      await client.query('BEGIN');
      const port = await portOf(client);
      await expect(client.query("INSERT INTO items VALUES (3, 'three')")).rejects.toMatchObject({ code: '25006' });
      await client.query('ROLLBACK');
      return replicaPorts().includes(port);
    });
    await client.end();
  });

  test('a serializable transaction runs on the primary, declared read-only or not', async () => {
    const client = await connect();
    await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY');
    expect(await portOf(client)).toBe(cluster.primary.port);
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
    expect(replicaPorts()).toContain(await portOf(client));
    await client.end();
  });
});

describe('who says himself where his reads run is listened to', () => {
  test('by a comment', async () => {
    const client = await connect();
    expect(await portOf(client, `/* pgweir: route=primary */ ${WHERE}`)).toBe(cluster.primary.port);
    expect(await portOf(client, `${WHERE} -- pgweir: route=primary`)).toBe(cluster.primary.port);
    expect(replicaPorts()).toContain(await portOf(client));
    await client.end();
  });

  test('by a comment in front of what is volatile, but not of what is known to write', async () => {
    await cluster.primary.query(
      `CREATE FUNCTION place() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN current_setting('port'); END $$`,
    );
    const client = await connect();
    await until('the function is known', async () => (await portOf(client, 'SELECT place() AS port')) === cluster.primary.port);
    await until('the function is there', async () => {
      return replicaPorts().includes(await portOf(client, '/* pgweir: route=replica */ SELECT place() AS port'));
    });
    await client.query("/* pgweir: route=replica */ INSERT INTO items VALUES (4, 'four')");
    expect((await client.query('SELECT name FROM items WHERE id = 4')).rows).toEqual([{ name: 'four' }]);
    await client.end();
  });

  test('by a setting, for the session or a transaction', async () => {
    const client = await connect();
    await client.query("SET pgweir.route = 'primary'");
    expect(await portOf(client)).toBe(cluster.primary.port);
    await client.query('BEGIN READ ONLY');
    expect(await portOf(client)).toBe(cluster.primary.port);
    await client.query('COMMIT');
    await client.query('RESET pgweir.route');
    expect(replicaPorts()).toContain(await portOf(client));
    await client.query('BEGIN READ ONLY');
    await client.query("SET LOCAL pgweir.route = 'primary'");
    expect(await portOf(client)).toBe(cluster.primary.port);
    await client.query('COMMIT');
    expect(replicaPorts()).toContain(await portOf(client));
    await client.end();
  });

  test('by an option of the connection', async () => {
    const client = await connect(pgweir.port, '-c pgweir.route=primary');
    expect(await portOf(client)).toBe(cluster.primary.port);
    expect(await portOf(client, `/* pgweir: route=replica */ ${WHERE}`)).not.toBe(cluster.primary.port);
    await client.end();
  });

  test('by the age that is the most it takes', async () => {
    // Here a read does not wait for a replica to be young enough.
    await using hasty = await startPgweir(cluster, 'routing: { fence_wait: 0s }');
    const client = await connect(hasty.port);
    for (const node of cluster.replicas) await node.set('recovery_min_apply_delay', '1h');
    try {
      await cluster.primary.query("INSERT INTO items VALUES (5, 'five')");
      await until('both are behind', async () => {
        const behind = cluster.replicas.map(({ name }) => hasty.metric(`pgweir_backend_lag_seconds{backend="${name}"}`));
        return (await Promise.all(behind)).every((seconds) => seconds > 0.5);
      });
      expect(replicaPorts()).toContain(await portOf(client));
      expect(await portOf(client, `/* pgweir: max_staleness=500ms */ ${WHERE}`)).toBe(cluster.primary.port);
      await client.query("SET pgweir.max_staleness = '500ms'");
      expect(await portOf(client)).toBe(cluster.primary.port);
    } finally {
      for (const node of cluster.replicas) await node.set('recovery_min_apply_delay', '0');
      await cluster.waitForReplay();
      await until('replicas serve again', async () => replicaPorts().includes(await portOf(client)));
      await client.end();
    }
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
    expect(replicaPorts()).toContain(await portOf(client));
    await client.end();
    await other.end();
  });

  test('a temporary table keeps its session on its connection until it is dropped', async () => {
    const client = await connect();
    await client.query('CREATE TEMP TABLE mine (id int)');
    await expect.poll(() => pgweir.metric('pgweir_clients_pinned')).toBe(1);
    expect(await portOf(client)).toBe(cluster.primary.port);
    await client.query('DROP TABLE mine');
    await expect.poll(() => pgweir.metric('pgweir_clients_pinned')).toBe(0);
    expect(replicaPorts()).toContain(await portOf(client));
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
