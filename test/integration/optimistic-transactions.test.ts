import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { clientMessage } from '../support/transcript.ts';
import { expectWholePools, WHERE } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';
import { type Message, resultOf } from '../support/wire-message.ts';

/** Transactions that are tried on a replica: where each statement ran is asked of the database. */
let cluster: Cluster;
let pgweir: Pgweir;
let primary: number;
let replica: number;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 });
  await cluster.primary.query(`
    CREATE TABLE notes (n int);
    CREATE UNLOGGED TABLE unlogged (n int);
    CREATE FUNCTION says_stable() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN txid_current()::text::numeric % 1; END';
    CREATE ROLE repeats LOGIN; ALTER ROLE repeats SET default_transaction_isolation = 'repeatable read'`);
  await cluster.waitForReplay();
  // A read waits for the replica, however busy the machine is.
  pgweir = await startPgweir(cluster, 'routing: { transactions: optimistic, fence_wait: 10s }');
  primary = cluster.primary.port;
  replica = cluster.replicas[0]?.port ?? 0;
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

afterEach(async () => {
  await expectWholePools(pgweir, cluster);
});

async function connect(parameters: Record<string, string> = {}, user = 'postgres'): Promise<WireClient> {
  const client = await WireClient.connect({
    host: pgweir.host,
    port: pgweir.port,
    database: 'postgres',
    user,
    timeoutMs: 10_000,
    parameters,
  });
  return client;
}

/** Runs the texts one by one; the first value of each answer, its tag where there is no row, its SQLSTATE where it failed. */
async function told(client: WireClient, texts: readonly string[]): Promise<unknown[]> {
  const heard: unknown[] = [];
  for (const text of texts) {
    client.send(clientMessage('Query', text));
    heard.push(essence(await client.receiveUntilReady()));
  }
  return heard;
}

function essence(messages: readonly Message[]): unknown {
  try {
    const { rows, tags } = resultOf(messages);
    const value = rows[0]?.[0];
    return value === undefined ? tags.join(' ') : /^\d+$/.test(value ?? '') ? Number(value) : value;
  } catch (error) {
    return (error as { sqlstate?: string }).sqlstate;
  }
}

describe('a transaction of nothing but reads', () => {
  test('runs on a replica', async () => {
    using client = await connect();
    expect(await told(client, ['BEGIN', WHERE, WHERE, 'SHOW transaction_isolation', 'COMMIT'])).toEqual([
      'BEGIN',
      replica,
      replica,
      'read committed',
      'COMMIT',
    ]);
  });

  test('fails there, and is ended there', async () => {
    using client = await connect();
    const texts = ['BEGIN', WHERE, 'SELECT 1/0', WHERE, 'COMMIT', 'BEGIN', WHERE, 'ROLLBACK'];
    expect(await told(client, texts)).toEqual(['BEGIN', replica, '22012', '25P02', 'ROLLBACK', 'BEGIN', replica, 'ROLLBACK']);
  });

  test('of a failed one the end may be the beginning of more', async () => {
    using client = await connect();
    const texts = [
      'BEGIN',
      WHERE,
      'SELECT 1/0',
      'COMMIT; INSERT INTO notes VALUES (1)',
      'SELECT count(*) FROM notes WHERE n = 1',
    ];
    expect(await told(client, texts)).toEqual(['BEGIN', replica, '22012', 'ROLLBACK INSERT 0 1', 1]);
  });
});

describe('a transaction moves to the primary', () => {
  test.each([
    ['a write', 'INSERT INTO notes VALUES (2)', 'INSERT 0 1'],
    ['a lock', 'SELECT 5 FROM (SELECT n FROM notes FOR UPDATE) AS locked LIMIT 1', 5],
    ['a savepoint', 'SAVEPOINT s', 'SAVEPOINT'],
    ['a cursor', 'DECLARE c CURSOR FOR SELECT 1', 'DECLARE CURSOR'],
    ['a setting', "SET LOCAL application_name = 'x'", 'SET'],
    ['what differs there', 'SELECT pg_is_in_recovery()', 'f'],
    ['an unlogged table', 'SELECT count(*) FROM unlogged', 0],
    ['what a standby refuses unexpectedly', 'SELECT says_stable()', 0],
    ['text that does not parse', 'SELEC', '42601'],
  ])('for %s', async (_what, text, answer) => {
    await cluster.primary.query('INSERT INTO notes VALUES (3)');
    await cluster.waitForReplay();
    using client = await connect();
    expect(await told(client, ['BEGIN', "SET LOCAL lock_timeout = '7s'", WHERE, text])).toEqual([
      'BEGIN',
      'SET',
      replica,
      answer,
    ]);
    if (answer !== '42601') expect(await told(client, [WHERE, 'SHOW lock_timeout'])).toEqual([primary, '7s']);
    expect(await told(client, ['COMMIT', 'SHOW lock_timeout'])).toEqual([answer === '42601' ? 'ROLLBACK' : 'COMMIT', 0]);
  });

  test('once and for all, and its writes are kept or rolled back as one', async () => {
    using client = await connect();
    const texts = [
      'BEGIN',
      WHERE,
      'INSERT INTO notes VALUES (40)',
      WHERE,
      'ROLLBACK',
      'BEGIN',
      'SELECT 1',
      'INSERT INTO notes VALUES (41)',
      'INSERT INTO notes VALUES (42)',
      'COMMIT',
      'SELECT array_agg(n ORDER BY n) FROM notes WHERE n BETWEEN 40 AND 49',
    ];
    const heard = await told(client, texts);
    expect([heard[1], heard[3], heard.at(-1)]).toEqual([replica, primary, '{41,42}']);
  });

  test('where it has had its first query: it is too late for SET TRANSACTION', async () => {
    using client = await connect();
    expect(await told(client, ['BEGIN', WHERE, 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE', 'ROLLBACK'])).toEqual([
      'BEGIN',
      replica,
      '25001',
      'ROLLBACK',
    ]);
  });

  test('before it reads the time, which stands still in it', async () => {
    using client = await connect();
    const [, , first, , second] = await told(client, [
      'BEGIN',
      WHERE,
      'SELECT now()',
      'INSERT INTO notes VALUES (5)',
      'SELECT now()',
    ]);
    expect(first).toBe(second);
    await told(client, ['ROLLBACK']);
  });

  test('not from the start: declared READ WRITE, or of a higher isolation, it is never elsewhere', async () => {
    using client = await connect();
    for (const begin of ['BEGIN READ WRITE', 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'BEGIN ISOLATION LEVEL SERIALIZABLE']) {
      expect(await told(client, [begin, WHERE, 'COMMIT'])).toEqual(['BEGIN', primary, 'COMMIT']);
    }
    await told(client, ["SET default_transaction_isolation = 'REPEATABLE READ'"]);
    expect(await told(client, ['BEGIN', WHERE, 'COMMIT'])).toEqual(['BEGIN', primary, 'COMMIT']);
  });

  test('when its isolation is another by default of the role, which nobody has told us', async () => {
    using client = await connect({}, 'repeats');
    const texts = [
      'BEGIN',
      WHERE,
      'SHOW transaction_isolation',
      'COMMIT',
      'BEGIN ISOLATION LEVEL READ COMMITTED',
      WHERE,
      'COMMIT',
    ];
    expect(await told(client, texts)).toEqual(['BEGIN', primary, 'repeatable read', 'COMMIT', 'BEGIN', replica, 'COMMIT']);
  });
});

describe('by the extended protocol', () => {
  const parse = (text: string) => clientMessage('Parse', '', text, []);
  const bind = (portal = '') => clientMessage('Bind', portal, '', [], [], []);
  const execute = (rows = 0, portal = '') => clientMessage('Execute', portal, rows);
  const run = (text: string) => [parse(text), bind(), execute()];
  const sync = clientMessage('Sync');

  async function batch(client: WireClient, ...messages: readonly Buffer[]): Promise<unknown> {
    client.send(Buffer.concat([...messages, sync]));
    return essence(await client.receiveUntilReady());
  }

  test('BEGIN and the first read in one batch, as pgjdbc sends them', async () => {
    using client = await connect();
    expect(await batch(client, parse('BEGIN'), bind(), execute(1), ...run(WHERE))).toBe(replica);
    expect(await batch(client, ...run(WHERE))).toBe(replica);
    expect(await batch(client, ...run('INSERT INTO notes VALUES (60)'))).toBe('INSERT 0 1');
    expect(await batch(client, ...run(WHERE))).toBe(primary);
    expect(await batch(client, ...run('COMMIT'))).toBe('COMMIT');
    expect(await told(client, ['SELECT count(*) FROM notes WHERE n = 60'])).toEqual([1]);
  });

  test('a portal that stays open is one of the primary', async () => {
    using client = await connect();
    const rows = 'SELECT generate_series(1, 3)';
    expect(await told(client, ['BEGIN', WHERE])).toEqual(['BEGIN', replica]);
    expect(await batch(client, parse(rows), bind('p'), execute(1, 'p'))).toBe(1);
    expect(await told(client, ['INSERT INTO notes VALUES (70)'])).toEqual(['INSERT 0 1']);
    expect(await batch(client, execute(1, 'p'))).toBe(2);
    expect(await told(client, ['ROLLBACK'])).toEqual(['ROLLBACK']);
  });

  test('messages that do not wait for answers', async () => {
    using client = await connect();
    const texts = ['BEGIN', WHERE, WHERE, 'INSERT INTO notes VALUES (80)', WHERE, 'COMMIT'];
    client.send(Buffer.concat(texts.map((text) => clientMessage('Query', text))));
    const heard: unknown[] = [];
    for (const _text of texts) heard.push(essence(await client.receiveUntilReady()));
    expect(heard).toEqual(['BEGIN', replica, replica, 'INSERT 0 1', primary, 'COMMIT']);
  });
});

test('a transaction goes on when its replica is lost', async () => {
  using client = await connect();
  expect(await told(client, ['BEGIN', "SET LOCAL lock_timeout = '7s'", WHERE])).toEqual(['BEGIN', 'SET', replica]);
  await cluster.replicas[0]?.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' AND pid <> pg_backend_pid()",
  );
  expect(await told(client, ['SELECT 1', 'SHOW lock_timeout', 'INSERT INTO notes VALUES (90)', 'COMMIT'])).toEqual([
    1,
    '7s',
    'INSERT 0 1',
    'COMMIT',
  ]);
});
