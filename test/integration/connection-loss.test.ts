import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { Relay } from '../support/relay.ts';
import { clientMessage } from '../support/transcript.ts';
import { expectWholePools } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/** Connections to a real PostgreSQL that break at a chosen byte: the client hears of it what is true. */
let cluster: Cluster;
let relay: Relay;
let pgweir: Pgweir;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 0 });
  await cluster.primary.query(`CREATE TABLE notes (n int); CREATE ROLE alice; GRANT ALL ON notes TO alice;
    CREATE TABLE many AS SELECT generate_series(1, 200000) AS n`);
  relay = await Relay.start(cluster.primary);
  pgweir = await startPgweir(
    cluster,
    `backends: [ "127.0.0.1:${relay.port}" ]
pool: { max_per_backend: 4 }
# However busy the machine is, the primary is there.
monitor: { user: postgres, timeout: 20s, observation_life: 60s }`,
  );
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await relay?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  await cluster.primary.query('TRUNCATE notes');
});

afterEach(async () => {
  relay.rule = null;
  await expectWholePools(pgweir, cluster);
});

function connect(parameters: Record<string, string> = {}, to = pgweir): Promise<WireClient> {
  return WireClient.connect({ host: '127.0.0.1', port: to.port, database: 'postgres', timeoutMs: 10_000, parameters });
}

/** Cuts the connection that carries this text, once, behind so many bytes of the chunk that it is in. */
function cutOnce(wanted: string, bytes: number): void {
  relay.rule = ({ direction, text, chunk }) => {
    if (direction !== 'to PostgreSQL' || !text.includes(wanted)) return chunk;
    relay.rule = null;
    return { cut: chunk.subarray(0, Math.min(bytes, chunk.length)) };
  };
}

/** Lets the question pass, and cuts the connection behind so many bytes of the answer. */
function cutAnswerTo(question: string, bytes: number): void {
  let asked = -1;
  let left = bytes;
  relay.rule = ({ direction, text, chunk, connection }) => {
    if (direction === 'to PostgreSQL') {
      if (text.includes(question)) asked = connection;
    } else if (asked === connection) {
      if (left < chunk.length) {
        relay.rule = null;
        return { cut: chunk.subarray(0, left) };
      }
      left -= chunk.length;
    }
    return chunk;
  };
}

/** SQLSTATE of the error, or the command tag. */
async function fate(client: WireClient, text: string): Promise<string> {
  client.send(clientMessage('Query', text));
  const messages = await client.receiveUntilReady();
  const error = messages.find(({ name }) => name === 'ErrorResponse');
  if (error !== undefined) return String(Object(error.args[0]).C);
  return String(messages.findLast(({ name }) => name === 'CommandComplete')?.args[0]);
}

async function expectStateLost(client: WireClient, why: string): Promise<void> {
  const messages = await client.receiveUntilClosed();
  const error = messages.find(({ name }) => name === 'ErrorResponse');
  expect(error?.args[0]).toMatchObject({ S: 'FATAL', C: '08006', D: expect.stringContaining(why) });
}

test('what runs nothing is sent again: Parse, Describe and Close of a write', async () => {
  using client = await connect();
  cutOnce('INSERT', 10);
  client.send(
    clientMessage('Parse', 'w', 'INSERT INTO notes VALUES (1)', []),
    clientMessage('Describe', 'S', 'w'),
    clientMessage('Sync'),
  );
  const prepared = await client.receiveUntilReady();
  expect(prepared.map(({ name }) => name)).toEqual(['ParseComplete', 'ParameterDescription', 'NoData', 'ReadyForQuery']);
  // Of the Close nothing is sent but the Sync; that of the monitor's questions comes with them, and is to pass.
  const sync = clientMessage('Sync').toString('latin1');
  relay.rule = ({ direction, text, chunk }) => {
    if (direction !== 'to PostgreSQL' || text !== sync) return chunk;
    relay.rule = null;
    return { cut: Buffer.alloc(0) };
  };
  client.send(clientMessage('Close', 'S', 'w'), clientMessage('Sync'));
  expect((await client.receiveUntilReady()).map(({ name }) => name)).toEqual(['CloseComplete', 'ReadyForQuery']);
  expect(relay.rule).toBe(null);
});

describe('a connection is lost while it is pinned', () => {
  test.each([
    ['idle', 'SELECT pg_backend_pid()'],
    ['in a transaction', 'BEGIN; SELECT pg_backend_pid()'],
  ])('%s: the session ends, with the reason', async (_when, look) => {
    using client = await connect();
    await client.query('CREATE TEMP TABLE mine (n int)');
    const { rows } = await client.query(look);
    await cluster.primary.query(`SELECT pg_terminate_backend(${rows[0]?.[0]})`);
    await expectStateLost(client, 'temporary object');
  });

  test.each([
    ['a lock', 'SELECT pg_advisory_lock(1)', 'advisory lock'],
    ['a channel', 'LISTEN news', 'listen'],
    ['a held cursor', 'DECLARE c CURSOR WITH HOLD FOR SELECT 1', 'held cursor'],
    ['a statement of SQL', 'PREPARE p AS SELECT 1', 'prepared statement'],
  ])('by %s, at every point of the next statement', async (_what, sql, why) => {
    for (const bytes of [0, 1, 10]) {
      using client = await connect();
      await client.query(sql);
      await client.query('SELECT 1');
      cutOnce('INSERT INTO notes', bytes);
      client.send(clientMessage('Query', 'INSERT INTO notes VALUES (1)'));
      await expectStateLost(client, why);
    }
    using client = await connect();
    await client.query(sql);
    await client.query('SELECT 1');
    cutAnswerTo('INSERT INTO notes', 3);
    client.send(clientMessage('Query', 'INSERT INTO notes VALUES (2)'));
    await expectStateLost(client, why);
    expect(await cluster.primary.query('SELECT n FROM notes')).toEqual([{ n: 2 }]);
  });
});

describe('a connection is lost while a COPY runs', () => {
  const rows = clientMessage('CopyData', '1\n'.repeat(1000));

  test.each([0, 1, 5, 700])('in, behind %i bytes of its data: nothing is copied, and the session goes on', async (bytes) => {
    using client = await connect();
    client.send(clientMessage('Query', 'COPY notes FROM STDIN'));
    await client.receive(1);
    cutOnce('1\n1\n', bytes);
    client.send(rows);
    client.send(rows, clientMessage('CopyDone'));
    const messages = await client.receiveUntilReady();
    expect(messages.map(({ name }) => name)).toEqual(['ErrorResponse', 'ReadyForQuery']);
    expect(messages[0]?.args[0]).toMatchObject({ C: '08007' });
    expect(client.status).toBe('I');
    expect(await fate(client, 'SELECT count(*) FROM notes')).toBe('SELECT 1');
    expect(await cluster.primary.query('SELECT n FROM notes')).toEqual([]);
  });

  test('in, in a transaction: the transaction is failed, and can be rolled back', async () => {
    using client = await connect();
    await client.query('BEGIN');
    client.send(clientMessage('Query', 'COPY notes FROM STDIN'));
    await client.receive(1);
    cutOnce('1\n1\n', 100);
    client.send(rows, clientMessage('CopyDone'));
    const messages = await client.receiveUntilReady();
    expect(messages[0]?.args[0]).toMatchObject({ C: '08006' });
    expect(client.status).toBe('E');
    expect(await fate(client, 'SELECT 1')).toBe('25P02');
    expect(await fate(client, 'ROLLBACK')).toBe('ROLLBACK');
    expect(await fate(client, 'INSERT INTO notes VALUES (3)')).toBe('INSERT 0 1');
  });

  test('in, of the extended protocol: what follows up to the Sync is passed over', async () => {
    using client = await connect();
    client.send(
      clientMessage('Parse', '', 'COPY notes FROM STDIN', []),
      clientMessage('Bind', '', '', [], [], []),
      clientMessage('Execute', '', 0),
      clientMessage('Flush'),
    );
    await client.receive(3);
    cutOnce('1\n1\n', 50);
    client.send(rows);
    client.send(rows, clientMessage('CopyDone'), clientMessage('Parse', '', 'SELECT 1', []), clientMessage('Sync'));
    const messages = await client.receiveUntilReady();
    expect(messages.map(({ name }) => name)).toEqual(['ErrorResponse', 'ReadyForQuery']);
    expect(await fate(client, 'INSERT INTO notes VALUES (4)')).toBe('INSERT 0 1');
  });

  describe('out', () => {
    test.each([0, 3, 900])('behind %i bytes, which were held back: it is run again', async (bytes) => {
      using client = await connect();
      cutAnswerTo('COPY many TO STDOUT', bytes);
      expect(await fate(client, 'COPY many TO STDOUT')).toBe('COPY 200000');
      expect(relay.rule).toBeNull();
    });

    test('behind what the client was sent: an error behind whole messages, or the end of its connection', async () => {
      using client = await connect();
      cutAnswerTo('COPY many TO STDOUT', 500_000);
      client.send(clientMessage('Query', 'COPY many TO STDOUT'));
      const heard = await client.receiveUntilReady().catch(() => null);
      expect(relay.rule).toBeNull();
      if (heard === null) {
        expect(client.closed).toBe(true);
        return;
      }
      expect(heard.filter(({ name }) => name === 'hex')).toEqual([]);
      expect(heard.at(-2)?.name).toBe('ErrorResponse');
      expect(await fate(client, 'SELECT 1')).toBe('SELECT 1');
    });
  });
});

describe('a connection is lost while settings are brought to it', () => {
  let megabytes = 10;
  const settingsOf = async (client: WireClient) => (await client.query("SELECT current_user, current_setting('work_mem')")).rows;

  const holders: WireClient[] = [];

  afterEach(() => {
    for (const holder of holders.splice(0)) holder.destroy();
  });

  /** The next statement of `client` will meet a connection that has none of its settings. */
  async function setAside(client: WireClient): Promise<string[][]> {
    const value = `${++megabytes}MB`;
    await client.query(`SET work_mem = '${value}'`);
    await client.query('SET ROLE alice');
    // The connection that has them is taken, and stays so: others get those first to which nobody returns.
    const processOf = async (of: WireClient) => (await of.query('SELECT pg_backend_pid()')).rows[0]?.[0];
    const process = await processOf(client);
    for (let tries = 0; tries < 4; tries++) {
      const holder = await connect();
      holders.push(holder);
      await holder.query('BEGIN');
      if ((await processOf(holder)) !== process) continue;
      for (const other of holders.splice(0, holders.length - 1)) other.destroy();
      break;
    }
    return [['alice', value]];
  }

  test.each([0, 1, 60])('behind %i bytes: a read is run elsewhere', async (bytes) => {
    using client = await connect();
    const settings = await setAside(client);
    cutOnce('set_config', bytes);
    expect(await settingsOf(client)).toEqual(settings);
    expect(relay.rule).toBeNull();
  });

  test.each([0, 1, 60])('behind %i bytes: of a write nothing is known, and the session goes on', async (bytes) => {
    using client = await connect();
    const settings = await setAside(client);
    cutOnce('set_config', bytes);
    expect(await fate(client, 'INSERT INTO notes VALUES (5)')).toBe('08007');
    expect(client.status).toBe('I');
    expect(await settingsOf(client)).toEqual(settings);
    expect(await cluster.primary.query('SELECT n FROM notes')).toEqual([]);
  });

  test('by themselves, and the work waits for them to hold: it is not sent, and the session goes on', async () => {
    using client = await connect();
    const settings = await setAside(client);
    cutAnswerTo('set_config', 4);
    const first = await fate(client, 'BEGIN; INSERT INTO notes VALUES (6); COMMIT');
    expect(['COMMIT', '08006', '08007']).toContain(first);
    expect(client.status).toBe('I');
    expect(await settingsOf(client)).toEqual(settings);
    expect(await cluster.primary.query('SELECT n FROM notes')).toEqual(first === 'COMMIT' ? [{ n: 6 }] : []);
  });
});

describe('a connection is lost while it is asked what was left on it', () => {
  test.each([
    ['the question', (text: string) => cutOnce(text, 20)],
    ['the answer', (text: string) => cutAnswerTo(text, 20)],
  ])('%s: what the statement did is not forgotten in silence', async (_what, cut) => {
    using client = await connect();
    cut('pg_my_temp_schema');
    expect(await fate(client, 'CREATE TEMP TABLE mine (n int)')).toBe('CREATE TABLE');
    await expectStateLost(client, 'state unknown');
  });

  test('inside a transaction that was rolled back: nothing was left, and the session goes on', async () => {
    using client = await connect();
    await client.query('BEGIN');
    await client.query('CREATE TEMP TABLE mine (n int)');
    const { rows } = await client.query('SELECT pg_backend_pid()');
    await cluster.primary.query(`SELECT pg_terminate_backend(${rows[0]?.[0]})`);
    expect(await fate(client, 'SELECT 1')).toBe('08006');
    expect(await fate(client, 'ROLLBACK')).toBe('ROLLBACK');
    expect(await fate(client, 'SELECT * FROM mine')).toBe('42P01');
  });
});

describe('a pinned connection that cannot be given the settings of its session ends the session', () => {
  test.each(['SELECT * FROM mine', 'COMMIT; SELECT * FROM mine'])('before %s', async (text) => {
    await using narrow = await startPgweir(cluster, `backends: [ "127.0.0.1:${relay.port}" ]\npool: { max_per_backend: 1 }`);
    using opener = await connect({ application_name: 'opener' }, narrow);
    await opener.query('INSERT INTO notes VALUES (1)');
    using client = await connect({ application_name: 'another' }, narrow);
    await client.query('CREATE TEMP TABLE mine (n int)');
    // Behind it the connection has the name that it was opened with.
    await client.query('RESET ALL');
    relay.rule = ({ text: said, chunk }) =>
      said.includes("E'application_name', E'another'")
        ? Buffer.from(said.replaceAll('set_config', 'set_confit'), 'latin1')
        : chunk;
    client.send(clientMessage('Query', text));
    await expectStateLost(client, 'temporary object');
  });
});
