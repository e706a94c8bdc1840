import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, type PostgresNode, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { clientMessage } from '../support/transcript.ts';
import { expectWholePools, ReadLoad, until, WHERE } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/**
 * The primary goes, in every way and at every moment. The tests share one cluster and go in order: the last ones promote a
 * replica.
 */
let cluster: Cluster;
let pgweir: Pgweir;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 2 });
  await cluster.primary.query('CREATE TABLE notes (n int PRIMARY KEY); CREATE TABLE loud (n int)');
  await cluster.primary.query('GRANT pg_read_all_stats TO postgres');
  pgweir = await startPgweir(cluster);
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

afterEach(async () => {
  cluster.primary.resume();
  if (!cluster.primary.running) await cluster.primary.start();
  await expectWholePools(pgweir, cluster);
});

function connect(): Promise<WireClient> {
  return WireClient.connect({ host: pgweir.host, port: pgweir.port, database: 'postgres', timeoutMs: 20_000 });
}

/** SQLSTATE of the error that the statement ends in, or what it gave instead. */
async function fate(answer: Promise<{ readonly tags: readonly string[] }>): Promise<string> {
  try {
    return (await answer).tags.join();
  } catch (error) {
    return (error as { sqlstate?: string }).sqlstate ?? String(error);
  }
}

function running(node: PostgresNode, text: string): Promise<number> {
  const sql = `SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '${text.replaceAll("'", "''")}%'`;
  return until(`${text} runs`, async () => (await node.query(sql)).length > 0);
}

/** Whether pgweir takes a write, as a client sees it. */
async function takesWrites(): Promise<boolean> {
  using client = await connect();
  return (await fate(client.query('INSERT INTO loud VALUES (1)'))) === 'INSERT 0 1';
}

/**
 * What the sessions did on the primary is on the replicas, and the monitor knows. The commit has the WAL of transactions that
 * are still open flushed, without which nobody can know that there was no commit in it.
 */
async function fencesReached(): Promise<void> {
  await cluster.primary.query('INSERT INTO loud VALUES (0)');
  await cluster.waitForReplay();
  await sleep(500);
}

const SLOW_WRITE = 'INSERT INTO loud SELECT 1 FROM pg_sleep(30)';

/** How the primary goes away and comes back. */
const WAYS: [string, (node: PostgresNode) => Promise<void>][] = [
  ['killed', (node) => node.kill()],
  ['stopped in fast mode', (node) => node.stop('fast')],
  ['stopped in immediate mode', (node) => node.stop('immediate')],
];

describe.each(WAYS)('the primary is %s', (_way, lose) => {
  test('and every session sees what its moment asks for, keeps its connection, and goes on', async () => {
    const node = cluster.primary;
    const load = await ReadLoad.start(pgweir.port, 4);
    using idle = await connect();
    await idle.query('SELECT 1');
    using between = await connect();
    await between.query('INSERT INTO loud VALUES (0)');
    using begun = await connect();
    await begun.query('BEGIN');
    using inside = await connect();
    await inside.query('BEGIN');
    await inside.query('INSERT INTO loud VALUES (1)');
    using committing = await connect();
    await committing.query('BEGIN');
    await committing.query('INSERT INTO loud VALUES (2)');
    using working = await connect();
    await working.query('BEGIN');
    const inFlight = fate(working.query('SELECT pg_sleep(30) FROM loud FOR UPDATE'));
    using writing = await connect();
    const write = fate(writing.query(SLOW_WRITE));
    using batching = await connect();
    const batch = fate(batching.execute(`/* batch */ ${SLOW_WRITE}`));
    using copying = await connect();
    copying.send(clientMessage('Query', 'COPY loud FROM STDIN'));
    expect((await copying.receive(1)).map(({ name }) => name)).toEqual(['CopyInResponse']);
    await running(node, 'SELECT pg_sleep(30)');
    await running(node, SLOW_WRITE);
    await running(node, '/* batch */');
    await fencesReached();

    await lose(node);

    expect([await inFlight, await write, await batch]).toEqual(['08006', '08007', '08007']);
    copying.send(clientMessage('CopyData', '1\n'), clientMessage('CopyDone'));
    const copied = await copying.receiveUntilReady();
    // In immediate mode the server says in a notice that it crashed on purpose.
    const names = copied.map(({ name }) => name).filter((name) => name !== 'NoticeResponse');
    expect(names).toEqual(['ErrorResponse', 'ReadyForQuery']);
    expect([working.status, writing.status, batching.status, copying.status]).toEqual(['E', 'I', 'I', 'I']);

    expect(await fate(inside.query('SELECT 1'))).toBe('08006');
    expect(await fate(inside.query('SELECT 1'))).toBe('25P02');
    expect(await fate(inside.query('ROLLBACK'))).toBe('ROLLBACK');
    expect(await fate(working.query('SELECT 1'))).toBe('25P02');
    expect(await fate(working.query('COMMIT'))).toBe('ROLLBACK');
    expect(await fate(committing.query('COMMIT'))).toBe('08006');
    expect(committing.status).toBe('I');
    for (const client of [idle, between, begun, inside, committing, working, writing, batching, copying]) {
      expect(client.closed).toBe(false);
    }

    await until('pgweir knows', async () => (await fate(idle.query('INSERT INTO loud VALUES (3)'))) === '57P03');
    expect(await fate(begun.query('INSERT INTO loud VALUES (3)'))).toBe('57P03');
    expect(await fate(begun.query('ROLLBACK'))).toBe('ROLLBACK');
    expect(await fate(between.query(WHERE))).toBe('SELECT 1');
    await load.everySession();

    await node.start();
    await until('writes again', takesWrites);
    for (const client of [idle, between, begun, inside, committing, working, writing, batching, copying]) {
      expect(await fate(client.query('INSERT INTO loud VALUES (4)'))).toBe('INSERT 0 1');
    }
    await load.stop();
    expect(load.failures.map(({ message }) => message)).toEqual([]);
  });
});

/** Until then it may have to see what its host wrote a moment ago. */
async function readsFromReplicas(client: WireClient): Promise<void> {
  const ports = new Set(cluster.replicas.map(({ port }) => String(port)));
  await until('reads of replicas', async () => ports.has((await client.query(WHERE)).rows[0]?.[0] ?? ''));
}

describe('a connection to the primary is lost', () => {
  /** Ends the connections that are in the midst of a statement of this text. */
  async function terminate(text: string): Promise<void> {
    const where = `query LIKE '${text.replaceAll("'", "''")}%' AND pid <> pg_backend_pid()`;
    const sql = `SELECT count(pg_terminate_backend(pid))::int AS n FROM pg_stat_activity WHERE ${where}`;
    await until(`${text} is there to end`, async () => ((await cluster.primary.query(sql))[0]?.n ?? 0) !== 0);
  }

  test('with a COMMIT in flight: its outcome is unknown, no transaction is open, and the session goes on', async () => {
    await cluster.primary.query(`CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql
      AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END'`);
    await cluster.primary.query(
      'CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle()',
    );
    using client = await connect();
    await client.query('BEGIN');
    await client.query('INSERT INTO notes VALUES (1)');
    const commit = fate(client.query('COMMIT'));
    await running(cluster.primary, 'COMMIT');
    await terminate('COMMIT');
    expect(await commit).toBe('08007');
    expect(client.status).toBe('I');
    expect((await client.query('SELECT count(*) FROM notes')).rows).toEqual([['0']]);
    await cluster.primary.query('DROP FUNCTION dawdle CASCADE');
  });

  test('with a pipeline in flight: each of its parts is answered, in order', async () => {
    using client = await connect();
    client.send(
      clientMessage('Query', 'INSERT INTO loud SELECT 11 FROM pg_sleep(30)'),
      clientMessage('Query', 'INSERT INTO loud VALUES (12)'),
      clientMessage('Query', 'SELECT 13'),
    );
    await terminate('INSERT INTO loud SELECT 11');
    const names = [];
    for (let part = 0; part < 3; part++) names.push((await client.receiveUntilReady()).map(({ name }) => name));
    expect(names).toEqual([
      ['ErrorResponse', 'ReadyForQuery'],
      ['ErrorResponse', 'ReadyForQuery'],
      ['RowDescription', 'DataRow', 'CommandComplete', 'ReadyForQuery'],
    ]);
  });

  test('with a read in flight and a write waiting behind it: the read is run again, then the write', async () => {
    using client = await connect();
    await readsFromReplicas(client);
    client.send(
      clientMessage('Query', 'SELECT 21 FROM pg_sleep(2)'),
      clientMessage('Query', 'INSERT INTO loud VALUES (22)'),
      clientMessage('Query', 'SELECT 23'),
    );
    const text = 'SELECT 21';
    const sql = `SELECT count(pg_terminate_backend(pid))::int AS n FROM pg_stat_activity WHERE query LIKE '${text}%'`;
    await until('the read to end', async () => {
      const rows = await Promise.all(cluster.replicas.map((node) => node.query(sql)));
      return rows.some(([row]) => row?.n === 1);
    });
    expect((await client.receiveUntilReady()).map(({ args }) => args[0])).toContainEqual(['21']);
    expect((await client.receiveUntilReady()).map(({ args }) => args[0])).toContain('INSERT 0 1');
    expect((await client.receiveUntilReady()).map(({ args }) => args[0])).toContainEqual(['23']);
  });

  test('twice with the same read in flight: it still comes before the write behind it', async () => {
    for (let round = 0; round < 3; round++) {
      using client = await connect();
      await readsFromReplicas(client);
      const text = `SELECT 24${round}`;
      client.send(
        clientMessage('Query', `${text} FROM pg_sleep(1)`),
        clientMessage('Query', 'INSERT INTO loud VALUES (25)'),
        clientMessage('Query', 'SELECT 26'),
      );
      const sql = `SELECT count(pg_terminate_backend(pid))::int AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE '${text}%'`;
      let ended = 0;
      await until('the read to end on each replica', async () => {
        for (const node of cluster.replicas) ended += Number((await node.query(sql))[0]?.n);
        return ended >= 2;
      });
      expect((await client.receiveUntilReady()).map(({ args }) => args[0])).toContainEqual([`24${round}`]);
      expect((await client.receiveUntilReady()).map(({ args }) => args[0])).toContain('INSERT 0 1');
      expect((await client.receiveUntilReady()).map(({ args }) => args[0])).toContainEqual(['26']);
    }
  });

  test('in the middle of a streamed result: the client gets an error behind whole rows, or the end of its connection', async () => {
    using client = await connect();
    client.send(
      clientMessage('Query', "/* primary */ SELECT repeat('x', 100000) FROM generate_series(1, 2000) FOR UPDATE OF loud"),
    );
    expect((await client.receiveUntilReady()).map(({ name }) => name)).toEqual(['ErrorResponse', 'ReadyForQuery']);
    client.send(clientMessage('Query', "/* pgweir: route=primary */ SELECT repeat('x', 100000) FROM generate_series(1, 20000)"));
    await client.receive(2);
    client.pause();
    await terminate('/* pgweir: route=primary */ SELECT repeat');
    client.resume();
    const rest = await Promise.race([client.receiveUntilReady(), client.receiveUntilClosed()]).catch(() => []);
    expect(rest.filter(({ name }) => name === 'hex')).toEqual([]);
    if (client.closed) return;
    expect(rest.at(-2)?.name).toBe('ErrorResponse');
    expect((await client.query('SELECT 1')).rows).toEqual([['1']]);
  });

  test('with a temporary table on it: the session ends, and is told why', async () => {
    using client = await connect();
    await client.query('CREATE TEMP TABLE mine (n int)');
    const { rows } = await client.query('SELECT pg_backend_pid() FROM mine RIGHT JOIN (VALUES (1)) AS one (n) USING (n)');
    await cluster.primary.query(`SELECT pg_terminate_backend(${rows[0]?.[0]})`);
    const messages = await client.receiveUntilClosed();
    expect(messages.map(({ name }) => name)).toEqual(['ErrorResponse']);
    expect(messages[0]?.args[0]).toMatchObject({ S: 'FATAL', C: '08006', D: expect.stringContaining('temporary object') });
  });

  test('while it is asked what a statement left behind: the session ends rather than to go on without it', async () => {
    using client = await connect();
    // The lock keeps the question of ours waiting, since it has to read this catalog.
    const blocker = cluster.primary.query(
      'BEGIN; LOCK pg_catalog.pg_settings IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(1) /* blocker */; ROLLBACK',
    );
    await until(
      'locked',
      async () =>
        (
          await cluster.primary.query(
            "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'pg_settings'::regclass AND granted",
          )
        ).length > 0,
    );
    await client.query("DO $$ BEGIN PERFORM set_config('work_mem', '5MB', false); END $$");
    await terminate('WITH known AS MATERIALIZED');
    const messages = await client.receiveUntilClosed();
    expect(messages[0]?.args[0]).toMatchObject({ S: 'FATAL', C: '08006', D: expect.stringContaining('state unknown') });
    await blocker;
  });

  test('while settings are being replayed: the work behind them is sent elsewhere', async () => {
    using client = await connect();
    await client.query("SET work_mem = '6MB'");
    for (let round = 0; round < 30; round++) {
      const before = Promise.all(
        cluster.nodes.map((node) =>
          node.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name NOT LIKE 'pgweir%'",
          ),
        ),
      );
      for (let step = 0; step < 5; step++) {
        expect(await fate(client.query("SELECT current_setting('work_mem')"))).toBe('SELECT 1');
      }
      await before;
      expect((await client.query("SELECT current_setting('work_mem')")).rows).toEqual([['6MB']]);
    }
  });

  test('in a transaction that set something: the setting goes with it', async () => {
    using client = await connect();
    await client.query("SET work_mem = '7MB'");
    await client.query('BEGIN');
    await client.query("SET work_mem = '8MB'");
    await client.query('/* setter */ INSERT INTO loud VALUES (31)');
    await terminate('/* setter */');
    expect(await fate(client.query('SELECT 1'))).toBe('08006');
    await client.query('ROLLBACK');
    expect((await client.query('SHOW work_mem')).rows).toEqual([['7MB']]);
  });

  test.each(['outside of a transaction', 'in a transaction'])(
    'with a statement being prepared %s: its name is free again',
    async (where) => {
      using client = await connect();
      if (where === 'in a transaction') {
        await client.query('BEGIN');
        await client.query('INSERT INTO loud VALUES (40)');
      }
      const prepare = (text: string) =>
        client.send(
          clientMessage('Parse', 's1', text, []),
          clientMessage('Bind', '', 's1', [], [], []),
          clientMessage('Execute', '', 0),
          clientMessage('Sync'),
        );
      // Parsing waits for the table.
      const locked = cluster.primary.query('BEGIN; LOCK notes; SELECT pg_sleep(1) /* locks notes */; ROLLBACK');
      await running(cluster.primary, 'BEGIN; LOCK notes');
      prepare('INSERT INTO notes VALUES (41)');
      await terminate('INSERT INTO notes VALUES (41)');
      expect((await client.receiveUntilReady()).map(({ name }) => name)).toEqual(['ErrorResponse', 'ReadyForQuery']);
      await locked;
      if (where === 'in a transaction') await client.query('ROLLBACK');
      prepare('SELECT 42');
      expect((await client.receiveUntilReady()).map(({ name }) => name)).toContain('DataRow');
    },
  );
});

describe('a replica is promoted', () => {
  test('in place of a primary that hangs: writes follow without a restart, and the old one gets none when it wakes', async () => {
    const [heir, other] = cluster.replicas as [PostgresNode, PostgresNode];
    const old = cluster.primary;
    const load = await ReadLoad.start(pgweir.port, 4);
    using idle = await connect();
    await idle.query('INSERT INTO notes VALUES (100)');
    using inside = await connect();
    await inside.query('BEGIN');
    await inside.query('INSERT INTO notes VALUES (101)');
    await fencesReached();

    old.pause();
    await heir.promote();
    await other.follow(heir);
    const took = await until('writes again', takesWrites);
    console.log(`writes after ${Math.round(took)} ms on the promoted replica, while the old primary hangs`);
    expect((await idle.query(`INSERT INTO notes VALUES (102) RETURNING current_setting('port')`)).rows).toEqual([
      [String(heir.port)],
    ]);
    expect(await fate(inside.query('INSERT INTO notes VALUES (103)'))).toBe('08006');
    expect(await fate(inside.query('ROLLBACK'))).toBe('ROLLBACK');
    await load.servedBy(other.port);

    old.resume();
    for (let n = 200; n < 300; n++) {
      const { rows } = await idle.query(`INSERT INTO notes VALUES (${n}) RETURNING current_setting('port')`);
      expect(rows).toEqual([[String(heir.port)]]);
      await sleep(5);
    }
    expect(await old.query('SELECT n FROM notes WHERE n > 100')).toEqual([]);
    await load.stop();
    expect(load.failures.map(({ message }) => message)).toEqual([]);
  });
});
