import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { bind, copyData, copyDone, describePortal, execute, flush, parse, query, run, sync } from '../support/conversation.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { expectWholePools, until } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/** A cancel request, and the end of the server process by an administrator, at each moment of a conversation. */
let cluster: Cluster;
let pgweir: Pgweir;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 0 });
  await cluster.primary.query('CREATE TABLE notes (n int)');
  pgweir = await startPgweir(cluster, 'pool: { max_per_backend: 2 }');
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

afterEach(async () => {
  await expectWholePools(pgweir, cluster);
});

/** A moment: what is said, the message that is awaited, and what the client says to go on. */
interface Moment {
  readonly name: string;
  readonly said: readonly Buffer[];
  readonly until: string;
  readonly goesOn: readonly Buffer[];
}

const SLEEP = 'SELECT 1, pg_sleep(0.5) /* sleeps */';

const MOMENTS: readonly Moment[] = [
  { name: 'idle', said: [query('SELECT 1')], until: 'ReadyForQuery', goesOn: [query('SELECT 2')] },
  { name: 'behind BEGIN', said: [query('BEGIN')], until: 'ReadyForQuery', goesOn: [query('SELECT 2'), query('COMMIT')] },
  {
    name: 'in a transaction',
    said: [query('BEGIN; INSERT INTO notes VALUES (1)')],
    until: 'ReadyForQuery',
    goesOn: [query('SELECT 2'), query('COMMIT')],
  },
  {
    name: 'in a failed transaction',
    said: [query('BEGIN; SELECT 1/0')],
    until: 'ReadyForQuery',
    goesOn: [query('SELECT 2'), query('COMMIT')],
  },
  {
    name: 'inside a batch that was flushed',
    said: [parse('', 'SELECT 1'), bind(''), describePortal(), flush],
    until: 'RowDescription',
    goesOn: [execute(), sync],
  },
  {
    name: 'between two rows of a portal',
    said: [query('BEGIN'), parse('', 'SELECT generate_series(1, 9)'), bind(''), execute('', 1), flush],
    until: 'PortalSuspended',
    goesOn: [execute('', 1), sync, query('COMMIT')],
  },
  {
    name: 'in the middle of a COPY',
    said: [query('COPY notes FROM STDIN')],
    until: 'CopyInResponse',
    goesOn: [copyData('1\n'), copyDone],
  },
  {
    name: 'behind a COPY that was sent whole',
    said: [query('COPY notes FROM STDIN'), copyData('1\n'), copyDone],
    until: 'ReadyForQuery',
    goesOn: [query('SELECT 2')],
  },
  { name: 'while a statement runs', said: [query(SLEEP)], until: 'sleep', goesOn: [] },
  {
    name: 'while the first of several runs',
    said: [query(SLEEP), query('INSERT INTO notes VALUES (2)')],
    until: 'sleep',
    goesOn: [],
  },
  { name: 'while a batch runs', said: run(SLEEP), until: 'sleep', goesOn: [] },
  {
    name: 'while a statement of a transaction runs',
    said: [query('BEGIN'), query(SLEEP), query('COMMIT')],
    until: 'sleep',
    goesOn: [],
  },
];

async function reach({ said, until: awaited }: Moment, client: WireClient): Promise<void> {
  client.send(...said);
  if (awaited === 'sleep') {
    const running =
      "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%/* sleeps */' AND pid <> pg_backend_pid()";
    await until('the statement runs', async () => (await cluster.primary.query(running)).length > 0);
    return;
  }
  for (let heard = ''; heard !== awaited; ) heard = (await client.receive(1))[0]?.name ?? '';
}

/** The session still serves, whatever was open: everything is ended, and a write is seen. */
async function expectServes(client: WireClient, goesOn: readonly Buffer[], number: number): Promise<void> {
  client.send(...goesOn, query('ROLLBACK'), query(`INSERT INTO notes VALUES (${number}) RETURNING n`));
  for (let row = ''; row !== String(number); ) {
    const [message] = await client.receive(1);
    if (message?.name === 'DataRow') row = String(Object(message.args[0])[0]);
  }
  await client.receiveUntilReady();
  expect(client.status).toBe('I');
}

let number = 1000;

function connect(): Promise<WireClient> {
  return WireClient.connect({ host: '127.0.0.1', port: pgweir.port, database: 'postgres', timeoutMs: 20_000 });
}

describe('a cancel request', () => {
  test.each(MOMENTS)('$name: the session goes on', async (moment) => {
    using client = await connect();
    await reach(moment, client);
    await client.cancel();
    await expectServes(client, moment.goesOn, ++number);
  });
});

describe('the end of the server process', () => {
  const END = `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name NOT LIKE 'pgweir %'`;

  test.each(MOMENTS)('$name: the session goes on', async (moment) => {
    using client = await connect();
    await reach(moment, client);
    await cluster.primary.query(END);
    await expectServes(client, moment.goesOn, ++number);
  });
});
