import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { PgweirProcess } from '../support/pgweir-process.ts';
import { clientMessage } from '../support/transcript.ts';
import { connectPg, until } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/** The process as an operator has it: `pgweir serve`, signals, a configuration file. */
let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 });
  await cluster.primary.query('CREATE TABLE notes (n int)');
});

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

function connect({ host, port }: PgweirProcess): Promise<WireClient> {
  return WireClient.connect({ host, port, database: 'postgres', timeoutMs: 20_000 });
}

describe('SIGTERM', () => {
  test('sends idle clients away with 57P01, lets transactions and statements finish, and ends with code 0', async () => {
    await using pgweir = await PgweirProcess.start(cluster, 'shutdown: { drain_timeout: 20s }');
    using idle = await connect(pgweir);
    using pinned = await connect(pgweir);
    await pinned.query('LISTEN news');
    using working = await connect(pgweir);
    await working.query('BEGIN');
    await working.query('INSERT INTO notes VALUES (1)');
    using begun = await connect(pgweir);
    await begun.query('BEGIN');
    using reading = await connect(pgweir);
    reading.send(clientMessage('Query', 'SELECT 7 FROM pg_sleep(0.5)'));
    // So that the statement has begun when the signal comes.
    await until('it runs', async () => {
      const sql = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT 7%'";
      return (await Promise.all(cluster.nodes.map((node) => node.query(sql)))).some((rows) => rows.length > 0);
    });

    pgweir.signal('SIGTERM');
    for (const client of [idle, pinned]) {
      const messages = await client.receiveUntilClosed();
      expect(messages.map(({ args }) => args[0])).toMatchObject([{ S: 'FATAL', C: '57P01' }]);
    }
    expect((await reading.receiveUntilReady()).map(({ args }) => args[0])).toContainEqual(['7']);
    expect((await reading.receiveUntilClosed()).map(({ args }) => args[0])).toMatchObject([{ S: 'FATAL', C: '57P01' }]);
    await expect(connect(pgweir)).rejects.toThrow();
    expect(pgweir.running).toBe(true);

    expect((await working.query('INSERT INTO notes VALUES (2)')).tags).toEqual(['INSERT 0 1']);
    working.send(clientMessage('Query', 'COMMIT'));
    expect((await working.receiveUntilReady()).map(({ args }) => args[0])).toContain('COMMIT');
    await working.receiveUntilClosed();
    expect((await begun.query('INSERT INTO notes VALUES (3)')).tags).toEqual(['INSERT 0 1']);
    begun.send(clientMessage('Query', 'COMMIT'));
    await begun.receiveUntilClosed();

    expect(await pgweir.ended()).toBe(0);
    expect(await cluster.primary.query('SELECT n FROM notes ORDER BY n')).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    expect(pgweir.complaints).toEqual([]);
    const left =
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    await until('its connections are gone', async () => {
      const counts = await Promise.all(cluster.nodes.map((node) => node.query(left)));
      return counts.every(([row]) => row?.n === 0);
    });
  });

  test('a transaction that does not finish in time is ended with 57P01', async () => {
    await using pgweir = await PgweirProcess.start(cluster, 'shutdown: { drain_timeout: 300ms }');
    using client = await connect(pgweir);
    await client.query('BEGIN');
    await client.query('INSERT INTO notes VALUES (10)');
    pgweir.signal('SIGTERM');
    const messages = await client.receiveUntilClosed();
    expect(messages.map(({ args }) => args[0])).toMatchObject([{ S: 'FATAL', C: '57P01' }]);
    expect(await pgweir.ended()).toBe(0);
    expect(await cluster.primary.query('SELECT n FROM notes WHERE n = 10')).toEqual([]);
  });

  test('a second one does not wait', async () => {
    await using pgweir = await PgweirProcess.start(cluster, 'shutdown: { drain_timeout: 60s }');
    using client = await connect(pgweir);
    await client.query('BEGIN');
    pgweir.signal('SIGTERM');
    await until('draining', () => pgweir.logged('draining'));
    pgweir.signal('SIGTERM');
    expect(await pgweir.ended()).toBe(143);
  });
});

describe('SIGHUP', () => {
  test('puts a new configuration in force without a client noticing; a broken one changes nothing', async () => {
    await using pgweir = await PgweirProcess.start(cluster, 'routing: { rules: [ { user: postgres, route: primary } ] }');
    const portOf = async (client: WireClient) => (await client.query("SELECT current_setting('port')::int")).rows[0]?.[0];
    const [primary, replica] = [String(cluster.primary.port), String(cluster.replicas[0]?.port)];
    using early = await connect(pgweir);
    await early.query('BEGIN');
    expect(await portOf(early)).toBe(primary);

    pgweir.configure('routing: { ruels: [] }');
    pgweir.signal('SIGHUP');
    await until('refused', () => pgweir.logged('reload_refused'));
    expect(pgweir.log.find(({ event }) => event === 'config_problem')).toMatchObject({ line: expect.any(Number) });
    using meanwhile = await connect(pgweir);
    expect(await portOf(meanwhile)).toBe(primary);

    pgweir.configure('limits: { clients: 3 }');
    pgweir.signal('SIGHUP');
    await until('applied', () => pgweir.logged('reload_applied'));
    using late = await connect(pgweir);
    expect(await portOf(late)).toBe(replica);
    await expect(connect(pgweir)).rejects.toMatchObject({ sqlstate: '53300' });
    expect((await early.query('COMMIT')).tags).toEqual(['COMMIT']);
  });
});

describe('memory', () => {
  test('of a result of 200 MB that its client does not read, no more than a few buffers are held', async () => {
    await using pgweir = await PgweirProcess.start(cluster);
    const other = await connectPg(pgweir.port);
    const before = await settledBytes(pgweir, other);
    using slow = await connect(pgweir);
    slow.send(clientMessage('Query', "SELECT repeat('x', 1000000) FROM generate_series(1, 200)"));
    await slow.receive(1);
    slow.pause();
    await traffic(other);
    await traffic(other);
    await until('its backend waits', () => waitsFor('ClientWrite'));
    const grownMb = (pgweir.residentBytes - before) / 2 ** 20;
    console.log(`RSS grew by ${grownMb.toFixed(1)} MB beside a result of 200 MB that nobody reads`);
    expect(grownMb).toBeLessThan(64);
    slow.resume();
    const messages = await slow.receiveUntilReady();
    expect(messages.filter(({ name }) => name === 'DataRow')).toHaveLength(200);
    await other.end();
  });

  test('of a COPY of 200 MB that its backend does not read, no more than a few buffers are held', async () => {
    await cluster.primary.query(`
      CREATE TABLE copied (text text);
      CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_xact_lock_shared(5); NEW.text = length(NEW.text); RETURN NEW; END';
      CREATE TRIGGER wait BEFORE INSERT ON copied FOR EACH ROW EXECUTE FUNCTION wait()`);
    await using pgweir = await PgweirProcess.start(cluster);
    const other = await connectPg(pgweir.port);
    const holder = await connectPg(cluster.primary.port);
    await holder.query('SELECT pg_advisory_lock(5)');
    const before = await settledBytes(pgweir, other);
    using copier = await connect(pgweir);
    const row = clientMessage('CopyData', `${'x'.repeat(1_000_000)}\n`);
    copier.send(
      clientMessage('Query', 'COPY copied FROM STDIN'),
      ...Array.from({ length: 200 }, () => row),
      clientMessage('CopyDone'),
    );
    await until('its backend waits', () => waitsFor('advisory'));
    await traffic(other);
    await traffic(other);
    const grownMb = (pgweir.residentBytes - before) / 2 ** 20;
    console.log(`RSS grew by ${grownMb.toFixed(1)} MB beside a COPY of 200 MB that is not read`);
    expect(grownMb).toBeLessThan(64);
    await holder.query('SELECT pg_advisory_unlock(5)');
    const messages = await copier.receiveUntilReady();
    expect(messages.find(({ name }) => name === 'CommandComplete')?.args).toEqual(['COPY 200']);
    expect(await cluster.primary.query('SELECT DISTINCT text FROM copied')).toEqual([{ text: '1000000' }]);
    await Promise.all([other.end(), holder.end()]);
  });
});

async function traffic(client: pg.Client): Promise<void> {
  for (let round = 0; round < 100; round++) {
    expect((await client.query("SELECT repeat('y', 100000) AS y")).rows[0].y).toHaveLength(100_000);
  }
}

/** Memory of a pgweir with some traffic: what its start took is given back by and by. */
async function settledBytes(pgweir: PgweirProcess, client: pg.Client): Promise<number> {
  let last = Number.POSITIVE_INFINITY;
  await until('memory to settle', async () => {
    await traffic(client);
    const change = Math.abs(pgweir.residentBytes - last);
    last = pgweir.residentBytes;
    return change < 2 * 2 ** 20;
  });
  return last;
}

/** Whether one statement of all nodes waits for this. */
async function waitsFor(event: string): Promise<boolean> {
  const sql = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event = '${event}'`;
  return (await Promise.all(cluster.nodes.map((node) => node.query(sql)))).some(([row]) => row?.n === 1);
}
