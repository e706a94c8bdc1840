import fc from 'fast-check';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { clientMessage } from '../support/transcript.ts';
import { connectPg, until } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/**
 * Simple queries that are sent as prepared statements, with their integers as parameters: what the client hears is what the
 * replica itself says to the text as it is, to the byte. And plans, which keep what they were made of, for whom they are not.
 */
let cluster: Cluster;
let pgweir: Pgweir;
/** In transactions on the replica: with them there is enough under way for reads to be shared. */
let others: pg.Client[] = [];
let direct: WireClient;
let through: WireClient;

const COLUMNS = {
  small: ['7', "'7'", '40000', "'x'", '-7', '07'],
  n: ['7', '0', "'7'", '2147483647', '2147483648', '7.0', '1e1', "'7 '", "'seven'", '- 7', '0x7', 'NULL', "E'7'"],
  big: ['7', '9223372036854775807', "'9223372036854775808'", "'7'"],
  exact: ['7', '7.50', "'7.50'", "'NaN'", '99999999999999999999'],
  float: ['7', '7.5', "'Infinity'", "'7.5'"],
  word: ["'it''s'", "''", "'a'", "'\\'", "'Gr\u00fc\u00dfe'", '7', "E'a'", "U&'\\0061'", "'a'\n'b'", "N'a'", '\'a\' COLLATE "C"'],
  short: ["'abc'", "'abcdef'", "'abc  '", '7'],
  padded: ["'ab'", "'ab  '", "'abcdef'"],
  flag: ["'t'", "'yes'", 'true', "'maybe'", '1'],
  id: ["'00000000-0000-0000-0000-000000000007'", "'7'"],
  day: ["'2026-01-07'", "'7.1.2026'", "'epoch'", "'no day'"],
  instant: ["'2026-01-07 12:00'", "'2026-01-07 12:00+05'", "'epoch'", "'now'"],
  span: ["'7 days'", "interval '7 days'"],
  mood: ["'glad'", "'sad'", "'unheard of'"],
  positive: ['7', "'7'", "'-7'"],
  doc: [`'{"a": 7}'`, `'{"a":  7}'`, "'{'"],
  list: ["'{7,8}'", "'{7'", 'ARRAY[7,8]'],
  bytes: ["'\\x07'", "'a'"],
  letter: ["'a'", "'ab'"],
  label: ["'a name'", "'7'"],
  kinds: ["'(1)'", '7'],
  missing: ['7'],
} as const;

const SCHEMA = `
  CREATE TYPE mood AS ENUM ('glad', 'sad');
  CREATE DOMAIN positive AS int CHECK (VALUE > 0);
  CREATE TABLE kinds (small int2 UNIQUE, n int4 UNIQUE, big int8 UNIQUE, exact numeric UNIQUE, float float8 UNIQUE,
    positive positive UNIQUE, word text PRIMARY KEY, short varchar(5), padded char(4), flag bool, id uuid, day date,
    instant timestamptz, span interval, mood mood, doc jsonb, list int[], bytes bytea, letter "char", label name);
  INSERT INTO kinds SELECT k, k, k, k, k, k, w, 'abc', 'ab', true, '00000000-0000-0000-0000-000000000007', '2026-01-07',
    '2026-01-07 12:00', '7 days', 'glad', '{"a": 7}', '{7,8}', '\\x07', 'a', 'a name'
    FROM unnest(ARRAY['it''s', '', 'a', '\\', 'ab'], ARRAY[1, NULL, 7, 8, NULL]) AS _ (w, k);
  CREATE TABLE numbers (n int PRIMARY KEY); INSERT INTO numbers SELECT generate_series(0, 20000);
  CREATE TABLE naps (ms int PRIMARY KEY); INSERT INTO naps VALUES (0), (1), (5000);
  CREATE FUNCTION nap(ms int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN PERFORM pg_sleep(ms / 1000.0); RETURN ms; END';
  CREATE OPERATOR @#@ (RIGHTARG = int, FUNCTION = nap);
  CREATE TABLE changing (n int PRIMARY KEY, was text); INSERT INTO changing VALUES (1, 'one'), (2, 'two'), (3, 'three');
  CREATE SCHEMA other; CREATE TABLE other.changing (n int PRIMARY KEY, was text); INSERT INTO other.changing VALUES (1, 'another')`;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 });
  await cluster.primary.query(SCHEMA);
  await cluster.waitForReplay();
  pgweir = await startPgweir(cluster);
  others = await Promise.all([1, 2].map(() => connectPg(pgweir.port)));
  for (const other of others) await other.query('BEGIN READ ONLY; SELECT 1');
  through = await connect(pgweir);
  direct = await connect(replica());
});

afterAll(async () => {
  direct?.destroy();
  through?.destroy();
  await Promise.all(others.map((other) => other.end()));
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

function replica(): { readonly host: string; readonly port: number } {
  const [node] = cluster.replicas;
  if (node === undefined) throw new Error('there is no replica');
  return node;
}

function connect({ host, port }: { readonly host: string; readonly port: number }): Promise<WireClient> {
  return WireClient.connect({ host, port, database: 'postgres', timeoutMs: 20_000 });
}

const prepared = () => pgweir.metric('pgweir_prepared_reads_total');

/** All that a Query draws, in hexadecimal. */
async function heard(client: WireClient, text: string): Promise<string[]> {
  client.send(clientMessage('Query', Buffer.from(text, 'utf8').toString('latin1')));
  return (await client.receiveUntilReady()).map(({ bytes }) => bytes.toString('latin1'));
}

/** Runs a read until its shape is known to be quick, and is shared. */
async function prove(text: string, client = through): Promise<void> {
  const before = await prepared();
  await until(`"${text}" to be sent as a prepared statement`, async () => {
    await heard(client, text);
    return (await prepared()) > before;
  });
}

async function expectSame(text: string): Promise<void> {
  expect(await heard(through, text), text).toEqual(await heard(direct, text));
}

describe('compared with a literal, of each type', () => {
  test.each(Object.entries(COLUMNS))('%s', async (column, literals) => {
    const before = await prepared();
    const texts = literals.flatMap((literal) => [
      `SELECT * FROM kinds WHERE ${column} = ${literal}`,
      `SELECT word, ${column} FROM kinds AS k WHERE k.${column}=${literal} AND n = 7;`,
      `SELECT 1 AS a, count(*) FROM kinds WHERE ${literal} = ${column} AND n > 6 GROUP BY 1 ORDER BY 1 LIMIT 3`,
    ]);
    const isNumber = ['small', 'n', 'big', 'exact', 'float', 'positive'].includes(column);
    await until('reads to be sent as prepared statements', async () => {
      for (const text of texts) for (let time = 0; time < 6; time++) await expectSame(text);
      return !isNumber || (await prepared()) > before;
    });
  });
});

test('a value is that of its own text, whatever was asked before', async () => {
  await prove('SELECT n, word FROM kinds WHERE n = 7');
  const before = await prepared();
  for (const n of ['7', '8', '0', '007', '2147483647', '2147483648', '7.0', '-7', '+7', "'7'", '7::int8', '7/**/', '7 -- n']) {
    for (const tail of ['', ';', ' ', ' LIMIT 1', ' AND true', ' ORDER BY n', '\n;']) {
      await expectSame(`SELECT n, word FROM kinds WHERE n = ${n}${tail}`);
    }
  }
  expect(await prepared()).toBeGreaterThan(before);
});

test('random conditions', async () => {
  const literal = fc.oneof(
    fc.constantFrom('7', '8', "'7'", "'a'", "'it''s'", 'NULL', '7.5', "''", "'x'"),
    fc.nat(3_000_000_000).map(String),
    fc.string({ maxLength: 4 }).map((text) => `'${text.replaceAll("'", "''").replaceAll('\0', '')}'`),
  );
  const column = fc.constantFrom('n', 'word', 'big', 'kinds.short', 'exact', 'k.n', '"n"');
  const blank = fc.constantFrom('', ' ', '\n', ' /* a = 1 */ ', ' -- b = 2\n');
  const operator = fc.constantFrom('=', '=', '=', '<>', '<', '>=', '!=');
  const comparison = fc
    .tuple(column, blank, operator, blank, literal, fc.boolean())
    .map(([c, b1, op, b2, l, turned]) => (turned ? `${l}${b1}${op}${b2} ${c}` : `${c}${b1}${op}${b2}${l}`));
  const { condition } = fc.letrec<{ condition: string }>((tie) => ({
    condition: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      comparison,
      fc.tuple(column, literal, literal).map(([c, a, b]) => `${c} IN (${a}, ${b})`),
      fc.tuple(column, literal, literal).map(([c, a, b]) => `${c} BETWEEN ${a} AND ${b}`),
      fc.tuple(tie('condition'), fc.constantFrom('AND', 'AND', 'OR', 'and'), tie('condition')).map((parts) => parts.join(' ')),
      tie('condition').map((inner) => `NOT (${inner})`),
      tie('condition').map((inner) => `EXISTS (SELECT FROM kinds WHERE ${inner})`),
    ),
  }));
  // By themselves, few of them compare a key.
  const ofOneRow = fc.tuple(fc.nat(9), condition).map(([n, more]) => `n = ${n} AND (${more})`);
  const before = await prepared();
  let seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  // On a busy machine shapes may be judged slow for a while.
  await until('some to be sent as prepared statements', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(condition, ofOneRow), fc.constantFrom('*', 'n', '1, 2', 'count(*)'), async (where, what) => {
        for (let time = 0; time < 5; time++) await expectSame(`SELECT ${what} FROM kinds WHERE ${where}`);
      }),
      { numRuns: 150, seed: seed++ },
    );
    return (await prepared()) > before;
  });
});

test('an error is the one that the text draws, and does not end the lifting', async () => {
  const ask = (n: number) => `SELECT 1 / (n - 7), k.* FROM kinds AS k WHERE n = ${n}`;
  await prove(ask(8));
  const retries = await pgweir.metricSum('pgweir_retries_total');
  await until('it to fail as a prepared statement', async () => {
    await expectSame(ask(7));
    await expectSame(ask(8));
    return (await pgweir.metricSum('pgweir_retries_total')) > retries;
  });
  await prove(ask(8));
});

test('a table that changes is seen at once', async () => {
  const ask = 'SELECT * FROM changing WHERE n = 1';
  await prove(ask);
  for (const change of [
    "ALTER TABLE changing ADD more text DEFAULT 'more'",
    'ALTER TABLE changing RENAME was TO is_now',
    'ALTER TABLE changing ALTER n TYPE int8',
    'ALTER TABLE changing DROP is_now',
    'DROP TABLE changing',
    "CREATE TABLE changing (n int PRIMARY KEY, word text); INSERT INTO changing VALUES (1, 'anew')",
  ]) {
    await cluster.primary.query(change);
    await cluster.waitForReplay();
    await expectSame(ask);
    await until(`"${ask}" to be sent as a prepared statement`, async () => {
      const before = await prepared();
      await expectSame(ask);
      return change.startsWith('DROP') || (await prepared()) > before;
    });
  }
});

describe('under the settings of its session', () => {
  const SETTINGS = ['SET search_path = other', "SET DateStyle = 'German'", "SET TimeZone = 'Asia/Tokyo'", 'RESET search_path'];

  test('simple queries', async () => {
    const mine = await connect(pgweir);
    const theirs = await connect(replica());
    const ask = 'SELECT * FROM changing WHERE n = 1';
    await prove(ask);
    for (const set of SETTINGS) {
      await heard(mine, set);
      await heard(theirs, set);
      for (let time = 0; time < 6; time++) {
        for (const text of [
          ask,
          'SELECT n, day, instant FROM kinds WHERE n = 7',
          "SELECT day, instant FROM kinds WHERE n = 7 AND day = '7.1.2026'",
          "SELECT n FROM kinds WHERE n = 7 AND instant = '2026-01-07 12:00'",
        ]) {
          if (text !== ask && set.includes('search_path = other')) continue;
          expect(await heard(mine, text), `${set}: ${text}`).toEqual(await heard(theirs, text));
          await expectSame(text);
        }
      }
    }
    mine.destroy();
    theirs.destroy();
  });

  test('prepared statements, in which PostgreSQL reads a date when it prepares them', async () => {
    // All of them have the same connection.
    await using narrow = await startPgweir(cluster, 'pool: { max_per_backend: 1 }');
    const times: [string, number][] = [];
    const clients: pg.Client[] = [];
    for (const zone of ['UTC', 'Asia/Tokyo', 'America/New_York', 'UTC']) {
      const client = await connectPg(narrow.port);
      clients.push(client);
      await client.query(`SET TimeZone = '${zone}'`);
      const text = "SELECT extract(epoch FROM '2026-01-07 12:00'::timestamptz)::int AS at";
      times.push([zone, (await client.query({ name: 'one', text })).rows[0].at]);
    }
    await Promise.all(clients.map((client) => client.end()));
    expect(times).toEqual([
      ['UTC', 1767787200],
      ['Asia/Tokyo', 1767754800],
      ['America/New_York', 1767805200],
      ['UTC', 1767787200],
    ]);
  });
});

test('what is prepared under settings of one transaction is not met by others', async () => {
  await using narrow = await startPgweir(cluster, 'pool: { max_per_backend: 1 }');
  const [first, second] = await Promise.all([connectPg(narrow.port), connectPg(narrow.port)]);
  const ask = { name: 'one', text: "SELECT extract(epoch FROM '2026-01-07 12:00'::timestamptz)::int AS at" };
  await first.query('BEGIN READ ONLY');
  await first.query("SET LOCAL TimeZone = 'Asia/Tokyo'");
  expect((await first.query(ask)).rows[0].at).toBe(1767754800);
  await first.query('COMMIT');
  expect((await second.query(ask)).rows[0].at).toBe(1767787200);
  await Promise.all([first.end(), second.end()]);
});

test('one that is cancelled is not run again', async () => {
  const client = await connect(pgweir);
  const retries = await pgweir.metricSum('pgweir_retries_total');
  await until('it to be sent as a prepared statement', async () => {
    await prove('SELECT @#@ ms FROM naps WHERE ms = 0');
    const before = await prepared();
    const began = performance.now();
    const answer = heard(client, 'SELECT @#@ ms FROM naps WHERE ms = 5000');
    // On a busy machine the shape may have lost its place.
    await until('it to run', async () => (await pgweir.metric('pgweir_clients{state="active"}')) > 0);
    const wasPrepared = (await prepared()) > before;
    await client.cancel();
    expect((await answer).join()).toContain('57014');
    expect(performance.now() - began).toBeLessThan(4_500);
    return wasPrepared;
  });
  expect(await pgweir.metricSum('pgweir_retries_total')).toBe(retries);
  client.destroy();
});

describe('statements that their clients prepare', () => {
  const run = (text: string, values: (string | null)[], types: number[] = [], name = '') => [
    clientMessage('Parse', name, text, types),
    clientMessage('Bind', '', name, [], values, []),
    clientMessage('Describe', 'P', ''),
    clientMessage('Execute', '', 0),
    clientMessage('Sync'),
  ];

  async function answers(client: WireClient, batches: readonly Buffer[][]): Promise<string[]> {
    const all: string[] = [];
    for (const batch of batches) {
      client.send(...batch);
      all.push(...(await client.receiveUntilReady()).map(({ bytes }) => bytes.toString('latin1')));
    }
    return all;
  }

  test.each(['', 'one'])('as "%s", after a table has changed: what is run is what the table is now', async (name) => {
    const table = `dated_${name}`;
    await cluster.primary.query(`CREATE TABLE ${table} AS SELECT 1 AS n, '2026-01-07'::date AS d`);
    await cluster.waitForReplay();
    // Somebody has the same, and keeps it.
    const keeper = await connect(pgweir);
    const asks = [
      run(`SELECT n FROM ${table} WHERE d = $1`, ['2026-01-07 12:00'], [], name),
      run(`SELECT n FROM ${table} WHERE n = $1 AND d = '2026-01-07 12:00'`, ['1'], [23], name),
    ];
    for (const type of ['date', 'timestamp', 'text']) {
      await cluster.primary.query(`ALTER TABLE ${table} ALTER d TYPE ${type}`);
      await cluster.waitForReplay();
      for (const ask of asks) {
        await answers(keeper, [ask, [clientMessage('Close', 'S', name), clientMessage('Sync')], ask]);
        for (let time = 0; time < 6; time++) {
          const [mine, theirs] = await Promise.all([connect(pgweir), connect(replica())]);
          expect(await answers(mine, [ask]), `${type}, time ${time}`).toEqual(await answers(theirs, [ask]));
          mine.destroy();
          theirs.destroy();
        }
        await answers(keeper, [[clientMessage('Close', 'S', name), clientMessage('Sync')]]);
      }
    }
    keeper.destroy();
  });

  test('after a table has changed, and run where others had prepared them before', async () => {
    await using narrow = await startPgweir(cluster, 'pool: { max_per_backend: 2 }');
    await cluster.primary.query("CREATE TABLE narrowed AS SELECT 1 AS n, '2026-01-07'::date AS d");
    await cluster.waitForReplay();
    const ask = run('SELECT n FROM narrowed WHERE d = $1', ['2026-01-07 12:00'], [], 'one');
    const [before, after, blocker] = [await connect(narrow), await connect(narrow), await connect(narrow)];
    // Both connections of the replica get the plan: the blocker has the one that came back last.
    for (let time = 0; time < 2; time++) {
      await blocker.query('BEGIN READ ONLY; SELECT 1');
      expect((await answers(before, [time === 0 ? ask : ask.slice(1)])).join()).toContain('SELECT 1');
      await blocker.query('COMMIT');
      expect((await answers(before, [ask.slice(1)])).join()).toContain('SELECT 1');
    }
    await cluster.primary.query('ALTER TABLE narrowed ALTER d TYPE timestamp');
    await cluster.waitForReplay();
    await answers(after, [[clientMessage('Parse', 'one', 'SELECT n FROM narrowed WHERE d = $1', []), clientMessage('Sync')]]);
    await blocker.query('BEGIN READ ONLY; SELECT 1');
    expect((await answers(after, [ask.slice(1)])).join()).toContain('SELECT 0');
    await blocker.query('COMMIT');
    expect((await answers(after, [ask.slice(1)])).join()).toContain('SELECT 0');
    for (const client of [before, after, blocker]) client.destroy();
  });
});

test('each of many sessions hears what it asked for', async () => {
  const clients = await Promise.all(Array.from({ length: 16 }, () => connectPg(pgweir.port)));
  const before = await prepared();
  await until('many to be sent as prepared statements', async () => {
    await Promise.all(
      clients.map(async (client, who) => {
        for (let n = 0; n < 200; n++) {
          const asked = who * 1000 + n;
          const { rows } = await client.query(`SELECT n FROM numbers WHERE n = ${asked}`);
          expect(rows).toEqual([{ n: asked }]);
          const named = await client.query(`SELECT n, '${who}/${n}' AS nonce FROM numbers WHERE n = ${asked}`);
          expect(named.rows).toEqual([{ n: asked, nonce: `${who}/${n}` }]);
        }
      }),
    );
    return (await prepared()) > before + 1000;
  });
  await Promise.all(clients.map((client) => client.end()));
});

test('with pool.prepared_reads off, all goes as it came', async () => {
  await using plain = await startPgweir(cluster, 'pool: { prepared_reads: false }');
  const clients = await Promise.all(Array.from({ length: 8 }, () => connectPg(plain.port)));
  await Promise.all(
    clients.map(async (client) => {
      for (let n = 0; n < 100; n++) await client.query(`SELECT n FROM kinds WHERE n = ${n}`);
    }),
  );
  expect(await plain.metric('pgweir_shared_reads_total')).toBeGreaterThan(0);
  expect(await plain.metric('pgweir_prepared_reads_total')).toBe(0);
  await Promise.all(clients.map((client) => client.end()));
});
