import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { clientMessage } from '../support/transcript.ts';
import { expectWholePools } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/**
 * Settings with a name of the application's own (`app.tenant`), which PostgreSQL lists nowhere. However they came about,
 * their session has them on every connection, as on one of its own, and no other session has.
 */
let cluster: Cluster;
let pgweir: Pgweir;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 });
  await cluster.primary.query(`
    CREATE TABLE notes (n int);
    CREATE TABLE names (name text, value text);
    INSERT INTO names VALUES ('kept.in_a_table', 'x');
    CREATE TABLE watched (n int);
    CREATE FUNCTION put(name text, value text) RETURNS void LANGUAGE plpgsql
      AS 'BEGIN PERFORM set_config(name, value, false); END';
    CREATE FUNCTION put_in_app(name text, value text) RETURNS void LANGUAGE plpgsql
      AS $$ BEGIN PERFORM set_config('app.' || name, value, false); END $$;
    CREATE FUNCTION put_by_format(name text, value text) RETURNS void LANGUAGE plpgsql
      AS $$ BEGIN EXECUTE format('SET app.%I = %L', name, value); END $$;
    CREATE FUNCTION put_fixed(value text) RETURNS void LANGUAGE plpgsql
      AS $$ BEGIN PERFORM set_config('fixed.one', value, false); SET fixed.two = 'always'; END $$;
    CREATE FUNCTION put_atomic(value text) RETURNS text LANGUAGE sql
      BEGIN ATOMIC SELECT set_config('atomic.one', value, false); END;
    CREATE FUNCTION put_secret(value text) RETURNS void LANGUAGE plpgsql
      AS $$ BEGIN PERFORM set_config('hid' || 'den.' || reverse('eno'), value, false); END $$;
    CREATE FUNCTION put_around(value text) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM put_secret(value); END';
    CREATE FUNCTION put_for_now(name text, value text) RETURNS void LANGUAGE plpgsql
      AS 'BEGIN PERFORM set_config(name, value, true); END';
    CREATE FUNCTION put_all() RETURNS void LANGUAGE plpgsql
      AS 'BEGIN PERFORM set_config(name, value, false) FROM names; END';
    CREATE FUNCTION on_write() RETURNS trigger LANGUAGE plpgsql
      AS 'BEGIN PERFORM put_secret(NEW.n::text); RETURN NEW; END';
    CREATE TRIGGER on_write BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION on_write()`);
  await cluster.waitForReplay();
  pgweir = await startPgweir(cluster, 'pool: { max_per_backend: 3 }');
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

afterEach(async () => {
  await expectWholePools(pgweir, cluster);
});

const connect = ({ host, port }: { host: string; port: number }) =>
  WireClient.connect({ host, port, database: 'postgres', timeoutMs: 10_000 });

type Statement = string | readonly [text: string, ...values: (string | null)[]];

/** What the settings are, asked on the primary and wherever reads go. */
const looks = (names: readonly string[]): Statement[] => {
  const values = names.map((name) => `coalesce(current_setting('${name}', true), '')`).join(', ');
  return [`/* pgweir: route=primary */ SELECT ${values}`, `SELECT ${values}`];
};

/** Runs the statements, each on another connection than the one before where that is possible. */
async function rowsOf(to: { host: string; port: number }, statements: readonly Statement[]): Promise<unknown[]> {
  using client = await connect(to);
  using other = await connect(to);
  const rows: unknown[] = [];
  for (const statement of statements) {
    const [text, ...values] = typeof statement === 'string' ? [statement] : statement;
    const asked = typeof statement === 'string' ? client.query(text) : client.execute(text, values);
    rows.push(
      await asked.then(
        (result) => result.rows,
        (error: unknown) => String(error),
      ),
    );
    // It takes the connection that was given back last.
    await other.query('ROLLBACK');
    await other.query('BEGIN');
    await other.query('INSERT INTO notes VALUES (1)');
  }
  return rows;
}

const pinned = () => pgweir.metric('pgweir_pins_total{reason="unnamed setting"}');

async function expectAsDirect(statements: readonly Statement[], names: readonly string[]): Promise<void> {
  const all = [...statements, ...looks(names), ...looks(names)];
  expect(await rowsOf(pgweir, all)).toEqual(await rowsOf(cluster.primary, all));
}

/** The other sessions of the pool have nothing of it. */
async function expectNothingLeft(names: readonly string[]): Promise<void> {
  for (let round = 0; round < 3; round++) {
    const rows = await rowsOf(pgweir, looks(names));
    for (const row of rows) expect(row).toEqual([names.map(() => '')]);
  }
}

describe('a setting travels with its session without holding it', () => {
  const cases: readonly [how: string, statements: readonly Statement[], names: readonly string[]][] = [
    ['named in a literal for a function', ["SELECT put('app.tag', 'x')"], ['app.tag']],
    ['named in a parameter for a function', [['SELECT put($1, $2)', 'app.bound', 'x']], ['app.bound']],
    ['named in a parameter of set_config()', [['SELECT set_config($1, $2, false)', 'App.Bound', 'x']], ['app.bound']],
    ['named in part', ["SELECT put_in_app('part', 'x')"], ['app.part']],
    ['named in part, in a parameter', [['SELECT put_by_format($1, $2)', 'other_part', 'x']], ['app.other_part']],
    ['named in a body', ["SELECT put_fixed('x')"], ['fixed.one', 'fixed.two']],
    ['named in a body of parsed SQL', ["SELECT put_atomic('x')"], ['atomic.one']],
    [
      'named in a DO block',
      ["DO $$ BEGIN PERFORM set_config('code.one', 'x', false); SET code.two = 'y'; END $$"],
      ['code.one', 'code.two'],
    ],
    [
      'changed and taken away',
      ["SELECT put('app.a', 'x'), put('app.b', 'x')", "SELECT put('app.a', 'y')", "SELECT put('app.b', '')"],
      ['app.a', 'app.b'],
    ],
    ['in a transaction', ['BEGIN', "SELECT put('app.kept', 'x')", 'COMMIT'], ['app.kept']],
    [
      'rolled back',
      ["SELECT put('app.back', 'x')", 'BEGIN', "SELECT put('app.back', 'y'), put_secret('y')", 'ROLLBACK'],
      ['app.back', 'hidden.one'],
    ],
    ['in a statement that fails', ["SELECT put('app.fails', 'x'), 1 / (SELECT 0)"], ['app.fails']],
    ['for a transaction only', ["SELECT put_for_now(reverse('won.ppa'), 'x')"], ['app.now']],
    ['beside a setting of PostgreSQL', ["SELECT put('work_mem', '5MB')", 'SHOW work_mem'], ['app.none']],
  ];
  test.each(cases)('%s', async (_how, statements, names) => {
    const before = await pinned();
    await expectAsDirect(statements, names);
    expect(await pinned()).toBe(before);
    await expectNothingLeft(names);
  });

  test('by a function that was just made, and made anew', async () => {
    const make = (name: string) =>
      `CREATE OR REPLACE FUNCTION made() RETURNS void LANGUAGE plpgsql AS 'BEGIN SET ${name} = 1; END'`;
    const before = await pinned();
    await expectAsDirect(
      [make('made.first'), 'SELECT made()', make('made.then'), 'SELECT made()', 'DROP FUNCTION made()'],
      ['made.first', 'made.then'],
    );
    expect(await pinned()).toBe(before);
    await expectNothingLeft(['made.first', 'made.then']);
  });
});

describe('a setting of which nobody can know the name holds its session', () => {
  const cases: readonly [how: string, statement: Statement, name: string][] = [
    ['made up by a function', "SELECT put_secret('x')", 'hidden.one'],
    ['made up by a function that another calls', "SELECT put_around('x')", 'hidden.one'],
    ['made up by a trigger', 'INSERT INTO watched VALUES (1)', 'hidden.one'],
    ['read from a table by a function', 'SELECT put_all()', 'kept.in_a_table'],
    ['read from a table', 'SELECT set_config(name, value, false) FROM names', 'kept.in_a_table'],
    ['beside one that is named', "BEGIN\nSELECT put('app.a', 'x')\nSELECT put_secret('x')\nCOMMIT", 'hidden.one'],
    ['made up in a DO block', "DO $$ BEGIN EXECUTE 'SET ' || reverse('eno.edoc') || ' = 1'; END $$", 'code.one'],
    ['made up by dynamic SQL in a DO block', "DO $$ BEGIN EXECUTE 'SELECT put_secret(1::text)'; END $$", 'hidden.one'],
  ];
  test.each(cases)('%s', async (_how, statement, name) => {
    const before = await pinned();
    await expectAsDirect(typeof statement === 'string' ? statement.split('\n') : [statement], [name]);
    expect(await pinned()).toBe(before + 1);
    await expectNothingLeft([name]);
  });

  test.each(['RESET ALL', 'DISCARD ALL'])('until %s', async (reset) => {
    const unpinned = () => pgweir.metric('pgweir_unpins_total{reason="unnamed setting"}');
    const before = await unpinned();
    await expectAsDirect(["SELECT put_secret('x')", reset], ['hidden.one']);
    expect(await unpinned()).toBe(before + 1);
    await expectNothingLeft(['hidden.one']);
  });
});

test('nothing is asked in the middle of what the client does next', async () => {
  using client = await connect(pgweir);
  for (let round = 0; round < 5; round++) {
    await client.query(
      `CREATE OR REPLACE FUNCTION anew() RETURNS void LANGUAGE plpgsql AS 'BEGIN SET anew.round = ${round}; END'`,
    );
    await client.query('SELECT anew()');
    // It asks for the code of the database meanwhile.
    client.send(clientMessage('Query', 'COPY notes FROM STDIN'));
    await client.receive(1);
    client.send(clientMessage('CopyData', '7\n'), clientMessage('CopyDone'));
    expect((await client.receiveUntilReady()).map(({ args }) => args[0])).toEqual(['COPY 1', 'I']);
    expect((await client.query("SELECT current_setting('anew.round')")).rows).toEqual([[String(round)]]);
  }
  await client.query('DROP FUNCTION anew()');
});
