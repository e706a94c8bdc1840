import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { clientMessage } from '../support/transcript.ts';
import { expectWholePools } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/** What one session left on a connection is not met by the next. By chance it is looked for in `session-fidelity.test.ts`. */
let cluster: Cluster;
let pgweir: Pgweir;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 });
  await cluster.primary.query(`CREATE TABLE notes (n int)`);
  await cluster.waitForReplay();
  pgweir = await startPgweir(cluster, 'pool: { max_per_backend: 2 }');
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

afterEach(async () => {
  await expectWholePools(pgweir, cluster);
});

test('a value beyond ASCII is brought to every connection in the encoding of its session', async () => {
  const connect = (parameters: Record<string, string> = {}) =>
    WireClient.connect({ host: '127.0.0.1', port: pgweir.port, database: 'postgres', parameters });
  using latin = await connect();
  using utf = await connect();
  using others = await connect();
  await latin.query('SET client_encoding = LATIN1');
  await latin.query("SET app.word = 'z\xe4h'");
  await utf.query("SET app.word = 'z\xc3\xa4h'");
  const look = async (client: WireClient, sql: string) =>
    (
      await client.query(
        `${sql} octet_length(current_setting('app.word')), current_setting('app.word') = chr(122) || chr(228) || chr(104)`,
      )
    ).rows[0];
  for (let round = 0; round < 10; round++) {
    for (const client of [latin, utf]) {
      expect(await look(client, 'SELECT')).toEqual(['4', 't']);
      expect(await look(client, 'INSERT INTO notes VALUES (2) RETURNING')).toEqual(['4', 't']);
      await others.query("SET app.word = 'other'");
      await others.query('INSERT INTO notes VALUES (3)');
    }
  }
});

test.each([
  ['SET', 'SET client_encoding = LATIN1', 'SET client_encoding = UTF8'],
  ['RESET', 'SET client_encoding = LATIN1', 'RESET client_encoding'],
  ['a message with others', 'SET client_encoding = LATIN1; SELECT 1', 'SELECT 1; RESET client_encoding'],
])('and stays what it is when the encoding is changed, by %s', async (_how, there, back) => {
  using client = await WireClient.connect({ host: '127.0.0.1', port: pgweir.port, database: 'postgres' });
  await client.query("SET app.word = 'z\xc3\xa4h'");
  for (const text of [there, back, there]) {
    await client.query(text);
    for (const sql of ['SELECT', 'INSERT INTO notes VALUES (2) RETURNING']) {
      expect((await client.query(`${sql} current_setting('app.word') = 'z' || chr(228) || 'h'`)).rows).toEqual([['t']]);
    }
  }
});

test('a client is told of its own application_name by RESET, whoever opened the connection', async () => {
  const named = (application_name: string) =>
    WireClient.connect({ host: '127.0.0.1', port: pgweir.port, database: 'postgres', parameters: { application_name } });
  using opener = await named('opener');
  using other = await named('other');
  const told = async (client: WireClient, sql: string) => {
    client.send(clientMessage('Query', sql));
    const messages = await client.receiveUntilReady();
    return messages.filter(({ name }) => name === 'ParameterStatus').map(({ args }) => args);
  };
  await opener.query('INSERT INTO notes VALUES (1)');
  expect(await told(other, 'RESET ALL')).toEqual([]);
  expect(await told(other, "SET application_name = 'new'")).toEqual([['application_name', 'new']]);
  expect(await told(other, 'RESET work_mem')).toEqual([]);
  expect(await told(other, 'RESET application_name')).toEqual([['application_name', 'other']]);
  expect(await told(other, "SET application_name = 'opener'")).toEqual([['application_name', 'opener']]);
  expect(await told(other, 'DISCARD ALL')).toEqual([['application_name', 'other']]);
  expect((await other.query('SHOW application_name')).rows).toEqual([['other']]);
  await other.query("SET application_name = 'new'");
  other.send(...['RESET ALL', 'SHOW application_name'].map((sql) => clientMessage('Query', sql)));
  await other.receiveUntilReady();
  expect((await other.receiveUntilReady()).map(({ args }) => args[0])).toContainEqual(['other']);
});

test('a setting with a name of its own stays with its session, given as a parameter or made up by a function', async () => {
  await cluster.primary.query(`CREATE FUNCTION act_for(tenant text) RETURNS void LANGUAGE plpgsql
    AS $$ BEGIN PERFORM set_config('app.' || 'hidden', tenant, false); END $$`);
  await cluster.waitForReplay();
  const clients = await Promise.all(
    Array.from({ length: 4 }, () => WireClient.connect({ host: '127.0.0.1', port: pgweir.port, database: 'postgres' })),
  );
  const tenant = async (client: WireClient) => (await client.execute("SELECT current_setting('app.tenant', true)")).rows[0]?.[0];
  for (let round = 0; round < 10; round++) {
    for (const [index, client] of clients.entries()) {
      if (index > 0) await client.execute("SELECT set_config('app.tenant', $1, false)", [`t${index}`]);
      else await client.query(`SELECT act_for('secret')`);
    }
    for (const [index, client] of clients.entries()) {
      expect((await tenant(client)) ?? '').toBe(index === 0 ? '' : `t${index}`);
      if (index === 0) continue;
      // On the primary, where the function ran on one connection or the other.
      await client.query('BEGIN; INSERT INTO notes VALUES (1)');
      const { rows } = await client.query("SELECT coalesce(current_setting('app.hidden', true), '')");
      expect(rows).toEqual([['']]);
      await client.query('COMMIT');
    }
  }
  for (const client of clients) client.destroy();
});
