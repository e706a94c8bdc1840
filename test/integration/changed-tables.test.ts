import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { clientMessage } from '../support/transcript.ts';
import { expectWholePools, until } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';
import { type Message, resultOf, WireError } from '../support/wire-message.ts';

/**
 * A client that was told the result of a prepared statement reads later rows by that. When its tables are changed, PostgreSQL
 * answers with an error upon which drivers prepare anew. `one` has a single connection to each backend, `many` several.
 */
let cluster: Cluster;
let one: Pgweir;
let many: Pgweir;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 2 });
  one = await startPgweir(cluster, 'pool: { max_per_backend: 1 }');
  many = await startPgweir(cluster);
});

afterAll(async () => {
  await one?.[Symbol.asyncDispose]();
  await many?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  await cluster.primary.query(`
    DROP TABLE IF EXISTS tea; CREATE TABLE tea (id int, name text); INSERT INTO tea VALUES (1, 'green'), (2, 'black')`);
  await cluster.waitForReplay();
});

afterEach(async () => {
  await expectWholePools(one, cluster);
  await expectWholePools(many, cluster);
});

const connect = (to: Pgweir) => WireClient.connect({ host: to.host, port: to.port, database: 'postgres', timeoutMs: 10_000 });

const query = (text: string) => clientMessage('Query', text);
const parse = (name: string, text: string) => clientMessage('Parse', name, text, []);
const bind = (name: string, portal = '') => clientMessage('Bind', portal, name, [], [], []);
const describeStatement = (name: string) => clientMessage('Describe', 'S', name);
const describePortal = clientMessage('Describe', 'P', '');
const execute = clientMessage('Execute', '', 0);
const sync = clientMessage('Sync');

function ask(client: WireClient, ...messages: readonly Buffer[]): Promise<Message[]> {
  client.send(...messages);
  return client.receiveUntilReady();
}

const names = (messages: readonly Message[]) => messages.map(({ name }) => name).join(' ');
const rowsOf = (messages: readonly Message[]) => resultOf(messages).rows;

function expectChanged(messages: readonly Message[], before = ''): void {
  expect(names(messages)).toBe(`${before}ErrorResponse ReadyForQuery`);
  const error = messages.at(-2);
  if (error === undefined) throw new Error('no error');
  const { severity, severityNonLocalized, sqlstate, message, routine, file } = new WireError(error).fields;
  expect({ severity, severityNonLocalized, sqlstate, message, routine, file }).toEqual({
    severity: 'ERROR',
    severityNonLocalized: 'ERROR',
    sqlstate: '0A000',
    message: 'cached plan must not change result type',
    routine: 'RevalidateCachedQuery',
    file: 'plancache.c',
  });
}

async function changeTable(text: string): Promise<void> {
  await cluster.primary.query(text);
  await cluster.waitForReplay();
}

const SELECT = 'SELECT * FROM tea ORDER BY id';

describe.each([
  ['ADD COLUMN', 'ALTER TABLE tea ADD COLUMN extra int'],
  ['DROP COLUMN', 'ALTER TABLE tea DROP COLUMN name'],
  ['another type', 'ALTER TABLE tea ALTER COLUMN id TYPE bigint'],
  ['another name', 'ALTER TABLE tea RENAME COLUMN name TO title'],
  ['another length', 'ALTER TABLE tea ALTER COLUMN name TYPE varchar(20)'],
])('behind %s, of a statement that was described', (_what, change) => {
  test.each([
    ['read', SELECT],
    ['read on the primary', '/* pgweir: route=primary */ SELECT * FROM tea ORDER BY id'],
  ])('a %s is refused as by PostgreSQL, and the session goes on', async (_kind, text) => {
    for (const pgweir of [one, many]) {
      using client = await connect(pgweir);
      await ask(client, parse('s', text), describeStatement('s'), sync);
      expect(rowsOf(await ask(client, bind('s'), execute, sync)).length).toBe(2);
    }
    using first = await connect(one);
    using second = await connect(many);
    for (const client of [first, second]) await ask(client, parse('s', text), describeStatement('s'), sync);
    await changeTable(change);
    for (const client of [first, second]) {
      for (let round = 0; round < 3; round++) expectChanged(await ask(client, bind('s'), execute, sync));
      await ask(client, clientMessage('Close', 'S', 's'), parse('s', text), describeStatement('s'), sync);
      for (let round = 0; round < 3; round++) {
        expect(rowsOf(await ask(client, bind('s'), execute, sync)).length).toBe(2);
      }
    }
    await changeTable('DROP TABLE tea; CREATE TABLE tea (id int, name text)');
  });
});

describe('a statement that was described before its table was changed', () => {
  const ADD = 'ALTER TABLE tea ADD COLUMN extra int';

  test('by its portal only, is refused', async () => {
    using client = await connect(one);
    await ask(client, parse('s', SELECT), bind('s'), describePortal, execute, sync);
    await changeTable(ADD);
    expectChanged(await ask(client, bind('s'), execute, sync));
  });

  test('is refused in a transaction, which fails', async () => {
    for (const begin of ['BEGIN', 'BEGIN READ ONLY']) {
      await changeTable('DROP TABLE tea; CREATE TABLE tea (id int, name text)');
      using client = await connect(one);
      await ask(client, parse('s', SELECT), describeStatement('s'), sync);
      await changeTable(ADD);
      await ask(client, query(begin));
      expectChanged(await ask(client, bind('s'), execute, sync));
      expect(client.status).toBe('E');
      expect(names(await ask(client, query('SELECT 1')))).toBe('ErrorResponse ReadyForQuery');
      await ask(client, query('ROLLBACK'));
      expect(client.status).toBe('I');
      await ask(client, parse('t', SELECT), describeStatement('t'), sync);
      await ask(client, query(begin));
      expect(names(await ask(client, bind('t'), execute, sync))).toContain('CommandComplete');
      await ask(client, query('COMMIT'));
    }
  });

  test('is refused where another session has prepared it anew', async () => {
    using old = await connect(one);
    await ask(old, parse('s', SELECT), describeStatement('s'), sync);
    await changeTable(ADD);
    using fresh = await connect(one);
    await ask(fresh, parse('t', SELECT), describeStatement('t'), sync);
    expect(rowsOf(await ask(fresh, bind('t'), execute, sync))[0]).toEqual(['1', 'green', null]);
    expectChanged(await ask(old, bind('s'), execute, sync));
    expect(rowsOf(await ask(fresh, bind('t'), execute, sync))[0]).toEqual(['1', 'green', null]);
    await ask(fresh, query('BEGIN'));
    expect(rowsOf(await ask(fresh, bind('t'), execute, sync))[0]).toEqual(['1', 'green', null]);
    await ask(fresh, query('COMMIT'));
  });

  test('in a transaction is run where an older plan of another session is', async () => {
    using old = await connect(one);
    const text = 'SELECT * FROM tea WHERE id = 1 -- on the primary';
    await ask(old, query('BEGIN'));
    await ask(old, parse('s', text), describeStatement('s'), bind('s'), execute, sync);
    await ask(old, query('COMMIT'));
    await changeTable(ADD);
    using fresh = await connect(one);
    await ask(fresh, parse('t', text), describeStatement('t'), sync);
    await ask(fresh, query('BEGIN'));
    expect(rowsOf(await ask(fresh, bind('t'), execute, sync))).toEqual([['1', 'green', null]]);
    await ask(fresh, query('COMMIT'));
  });

  test('has done nothing when it is refused, although it would write', async () => {
    for (const pgweir of [one, many]) {
      await changeTable('DROP TABLE tea; CREATE TABLE tea (id int, name text)');
      const insert = "INSERT INTO tea VALUES (9, 'mint') RETURNING *";
      using old = await connect(pgweir);
      await ask(old, parse('s', insert), describeStatement('s'), sync);
      await changeTable(ADD);
      // Its plan makes room for another's, so that it is prepared anew.
      using other = await connect(pgweir);
      await ask(other, parse('u', insert), describeStatement('u'), sync);
      expectChanged(await ask(old, bind('s'), execute, sync));
      expectChanged(
        await ask(old, parse('v', "INSERT INTO tea VALUES (8, 'oolong')"), bind('v'), execute, bind('s'), execute, sync),
        'ParseComplete BindComplete CommandComplete ',
      );
      expect((await cluster.primary.query('SELECT count(*)::int AS n FROM tea'))[0]?.n).toBe(0);
      await ask(old, clientMessage('Close', 'S', 's'), parse('s', insert), describeStatement('s'), sync);
      expect(rowsOf(await ask(old, bind('s'), execute, sync))).toEqual([['9', 'mint', null]]);
      expect((await cluster.primary.query('SELECT count(*)::int AS n FROM tea'))[0]?.n).toBe(1);
    }
  });

  test('is refused in the middle of a pipeline, and what follows its Sync is run', async () => {
    using client = await connect(one);
    await ask(client, parse('s', 'INSERT INTO tea VALUES (3) RETURNING *'), describeStatement('s'), sync);
    await changeTable(ADD);
    client.send(bind('s'), execute, parse('later', 'SELECT 1'), sync, query('SELECT 2'), bind('s'), execute, sync);
    expectChanged(await client.receiveUntilReady());
    expect(rowsOf(await client.receiveUntilReady())).toEqual([['2']]);
    expectChanged(await client.receiveUntilReady());
    expect(names(await ask(client, parse('later', 'SELECT 1'), bind('later'), execute, sync))).toBe(
      'ParseComplete BindComplete DataRow CommandComplete ReadyForQuery',
    );
  });

  test('is run when its table is as it was', async () => {
    using client = await connect(many);
    await ask(client, parse('s', SELECT), describeStatement('s'), sync);
    await changeTable(`${ADD}; ALTER TABLE tea DROP COLUMN extra`);
    await ask(client, query('BEGIN'));
    for (let round = 0; round < 2; round++) expect(rowsOf(await ask(client, bind('s'), execute, sync)).length).toBe(2);
    await ask(client, query('COMMIT'));
    expect(rowsOf(await ask(client, bind('s'), execute, sync)).length).toBe(2);
  });

  test('is run with what it returns now when the client asks to be told again', async () => {
    using client = await connect(one);
    await ask(client, parse('s', SELECT), describeStatement('s'), sync);
    await changeTable(ADD);
    expectChanged(await ask(client, bind('s'), describePortal, execute, sync));
    expect(names(await ask(client, describeStatement('s'), sync))).toBe('ParameterDescription RowDescription ReadyForQuery');
    expect(rowsOf(await ask(client, bind('s'), describePortal, execute, sync))[0]).toEqual(['1', 'green', null]);
    expect(rowsOf(await ask(client, bind('s'), execute, sync))[0]).toEqual(['1', 'green', null]);
  });

  test('is refused also when it is the unnamed one', async () => {
    using client = await connect(one);
    await ask(client, parse('', SELECT), describeStatement(''), sync);
    await changeTable(ADD);
    using other = await connect(one);
    await ask(other, parse('', 'SELECT 1'), bind(''), execute, sync);
    await ask(other, parse('', 'SELECT 1 FOR UPDATE'), bind(''), execute, sync);
    expectChanged(await ask(client, bind(''), execute, sync));
  });

  test('with a description of many chunks is refused, and run when it fits', async () => {
    const wide = `SELECT ${Array.from({ length: 1500 }, (_, n) => `id AS "${`column ${n} `.padEnd(60, '.')}"`).join(', ')}, tea.* FROM tea`;
    using client = await connect(many);
    await ask(client, parse('s', wide), describeStatement('s'), sync);
    await ask(client, query('BEGIN'));
    expect(rowsOf(await ask(client, bind('s'), execute, sync)).length).toBe(2);
    await ask(client, query('COMMIT'));
    expect(rowsOf(await ask(client, bind('s'), execute, sync)).length).toBe(2);
    await changeTable(ADD);
    await ask(client, query('BEGIN'));
    expectChanged(await ask(client, bind('s'), execute, sync));
    await ask(client, query('ROLLBACK'));
    expectChanged(await ask(client, bind('s'), execute, sync));
  });

  test('is refused for the drop of its table with the reason of PostgreSQL', async () => {
    using client = await connect(one);
    await ask(client, parse('s', 'DELETE FROM tea RETURNING *'), describeStatement('s'), sync);
    await changeTable('DROP TABLE tea');
    const answer = await ask(client, bind('s'), execute, sync);
    expect(() => resultOf(answer)).toThrow('relation "tea" does not exist');
    expect(rowsOf(await ask(client, query('SELECT 1')))).toEqual([['1']]);
    await changeTable('CREATE TABLE tea (id int, name text)');
  });

  test('waits for that with a Bind of many chunks and what comes behind it', async () => {
    const insert = 'INSERT INTO tea VALUES (7, $1) RETURNING *';
    using client = await connect(many);
    const long = clientMessage('Bind', '', 's', [], [Buffer.alloc(1_000_000, 'x')], []);
    await ask(client, query('BEGIN'));
    await ask(client, parse('s', insert), describeStatement('s'), sync);
    await ask(client, query('COMMIT'));
    // Another connection takes the place of the one that has it.
    using other = await connect(many);
    await ask(other, query('BEGIN'));
    await ask(other, query('INSERT INTO tea VALUES (0)'));
    await client.sendCutAt(Buffer.concat([query('BEGIN'), long, execute, long, execute, sync, query('COMMIT')]), [100, 70_000]);
    for (const expected of ['CommandComplete', 'BindComplete', 'CommandComplete']) {
      expect(names(await client.receiveUntilReady())).toContain(expected);
    }
    await ask(other, query('ROLLBACK'));
    expect((await cluster.primary.query('SELECT count(*)::int AS n FROM tea WHERE id = 7'))[0]?.n).toBe(2);
    await changeTable(ADD);
    await client.sendCutAt(Buffer.concat([query('BEGIN'), long, execute, long, execute, sync, query('COMMIT')]), [100, 70_000]);
    await client.receiveUntilReady();
    expectChanged(await client.receiveUntilReady());
    expect(names(await client.receiveUntilReady())).toBe('CommandComplete ReadyForQuery');
    expect((await cluster.primary.query('SELECT count(*)::int AS n FROM tea WHERE id = 7'))[0]?.n).toBe(2);
  });

  test('behind a message that fails is passed over', async () => {
    using client = await connect(one);
    await ask(client, parse('s', SELECT), describeStatement('s'), parse('zero', 'SELECT 1 / $1::int'), sync);
    await ask(client, query('BEGIN'));
    const fails = clientMessage('Bind', '', 'zero', [], [Buffer.from('0')], []);
    const answer = await ask(client, fails, execute, bind('s'), execute, parse('later', 'SELECT 1'), sync);
    expect(() => resultOf(answer)).toThrow('division by zero');
    expect(client.status).toBe('E');
    await ask(client, query('ROLLBACK'));
    expect(rowsOf(await ask(client, parse('later', SELECT), bind('later'), execute, bind('s'), execute, sync)).length).toBe(4);
  });

  describe('while it waits for a lock', () => {
    const text = "UPDATE tea SET name = 'cold' RETURNING *";

    /** The client has sent a write that is held back, since PostgreSQL cannot describe it while `locker` has the table. */
    async function heldBack(client: WireClient, locker: WireClient): Promise<number> {
      await ask(client, parse('s', text), describeStatement('s'), sync);
      await changeTable(ADD);
      using other = await connect(one);
      await ask(other, parse('s', text), describeStatement('s'), sync);
      await ask(locker, query('BEGIN'));
      await ask(locker, query('LOCK TABLE tea'));
      client.send(bind('s'), execute, sync, query('SELECT 5'));
      let waiting: number | undefined;
      await until('it waits', async () => {
        const sql = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%cold%'";
        waiting = (await cluster.primary.query(sql))[0]?.pid as number | undefined;
        return waiting !== undefined;
      });
      return waiting ?? 0;
    }

    const direct = () => WireClient.connect({ host: '127.0.0.1', port: cluster.primary.port, database: 'postgres' });

    test('the client may leave', async () => {
      using locker = await direct();
      const client = await connect(one);
      await heldBack(client, locker);
      client[Symbol.dispose]();
      await ask(locker, query('ROLLBACK'));
      using next = await connect(one);
      expect(rowsOf(await ask(next, query(`${text.replace(' RETURNING *', '')}; SELECT 6`)))).toEqual([['6']]);
    });

    test('it can be cancelled, and its backend can end', async () => {
      for (const end of ['pg_cancel_backend', 'pg_terminate_backend']) {
        await changeTable('DROP TABLE tea; CREATE TABLE tea (id int, name text)');
        using locker = await direct();
        using client = await connect(one);
        const pid = await heldBack(client, locker);
        await cluster.primary.query(`SELECT ${end}(${pid})`);
        const answer = await client.receiveUntilReady();
        expect(() => resultOf(answer)).toThrow(end === 'pg_cancel_backend' ? '57014' : '08');
        expect(names(answer)).toBe('ErrorResponse ReadyForQuery');
        await ask(locker, query('ROLLBACK'));
        expect(rowsOf(await client.receiveUntilReady())).toEqual([['5']]);
        expectChanged(await ask(client, bind('s'), execute, sync));
      }
    });
  });

  test.each([
    ['no rows', 'UPDATE tea SET name = name WHERE id = $1'],
    ['rows', 'SELECT name FROM tea WHERE id = $1'],
  ])('and returns %s keeps the types of its parameters', async (_what, text) => {
    const binary = clientMessage('Bind', '', 's', [1], [Buffer.from([0, 0, 0, 1])], []);
    using client = await connect(many);
    await ask(client, parse('s', text), describeStatement('s'), sync);
    await changeTable('ALTER TABLE tea ALTER COLUMN id TYPE bigint');
    // Takes the connection that has it.
    using other = await connect(many);
    await ask(other, query('BEGIN'));
    await ask(other, query('INSERT INTO tea VALUES (0)'));
    expect(resultOf(await ask(client, binary, execute, sync)).tags[0]).toMatch(/ 1$/);
    await ask(client, query('BEGIN'));
    expect(resultOf(await ask(client, binary, execute, sync)).tags[0]).toMatch(/ 1$/);
    await ask(client, query('COMMIT'));
    await ask(other, query('ROLLBACK'));
  });

  test('is run with what it returns now if it was never described', async () => {
    using client = await connect(one);
    await ask(client, parse('s', SELECT), sync);
    await changeTable(ADD);
    await ask(client, query('BEGIN'));
    expect(rowsOf(await ask(client, bind('s'), execute, sync))[0]).toEqual(['1', 'green', null]);
    await ask(client, query('COMMIT'));
  });
});

describe.each([
  // On a replica that has no plan of it yet, it is planned anew.
  ['read', '/* pgweir: route=primary */ SELECT * FROM tea'],
  ['write', 'UPDATE tea SET name = name RETURNING *'],
])('a %s that is never described, of two clients', (_kind, text) => {
  const ADD = 'ALTER TABLE tea ADD COLUMN extra int';
  const run = [bind('s'), execute, sync];
  const prepare = [parse('s', text), sync];
  const prepareAnew = [clientMessage('Close', 'S', 's'), parse('s', text), sync];

  async function connectBoth(to: Pgweir): Promise<[WireClient, WireClient]> {
    await changeTable("DROP TABLE tea; CREATE TABLE tea (id int, name text); INSERT INTO tea VALUES (1, 'green'), (2, 'black')");
    const clients = await Promise.all([connect(to), connect(to)]);
    for (const client of clients) await ask(client, ...prepare);
    for (const client of clients) expect(rowsOf(await ask(client, ...run)).length).toBe(2);
    return clients;
  }

  test('is refused until each prepares it anew, as by PostgreSQL', async () => {
    for (const pgweir of [one, many]) {
      const [first, second] = await connectBoth(pgweir);
      using _first = first;
      using _second = second;
      await changeTable(ADD);
      for (let round = 0; round < 3; round++) expectChanged(await ask(first, ...run));
      await ask(first, ...prepareAnew);
      for (let round = 0; round < 3; round++) expect(rowsOf(await ask(first, ...run))[0]).toEqual(['1', 'green', null]);
    }
  });

  test('is run for who prepares it after the change, wherever an old plan is', async () => {
    for (const pgweir of [one, many]) {
      const [first, second] = await connectBoth(pgweir);
      using _first = first;
      using _second = second;
      await changeTable(ADD);
      using fresh = await connect(pgweir);
      await ask(fresh, ...prepare);
      for (let round = 0; round < 3; round++) expect(rowsOf(await ask(fresh, ...run))[0]).toEqual(['1', 'green', null]);
    }
  });

  test('is refused in a transaction, and run in the next when it was prepared anew', async () => {
    const [first, second] = await connectBoth(one);
    using _first = first;
    using _second = second;
    await changeTable(ADD);
    const begin = 'BEGIN; SELECT 1 FOR UPDATE';
    await ask(first, query(begin));
    expectChanged(await ask(first, ...run));
    await ask(first, query('ROLLBACK'));
    await ask(first, ...prepareAnew);
    await ask(first, query(begin));
    for (let round = 0; round < 2; round++) expect(rowsOf(await ask(first, ...run))[0]).toEqual(['1', 'green', null]);
    await ask(first, query('ROLLBACK'));
  });
});

test('while tables change, many clients at once read only what they were told', async () => {
  let changing = true;
  let refused = 0;
  let reads = 0;
  const failures: string[] = [];
  /** Prepares anew upon the error, as drivers do. */
  async function reader(): Promise<void> {
    using client = await connect(many);
    const prepare = [clientMessage('Close', 'S', 's'), parse('s', 'SELECT * FROM tea'), describeStatement('s'), sync];
    const columnsOf = (messages: readonly Message[]) => resultOf(messages).columns.length;
    let told = columnsOf(await ask(client, ...prepare));
    while (changing) {
      client.send(bind('s'), execute, sync, bind('s'), execute, sync);
      let stale = false;
      for (const answer of [await client.receiveUntilReady(), await client.receiveUntilReady()]) {
        reads++;
        if (answer.some(({ name }) => name === 'ErrorResponse')) {
          expectChanged(answer);
          refused++;
          stale = true;
        } else for (const row of rowsOf(answer)) if (row.length !== told) failures.push(`${row.length} for ${told}`);
      }
      if (stale) told = columnsOf(await ask(client, ...prepare));
    }
  }
  const readers = Promise.all(Array.from({ length: 12 }, reader));
  const changes = (async () => {
    try {
      for (let round = 0; round < 8; round++) {
        const sofar = reads;
        await until('enough reads', () => Promise.resolve(reads > sofar + 200));
        await changeTable(round % 2 === 0 ? 'ALTER TABLE tea ADD COLUMN extra int' : 'ALTER TABLE tea DROP COLUMN extra');
      }
    } finally {
      changing = false;
    }
  })();
  await Promise.all([readers, changes]);
  expect(failures).toEqual([]);
  expect(refused).toBeGreaterThan(0);
});
