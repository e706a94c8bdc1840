import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { clientMessage, printTranscript, withoutChance } from '../support/transcript.ts';
import { expectWholePools } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/**
 * Sessions that change whatever a session can change, by chance, share two connections to each backend. Each must be
 * answered, step by step, as it is on a connection of its own: whatever leaked from one to another, or was forgotten, would
 * show. `SEED=7 RUNS=300 npx vitest run ...` looks further.
 */
let cluster: Cluster;
let pgweir: Pgweir;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 });
  await cluster.primary.query(`CREATE ROLE alice; CREATE ROLE bob; CREATE SCHEMA aside; CREATE TABLE notes (n int);
    GRANT ALL ON notes TO PUBLIC; GRANT USAGE ON SCHEMA aside TO PUBLIC`);
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

const seed = Number(process.env.SEED ?? 1);
const numRuns = Number(process.env.RUNS ?? 20);

/** What is sent before the next ReadyForQuery is awaited. */
type Step = readonly Buffer[];

const query = (text: string): Step => [clientMessage('Query', text)];
const SYNC = clientMessage('Sync');
const parse = (name: string, text: string): Step => [clientMessage('Parse', name, text, []), SYNC];
const run = (name: string): Step => [
  clientMessage('Bind', '', name, [], [], []),
  clientMessage('Describe', 'P', ''),
  clientMessage('Execute', '', 0),
  SYNC,
];
const whole = (text: string): Step => [...parse('', text).slice(0, 1), ...run('')];
const close = (name: string): Step => [clientMessage('Close', 'S', name), SYNC];

const SETTINGS = ['work_mem', 'search_path', 'statement_timeout', 'timezone', 'default_transaction_read_only', 'app.tag'];

/** What the session is like, in one row. A setting of an extension that is reset reads as null or as empty, by chance. */
const LOOK = query(
  `SELECT current_user, session_user, ${SETTINGS.map((name) => `nullif(current_setting('${name}', true), '')`).join(', ')}`,
);

const PORTABLE: readonly Step[] = [
  ...['5MB', '6MB'].flatMap((value) => [
    query(`SET work_mem = '${value}'`),
    query(`SET LOCAL work_mem = '${value}'`),
    whole(`SET work_mem = '${value}'`),
    query(`SELECT set_config('work_mem', '${value}', false)`),
    query(`DO $$ BEGIN PERFORM set_config('work_mem', '${value}', false); END $$`),
    query(`SET app.tag = '${value}'`),
    query(`SELECT set_config('app.tag', 'a' || '${value}', true)`),
    whole(`SELECT set_config('app.tag', 'b' || '${value}', false)`),
  ]),
  query('RESET work_mem'),
  query('RESET ALL'),
  query('DISCARD ALL'),
  query('SET work_mem = nonsense'),
  query('SET work_mem TO DEFAULT'),
  query('SHOW work_mem'),
  query('SET search_path = aside, public'),
  query("SET statement_timeout = '1h'"),
  query("SET TIME ZONE 'Asia/Tokyo'"),
  query('SET ROLE alice'),
  query('SET LOCAL ROLE bob'),
  query('RESET ROLE'),
  query('SET SESSION AUTHORIZATION bob'),
  query('RESET SESSION AUTHORIZATION'),
  query("SET work_mem = '7MB'; SET app.tag = 'many'; SELECT 1"),
  query("SET work_mem = '8MB'; SELECT 1/0"),
  query("BEGIN; SET work_mem = '9MB'; COMMIT"),
  query('BEGIN'),
  query('COMMIT'),
  query('ROLLBACK'),
  query('SAVEPOINT s'),
  query('ROLLBACK TO s'),
  query('RELEASE s'),
  query('SELECT 1'),
  query('SELECT 1/0'),
  query('SELEKT'),
  whole('SELECT 2'),
  query('INSERT INTO notes VALUES (1)'),
  parse('p', 'SELECT 3'),
  parse('p', "SELECT current_setting('work_mem')"),
  parse('q', "SELECT current_setting('search_path')"),
  parse('', 'SELECT 4'),
  parse('r', 'SELECT nothing FROM nowhere'),
  run('p'),
  run('q'),
  run('r'),
  run(''),
  close('p'),
  close('q'),
  query('DEALLOCATE p'),
  query('DEALLOCATE ALL'),
];

/**
 * Has transactions run on a replica. That is as good as the primary for all of the above, but not for what leaves residue: in
 * a read-only transaction the primary takes LISTEN, a standby does not. Nor for COMMIT AND CHAIN in a failed one, behind which
 * PostgreSQL forgets that it was read-only.
 */
const READ_ONLY: readonly Step[] = [
  query('BEGIN READ ONLY'),
  query('SET default_transaction_read_only = on'),
  query('SET default_transaction_read_only = off'),
  query('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY'),
];

/** Leaves on the connection what cannot travel. Each session has a number, so that their locks do not meet. */
function residue(session: number): readonly Step[] {
  return [
    query('CREATE TEMP TABLE t (n int)'),
    query('CREATE TEMP TABLE t (n int) ON COMMIT DROP'),
    query('INSERT INTO t VALUES (1)'),
    query('SELECT count(*) FROM t'),
    query('DROP TABLE t'),
    query('DISCARD TEMP'),
    query(`SELECT pg_advisory_lock(${session})`),
    query(`SELECT pg_try_advisory_xact_lock(${session})`),
    query(`SELECT pg_advisory_unlock(${session})`),
    query('SELECT pg_advisory_unlock_all()'),
    query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"),
    query('DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 5)'),
    query('DECLARE c CURSOR FOR SELECT generate_series(1, 5)'),
    query('FETCH 2 FROM c'),
    query('CLOSE c'),
    query('CLOSE ALL'),
    query(`LISTEN news_${session}`),
    query(`UNLISTEN news_${session}`),
    query('UNLISTEN *'),
    query('SELECT pg_listening_channels()'),
    query('PREPARE x AS SELECT 5'),
    query('EXECUTE x'),
    query('DEALLOCATE x'),
    query('SELECT name FROM pg_cursors'),
    query('COMMIT AND CHAIN'),
  ];
}

type Script = readonly Step[];

function scripts(of: readonly Step[]): fc.Arbitrary<Script> {
  return fc.array(fc.constantFrom(...of), { minLength: 5, maxLength: 25 });
}

/** What a session is told, from its first step to its last, with a look at itself behind each. */
async function play(port: number, script: Script): Promise<string[]> {
  using client = await WireClient.connect({ host: '127.0.0.1', port, database: 'postgres', timeoutMs: 30_000 });
  const heard: string[] = [];
  for (const step of script.flatMap((one) => [one, LOOK])) {
    client.send(...step);
    const messages = (await client.receiveUntilReady()).filter(({ name }) => name !== 'ParameterStatus');
    const said = step.map((bytes) => ({ side: 'C' as const, bytes }));
    heard.push(printTranscript([...said, ...messages.map(({ bytes }) => ({ side: 'S' as const, bytes }))], withoutChance));
  }
  return heard;
}

/** At most one session at a time leaves residue: two would be entitled to both connections for good. */
const scenes = fc.record({
  sharing: fc.array(scripts([...PORTABLE, ...READ_ONLY]), { minLength: 3, maxLength: 3 }),
  pinning: fc.array(scripts([...residue(1), ...PORTABLE]), { minLength: 2, maxLength: 2 }),
});

test('sessions that share connections are answered as on connections of their own', { timeout: 600_000 }, async () => {
  let steps = 0;
  await fc.assert(
    fc.asyncProperty(scenes, async ({ sharing, pinning }) => {
      const own: string[][] = [];
      for (const script of [...sharing, ...pinning]) own.push(await play(cluster.primary.port, script));
      const oneAfterTheOther = async () => {
        const heard: string[][] = [];
        for (const script of pinning) heard.push(await play(pgweir.port, script));
        return heard;
      };
      const [pinned, ...shared] = await Promise.all([oneAfterTheOther(), ...sharing.map((script) => play(pgweir.port, script))]);
      const through = [...shared, ...pinned];
      for (const [index, expected] of own.entries()) expect(through[index]).toEqual(expected);
      steps += own.reduce((sum, { length }) => sum + length, 0);
    }),
    { seed, numRuns, endOnFailure: true },
  );
  console.log(`${steps} steps of ${numRuns * 5} sessions`);
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
