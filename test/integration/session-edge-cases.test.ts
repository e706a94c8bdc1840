import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { clientMessage } from '../support/transcript.ts';
import { expectWholePools, until } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';
import { type Message, resultOf } from '../support/wire-message.ts';

/** Rare sequences. One connection to each backend, so that whatever one session leaves behind is met by the next. */
let cluster: Cluster;
let pgweir: Pgweir;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 });
  await cluster.primary.query(`
    CREATE TABLE notes (n int);
    CREATE ROLE alice; CREATE ROLE bob;
    CREATE FUNCTION takes_lock() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_lock(7); END';
    CREATE FUNCTION writes() RETURNS void LANGUAGE plpgsql AS 'BEGIN INSERT INTO notes VALUES (900); END';
    CREATE FUNCTION resets_path() RETURNS void LANGUAGE plpgsql AS 'BEGIN RESET search_path; END'`);
  await cluster.waitForReplay();
  pgweir = await startPgweir(cluster, 'pool: { max_per_backend: 1 }');
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

afterEach(async () => {
  await expectWholePools(pgweir, cluster);
});

function connect(parameters: Record<string, string> = {}, to = pgweir): Promise<WireClient> {
  return WireClient.connect({ host: to.host, port: to.port, database: 'postgres', timeoutMs: 10_000, parameters });
}

const query = (text: string) => clientMessage('Query', text);
const parse = (name: string, text: string) => clientMessage('Parse', name, text, []);
const bind = (name: string) => clientMessage('Bind', '', name, [], [], []);
const execute = clientMessage('Execute', '', 0);
const sync = clientMessage('Sync');

async function countOf(n: number): Promise<number> {
  return Number((await cluster.primary.query(`SELECT count(*) AS count FROM notes WHERE n = ${n}`))[0]?.count);
}

function names(messages: readonly Message[]): string {
  return messages.map(({ name }) => name).join(' ');
}

async function running(text: string): Promise<void> {
  await until(`${text} runs`, async () => {
    const sql = `SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%${text}%' AND pid <> pg_backend_pid()`;
    return (await Promise.all(cluster.nodes.map((node) => node.query(sql)))).some((rows) => rows.length > 0);
  });
}

describe('a COPY that fails while the client is in the middle of a message', () => {
  const data = clientMessage('CopyData', `${'1\n'.repeat(1000)}`);
  async function failInside(client: WireClient): Promise<void> {
    client.send(query('COPY notes FROM STDIN'));
    await client.receive(1);
    client.send(clientMessage('CopyData', 'no number\n'), data.subarray(0, 700));
    expect(names(await client.receiveUntilReady())).toBe('ErrorResponse ReadyForQuery');
  }

  test('keeps its connection until the message has ended', async () => {
    using client = await connect();
    using other = await connect();
    await failInside(client);
    const answer = other.query('INSERT INTO notes VALUES (1)');
    client.send(data.subarray(700), clientMessage('CopyDone'));
    expect((await answer).tags).toEqual(['INSERT 0 1']);
    expect((await client.query('SELECT 1')).rows).toEqual([['1']]);
  });

  test('hands its connection to nobody when the client leaves', async () => {
    using other = await connect();
    {
      using client = await connect();
      await failInside(client);
    }
    expect((await other.query('INSERT INTO notes VALUES (1)')).tags).toEqual(['INSERT 0 1']);
  });
});

describe('a client that leaves without a word', () => {
  const clients = () => pgweir.metricSum('pgweir_clients');

  test('while it waits for a connection has its place given up, and what it asked for is not done', async () => {
    using holder = await connect();
    await holder.query('BEGIN');
    await holder.query('INSERT INTO notes VALUES (51)');
    using client = await connect();
    client.send(query('INSERT INTO notes VALUES (52)'));
    await until('it waits', async () => (await pgweir.metricSum('pgweir_pool_waiters')) === 1);
    client.destroy();
    await until('it is gone', async () => (await clients()) === 1);
    await holder.query('ROLLBACK');
    using other = await connect();
    await other.query('INSERT INTO notes VALUES (53)');
    expect(await countOf(52)).toBe(0);
  });

  test('while its statement runs does not keep its connection', async () => {
    const client = await connect();
    client.send(query('SELECT pg_sleep(60)'));
    await running('SELECT pg_sleep');
    client.destroy();
    await until('it is gone', async () => (await clients()) === 0);
  });
});

describe('a pipeline', () => {
  test('goes on behind a transaction whose BEGIN travels with its first statement', async () => {
    using client = await connect();
    await client.query('BEGIN');
    client.send(query('INSERT INTO notes VALUES (2)'), query('INSERT INTO notes VALUES (2)'), query('COMMIT'));
    for (const tag of ['INSERT 0 1', 'INSERT 0 1', 'COMMIT']) {
      expect(resultOf(await client.receiveUntilReady()).tags).toEqual([tag]);
    }
    expect(client.status).toBe('I');
  });

  test('that is cancelled loses the statement that runs, not the one that waits behind it', async () => {
    using client = await connect();
    client.send(query('SELECT pg_sleep(20)'), query('INSERT INTO notes VALUES (3)'));
    await running('SELECT pg_sleep');
    await client.cancel();
    const first = await client.receiveUntilReady();
    expect(() => resultOf(first)).toThrow('57014');
    expect(resultOf(await client.receiveUntilReady()).tags).toEqual(['INSERT 0 1']);
  });

  test('hears of a limit that its last batch breaks after the replies to those before', async () => {
    await using strict = await startPgweir(cluster, 'limits: { statements_per_client: 1 }');
    using client = await connect({}, strict);
    client.send(parse('one', 'SELECT 1, pg_sleep(0.3)'), bind('one'), execute, sync, parse('two', 'SELECT 2'), sync);
    expect(names(await client.receiveUntilReady())).toContain('DataRow');
    const second = await client.receiveUntilReady();
    expect(() => resultOf(second)).toThrow('53200');
  });

  test('is not cancelled for being long, when each of its statements is short', async () => {
    await using strict = await startPgweir(cluster, 'limits: { query_timeout: 1s }');
    using client = await connect({}, strict);
    client.send(...Array.from({ length: 5 }, () => query('SELECT pg_sleep(0.6)')));
    for (let count = 0; count < 5; count++) expect(resultOf(await client.receiveUntilReady()).tags).toEqual(['SELECT 1']);
    await expect(client.query('SELECT pg_sleep(20)')).rejects.toMatchObject({ sqlstate: '57014' });
  });

  test('keeps a transaction that begins behind RESET ALL', async () => {
    await (await connect({ application_name: 'first' })).query('INSERT INTO notes VALUES (4)');
    using client = await connect({ application_name: 'second' });
    client.send(query('INSERT INTO notes VALUES (4)'), query('RESET ALL'), query('BEGIN; SELECT pg_sleep(0.5)'));
    await client.receiveUntilReady();
    await client.receiveUntilReady();
    client.send(query('INSERT INTO notes VALUES (77)'), query('ROLLBACK'));
    for (let i = 0; i < 3; i++) await client.receiveUntilReady();
    expect(await countOf(77)).toBe(0);
  });

  test('takes a write behind a BEGIN that was only prepared to the primary', async () => {
    using client = await connect();
    client.send(parse('b', 'BEGIN READ ONLY'), sync, parse('', 'INSERT INTO notes VALUES (5)'), bind(''), execute, sync);
    await client.receiveUntilReady();
    expect(resultOf(await client.receiveUntilReady()).tags).toEqual(['INSERT 0 1']);
  });
});

test('a client that asks and does not read is not asked for more', async () => {
  const before = await pgweir.metricSum('pgweir_routed_total');
  using client = await connect();
  const asked = 800;
  client.pause();
  for (let count = 0; count < asked; count++) {
    client.send(query("SELECT repeat('x', 60000)"));
    await sleep(1);
  }
  const answered = async () => (await pgweir.metricSum('pgweir_routed_total')) - before;
  let last = 0;
  await until('no further answers', async () => {
    const earlier = last;
    await sleep(200);
    last = await answered();
    return last > 1 && last === earlier;
  });
  expect(last).toBeLessThan(asked / 2);
  client.resume();
  for (let count = 0; count < asked; count++) await client.receiveUntilReady();
  expect(await answered()).toBe(asked);
});

describe('a message of a megabyte', () => {
  const text = 'x'.repeat(1_000_000);
  const long = query(`INSERT INTO notes SELECT length('${text}')`);
  const parameter = [
    clientMessage('Parse', 'long', 'INSERT INTO notes SELECT length($1::text)', []),
    clientMessage('Bind', '', 'long', [], [text], []),
    execute,
    sync,
  ];
  const statement = [parse('whole', `INSERT INTO notes SELECT length('${text}')`), bind('whole'), execute, sync];

  test.each([
    ['Query', long],
    ['Bind', Buffer.concat(parameter)],
    ['Parse', Buffer.concat(statement)],
  ])('passes, cut anywhere: %s', async (_what, bytes) => {
    using client = await connect();
    await client.sendCutAt(bytes, [3, 100, 70_000, 500_000, bytes.length - 3]);
    expect(resultOf(await client.receiveUntilReady()).tags).toEqual(['INSERT 0 1']);
    // And whoever leaves in the middle of one hurts nobody.
    client.sendPiece(bytes.subarray(0, 5000));
  });

  test.each([
    ['Query', long],
    ['Bind', Buffer.concat(parameter)],
  ])('that waits for a connection may be cancelled in its middle: %s', async (what, bytes) => {
    using holder = await connect();
    await holder.query('BEGIN');
    await holder.query('INSERT INTO notes VALUES (14)');
    using client = await connect();
    client.sendPiece(bytes.subarray(0, 200_000));
    await until('it waits', async () => (await pgweir.metric('pgweir_clients{state="waiting"}')) === 1);
    await client.cancel();
    const early = what === 'Query' ? await client.receiveUntilReady() : await client.receive(1);
    expect(() => resultOf(early)).toThrow('57014');
    await holder.query('COMMIT');
    client.sendPiece(bytes.subarray(200_000));
    if (what === 'Bind') expect(names(await client.receiveUntilReady())).toBe('ReadyForQuery');
    expect((await client.query('SELECT 1')).rows).toEqual([['1']]);
    expect((await client.query('INSERT INTO notes VALUES (15)')).tags).toEqual(['INSERT 0 1']);
  });
});

describe('a Flush', () => {
  test('by itself is answered with nothing', async () => {
    using client = await connect();
    client.send(clientMessage('Flush'));
    expect((await client.query('SELECT 1')).rows).toEqual([['1']]);
    client.send(clientMessage('Flush'), sync);
    expect(names(await client.receiveUntilReady())).toBe('ReadyForQuery');
    client.send(query('SELECT 2'));
    expect(resultOf(await client.receiveUntilReady()).rows).toEqual([['2']]);
  });

  const describes = (name: string) => clientMessage('Describe', 'S', name);
  test('behind what was only prepared leaves the next statement free to go where it belongs', async () => {
    using client = await connect();
    client.send(parse('read', 'SELECT 1 FROM notes WHERE false'), describes('read'), clientMessage('Flush'));
    expect(names(await client.receive(3))).toBe('ParseComplete ParameterDescription RowDescription');
    expect((await client.query('INSERT INTO notes VALUES (16)')).tags).toEqual(['INSERT 0 1']);
    client.send(parse('write', 'INSERT INTO notes VALUES (16)'), describes('write'), clientMessage('Flush'));
    expect(names(await client.receive(3))).toBe('ParseComplete ParameterDescription NoData');
    client.send(bind('read'), execute, bind('write'), execute, sync);
    expect(resultOf(await client.receiveUntilReady()).tags).toEqual(['SELECT 0', 'INSERT 0 1']);
  });

  test('behind what was only prepared leaves a transaction where it was declared to run', async () => {
    using client = await connect();
    const where = parse('where', "SELECT current_setting('port')");
    await client.query('BEGIN READ ONLY');
    client.send(where, describes('where'), clientMessage('Flush'));
    expect(names(await client.receive(3))).toBe('ParseComplete ParameterDescription RowDescription');
    client.send(bind('where'), execute, sync);
    expect(resultOf(await client.receiveUntilReady()).rows).toEqual([[String(cluster.replicas[0]?.port)]]);
    expect(client.status).toBe('T');
    expect((await client.query('COMMIT')).tags).toEqual(['COMMIT']);
  });

  test('behind what was only prepared keeps no connection', async () => {
    using client = await connect();
    for (const text of ['SELECT 1', 'INSERT INTO notes VALUES (17)']) {
      client.send(parse(text, text), clientMessage('Flush'));
      await client.receive(1);
    }
    using other = await connect();
    expect((await other.query('INSERT INTO notes VALUES (17)')).tags).toEqual(['INSERT 0 1']);
    expect((await other.query('SELECT 2')).rows).toEqual([['2']]);
  });
});

describe('what is only prepared', () => {
  test.each(['DISCARD ALL', 'DEALLOCATE ALL'])('forgets nothing: %s', async (text) => {
    using client = await connect();
    client.send(parse('kept', 'INSERT INTO notes VALUES (6)'), bind('kept'), execute, sync);
    await client.receiveUntilReady();
    client.send(parse('all', text), clientMessage('Describe', 'S', 'all'), sync);
    await client.receiveUntilReady();
    client.send(bind('kept'), execute, sync);
    expect(resultOf(await client.receiveUntilReady()).tags).toEqual(['INSERT 0 1']);
    using other = await connect();
    other.send(parse('same', 'INSERT INTO notes VALUES (6)'), bind('same'), execute, sync);
    expect(resultOf(await other.receiveUntilReady()).tags).toEqual(['INSERT 0 1']);
  });

  test('sets nothing', async () => {
    using client = await connect();
    client.send(parse('path', 'SET search_path = nowhere'), sync);
    await client.receiveUntilReady();
    expect((await client.query('SHOW search_path')).rows).toEqual([['"$user", public']]);
  });
});

describe('a name that is taken', () => {
  test('is refused as PostgreSQL does, outside a transaction too, and the session goes on', async () => {
    using client = await connect();
    client.send(parse('taken', 'INSERT INTO notes VALUES (12)'), sync);
    await client.receiveUntilReady();
    client.send(parse('taken', 'INSERT INTO notes VALUES (13)'), sync);
    const answer = await client.receiveUntilReady();
    expect(() => resultOf(answer)).toThrow('42P05');
    client.send(bind('taken'), execute, sync);
    expect(resultOf(await client.receiveUntilReady()).tags).toEqual(['INSERT 0 1']);
    expect(await countOf(12)).toBe(1);
  });
});

describe('settings', () => {
  test.each(['RESET ALL', 'DISCARD ALL', 'RESET application_name'])(
    'of its own, and no other, are told a client after %s',
    async (text) => {
      await (await connect({ application_name: 'first' })).query('INSERT INTO notes VALUES (7)');
      using client = await connect({ application_name: 'second' });
      expect(client.parameters.get('application_name')).toBe('second');
      await client.query('SET application_name = third');
      await client.query('INSERT INTO notes VALUES (7)');
      expect(client.parameters.get('application_name')).toBe('third');
      await client.query(text);
      expect(client.parameters.get('application_name')).toBe('second');
      expect((await client.query('SHOW application_name')).rows).toEqual([['second']]);
    },
  );

  test.each(['RESET ALL', 'DISCARD ALL'])('of pgweir are reset by %s', async (text) => {
    using client = await connect();
    await client.query("SET pgweir.route = 'primary'");
    await client.query("SET pgweir.max_staleness = '1s'");
    await client.query(text);
    expect((await client.query('SHOW pgweir.route')).rows).toEqual([['auto']]);
    expect((await client.query('SHOW pgweir.max_staleness')).rows).toEqual([['off']]);
  });

  test('of pgweir are rolled back with their transaction', async () => {
    using client = await connect();
    await client.query('BEGIN');
    await client.query("SET pgweir.route = 'primary'");
    await client.query('ROLLBACK');
    expect((await client.query('SHOW pgweir.route')).rows).toEqual([['auto']]);
    await client.query('BEGIN');
    await client.query("SET LOCAL pgweir.route = 'replica'");
    await client.query("SET pgweir.route = 'primary'");
    await client.query('COMMIT');
    expect((await client.query('SHOW pgweir.route')).rows).toEqual([['primary']]);
  });

  test('of pgweir are refused in a failed transaction, as others are', async () => {
    using client = await connect();
    await client.query('BEGIN');
    await expect(client.query('SELECT 1/0')).rejects.toThrow('22012');
    await expect(client.query("SET pgweir.route = 'primary'")).rejects.toThrow('25P02');
    await expect(client.query('SHOW pgweir.route')).rejects.toThrow('25P02');
    await client.query('ROLLBACK');
    expect((await client.query('SHOW pgweir.route')).rows).toEqual([['auto']]);
  });

  test('lose the role when the session is given to another user', async () => {
    using client = await connect();
    await client.query('SET ROLE alice');
    await client.query('SET SESSION AUTHORIZATION bob');
    const who = 'SELECT session_user, current_user';
    expect((await client.query(`/* pgweir: route=primary */ ${who}`)).rows).toEqual([['bob', 'bob']]);
    expect((await client.query(`/* pgweir: route=replica */ ${who}`)).rows).toEqual([['bob', 'bob']]);
    await client.query('SET ROLE NONE');
    await client.query('RESET SESSION AUTHORIZATION');
    expect((await client.query(who)).rows).toEqual([['postgres', 'postgres']]);
  });

  test('that cannot be brought to a connection keep what is sent behind them from being prepared', async () => {
    await cluster.primary.query('CREATE ROLE carol');
    using client = await connect();
    await client.query('SET ROLE carol');
    // Another takes the connections back to where they were.
    using other = await connect();
    for (const text of ['SELECT 1', 'SELECT 1 FOR UPDATE']) await other.query(text);
    await cluster.primary.query('DROP ROLE carol');
    await cluster.waitForReplay();
    client.send(parse('s', 'SELECT current_user'), sync);
    expect(names(await client.receiveUntilReady())).toBe('ErrorResponse ReadyForQuery');
    await cluster.primary.query('CREATE ROLE carol');
    await cluster.waitForReplay();
    client.send(parse('s', 'SELECT current_user'), bind('s'), execute, sync);
    expect(resultOf(await client.receiveUntilReady()).rows).toEqual([['carol']]);
    await client.query('RESET ROLE');
    await cluster.primary.query('DROP ROLE carol');
  });

  test('that a function has reset are reset for the session, on every connection', async () => {
    using client = await connect();
    await client.query('SET search_path = pg_catalog, public');
    await client.query('SELECT public.resets_path()');
    expect((await client.query('/* pgweir: route=primary */ SHOW search_path')).rows).toEqual([['"$user", public']]);
    expect((await client.query('/* pgweir: route=replica */ SHOW search_path')).rows).toEqual([['"$user", public']]);
    using other = await connect();
    await other.query('SET search_path = pg_catalog, public');
    expect((await other.query('/* pgweir: route=primary */ SHOW search_path')).rows).toEqual([['pg_catalog, public']]);
  });

  test('are what a connection is known to have, also behind a read that was run again', async () => {
    using client = await connect();
    await client.query('SET search_path = pg_catalog, public');
    await client.query('/* pgweir: route=replica */ SHOW search_path');
    client.send(query('/* pgweir: route=replica */ SELECT public.writes()'), query('RESET search_path'));
    await client.receiveUntilReady();
    await client.receiveUntilReady();
    using other = await connect();
    await other.query('SET search_path = pg_catalog, public');
    expect((await other.query('/* pgweir: route=replica */ SHOW search_path')).rows).toEqual([['pg_catalog, public']]);
    expect((await client.query('/* pgweir: route=replica */ SHOW search_path')).rows).toEqual([['"$user", public']]);
  });
});

describe('a transaction', () => {
  test('whose BEGIN PostgreSQL cannot read is not begun, and nothing runs outside of it', async () => {
    using client = await connect();
    const answers: string[] = [];
    for (const text of ['BEGIN /* \xff */', 'INSERT INTO notes VALUES (88)', 'ROLLBACK']) {
      client.send(query(text));
      answers.push(names(await client.receiveUntilReady()));
    }
    const began = answers[0]?.startsWith('CommandComplete') === true;
    expect(await countOf(88)).toBe(began ? 0 : 1);
  });

  test('whose connection was lost answers a Sync with its state', async () => {
    using client = await connect();
    await client.query('BEGIN');
    await client.query('INSERT INTO notes VALUES (9)');
    await cluster.primary.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'`);
    // pgweir has noticed.
    await expectWholePools(pgweir, cluster);
    client.send(sync);
    expect(names(await client.receiveUntilReady())).toBe('ReadyForQuery');
    expect(client.status).toBe('E');
    await client.query('ROLLBACK');
    expect((await client.query('SELECT 1')).rows).toEqual([['1']]);
  });

  test('whose connection was lost prepares nothing: the names are free again', async () => {
    using client = await connect();
    client.send(parse('kept', 'SELECT 1'), sync);
    await client.receiveUntilReady();
    await client.query('BEGIN');
    await client.query('INSERT INTO notes VALUES (9)');
    await cluster.primary.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'`);
    await expectWholePools(pgweir, cluster);
    for (let round = 0; round < 2; round++) {
      client.send(clientMessage('Close', 'S', 'kept'), parse('new', 'SELECT 2'), sync);
      expect(names(await client.receiveUntilReady())).toBe('ErrorResponse ReadyForQuery');
    }
    await client.query('ROLLBACK');
    client.send(parse('new', 'SELECT 2'), bind('new'), execute, bind('kept'), execute, sync);
    expect(resultOf(await client.receiveUntilReady()).rows).toEqual([['2'], ['1']]);
  });

  test('that was declared read-only and left something on the replica hinders no write', async () => {
    using client = await connect();
    await client.query('BEGIN READ ONLY');
    await client.query('SELECT takes_lock()');
    await client.query('COMMIT');
    expect((await client.query('INSERT INTO notes VALUES (10)')).tags).toEqual(['INSERT 0 1']);
  });

  test('that was declared read-only and holds a cursor hinders no write', async () => {
    using client = await connect();
    await client.query('BEGIN READ ONLY');
    await client.query('DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 3)');
    await client.query('COMMIT');
    expect((await client.query('FETCH c')).rows).toEqual([['1']]);
    expect((await client.query('INSERT INTO notes VALUES (11)')).tags).toEqual(['INSERT 0 1']);
    expect((await client.query('FETCH c')).rows).toEqual([['2']]);
    await client.query('CLOSE c');
  });
});
