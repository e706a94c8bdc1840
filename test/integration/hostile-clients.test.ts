import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { FakeBackend } from '../support/fake-backend.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { backendMessage, clientMessage } from '../support/transcript.ts';
import { connectPg, expectWholePools, until, WHERE } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/** Peers that are broken, clumsy or worse: each gets a clear answer or the end of its connection, and nobody else notices. */
let cluster: Cluster;
let pgweir: Pgweir;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 });
  await cluster.primary.query(`CREATE TABLE notes (n int); CREATE ROLE secretive LOGIN PASSWORD 'open sesame';
    CREATE ROLE nologin; CREATE ROLE limited LOGIN CONNECTION LIMIT 0`);
  await cluster.waitForReplay();
  pgweir = await startPgweir(cluster, 'limits: { login_timeout: 500ms }');
});

afterAll(async () => {
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

afterEach(async () => {
  // Whatever happened: others are served, and everything is given back.
  using bystander = await connect();
  expect((await bystander.query('SELECT 1')).rows).toEqual([['1']]);
  expect((await bystander.query('INSERT INTO notes VALUES (1)')).tags).toEqual(['INSERT 0 1']);
  await expectWholePools(pgweir, cluster);
});

function connect(options: { database?: string; user?: string; timeoutMs?: number } = {}): Promise<WireClient> {
  return WireClient.connect({ host: pgweir.host, port: pgweir.port, database: 'postgres', timeoutMs: 20_000, ...options });
}

function open(): Promise<WireClient> {
  return WireClient.open({ host: pgweir.host, port: pgweir.port, timeoutMs: 20_000 });
}

/** Numbers that look like chance and are the same in every run (mulberry32). */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function garbage(length: number, random: () => number): Buffer {
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}

/** Everything up to the first ReadyForQuery. */
const GREETING = [
  backendMessage('Authentication', 0, ''),
  backendMessage('ParameterStatus', 'server_version', '18.0'),
  backendMessage('ParameterStatus', 'client_encoding', 'UTF8'),
  backendMessage('ParameterStatus', 'standard_conforming_strings', 'on'),
  backendMessage('BackendKeyData', 1, '\0\0\0\x01'),
  backendMessage('ReadyForQuery', 'I'),
];

describe('before the login', () => {
  const startup = clientMessage('StartupMessage', '3.0', 'user', 'postgres', 'database', 'postgres');
  test.each([
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
    ['zeros', Buffer.alloc(64)],
    ['the greatest length', Buffer.from('ffffffff00030000', 'hex')],
    ['a length of two gigabytes', Buffer.from('7fffffff00030000', 'hex')],
    ['a length of nothing', Buffer.from('0000000000030000', 'hex')],
    ['a length shorter than its own field', Buffer.from('0000000300030000', 'hex')],
    ['a packet without its final zero', Buffer.from('000000100003000075736572', 'hex')],
    ['a user without a name', clientMessage('StartupMessage', '3.0', 'user', '')],
    ['no user', clientMessage('StartupMessage', '3.0', 'database', 'postgres')],
    ['an unknown version', clientMessage('StartupMessage', '9.0', 'user', 'postgres')],
    ['a query', clientMessage('Query', 'SELECT 1')],
    ['SSLRequest again and again', Buffer.concat(Array.from({ length: 50 }, () => clientMessage('SSLRequest')))],
    ['a cancel request that is too long', Buffer.concat([Buffer.from('0000ffff04d2162e', 'hex'), Buffer.alloc(65_527)])],
  ])('%s ends the connection', async (_what, bytes) => {
    using client = await open();
    client.send(bytes);
    await client.receiveUntilClosed();
  });

  test('chance bytes of any length end the connection, at the latest when the time to log in is over', async () => {
    const random = chance(1);
    await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const socket = net.connect(pgweir.port, pgweir.host);
        socket.on('error', () => undefined);
        socket.resume();
        socket.write(garbage(1 + index * 7, random));
        await once(socket, 'close');
      }),
    );
  });

  test('who says nothing, or not all, is sent away when the time to log in is over', async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, open));
    for (const [index, client] of clients.entries()) client.send(startup.subarray(0, index));
    await Promise.all(clients.map((client) => client.receiveUntilClosed()));
  });

  test('who leaves at any byte of its login leaves nothing behind', async () => {
    for (let cut = 0; cut <= startup.length; cut += 3) {
      const client = await open();
      client.send(startup.subarray(0, cut));
      if (cut % 2 === 0) client.end();
      else client.destroy();
    }
    await until('nobody is logging in', async () => (await pgweir.metric('pgweir_clients{state="login"}')) === 0);
  });
});

describe('PostgreSQL says itself why it takes no login', () => {
  test.each([
    ['an unknown database', { database: 'nowhere' }, '3D000'],
    ['an unknown role', { user: 'nobody' }, '28000'],
    ['a role that must not log in', { user: 'nologin' }, '28000'],
    ['a role whose connections are limited', { user: 'limited' }, '53300'],
  ])('%s', async (_what, options, sqlstate) => {
    await expect(connect(options)).rejects.toMatchObject({ sqlstate, fields: { severity: 'FATAL' } });
  });

  test('a startup parameter that does not exist, and one with a bad value', async () => {
    const { host, port } = pgweir;
    const base = { host, port, database: 'postgres' };
    await expect(WireClient.connect({ ...base, parameters: { no_such_thing: '1' } })).rejects.toMatchObject({
      sqlstate: '42704',
    });
    await expect(WireClient.connect({ ...base, parameters: { work_mem: 'lots' } })).rejects.toMatchObject({ sqlstate: '22023' });
  });
});

describe('behind the login', () => {
  test.each([
    ['an unknown message', Buffer.from('7a00000004', 'hex')],
    ['a length shorter than its own field', Buffer.from('5100000003', 'hex')],
    ['a negative length', Buffer.from('51ffffffff', 'hex')],
    ['a length beyond all limits', Buffer.from('507fffffff', 'hex')],
    ['a password that nobody asked for', clientMessage('Password', 'secret\0')],
  ])('%s ends the connection with 08P01', async (_what, bytes) => {
    using client = await connect();
    client.send(bytes);
    const messages = await client.receiveUntilClosed();
    expect(messages.at(-1)?.args[0]).toMatchObject({ C: '08P01', S: 'FATAL' });
  });

  test.each([
    ['outside a transaction', 'SELECT 1'],
    ['inside one', 'BEGIN; INSERT INTO notes VALUES (1)'],
  ])('chance bytes %s end the connection or are answered as PostgreSQL would', async (_where, sql) => {
    const random = chance(2);
    for (let round = 0; round < 30; round++) {
      using client = await connect();
      await client.query(sql);
      client.send(garbage(200, random));
      client.end();
      await client.receiveUntilClosed();
    }
  });

  test('messages whose insides are broken are answered by PostgreSQL, and the connection lives', async () => {
    using client = await connect();
    for (const broken of ['50000000056100', '4200000005ff', '4400000004', '43000000055300', '450000000401', '4400000006530000']) {
      client.send(Buffer.from(broken, 'hex').subarray(0), clientMessage('Sync'));
      const end = await Promise.race([client.receiveUntilReady(), client.receiveUntilClosed()]).catch(() => []);
      if (client.closed) return;
      expect(end.at(-1)?.name).toBe('ReadyForQuery');
    }
  });
});

describe('a client that stops reading', () => {
  test('and leaves ends the statement: the backend does not go on sending to nobody', async () => {
    const slow = await connect();
    const sql = "SELECT repeat('z', 1000000) FROM generate_series(1, 100000)";
    slow.send(clientMessage('Query', sql));
    await slow.receive(1);
    slow.pause();
    await sleep(100);
    slow.destroy();
    await until('the statement to end', async () => {
      const running = `SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT repeat(''z''%' AND state = 'active'`;
      return (await Promise.all(cluster.nodes.map((node) => node.query(running)))).every((rows) => rows.length === 0);
    });
  });
});

describe('a client that is gone at any moment', () => {
  const batch = [
    clientMessage('Parse', 'p', 'INSERT INTO notes VALUES ($1)', []),
    clientMessage('Bind', '', 'p', [], ['7'], []),
    clientMessage('Describe', 'P', ''),
    clientMessage('Execute', '', 0),
    clientMessage('Flush'),
    clientMessage('Close', 'S', 'p'),
    clientMessage('Sync'),
  ];
  const scenes: [string, Buffer[]][] = [
    ['of a query', [clientMessage('Query', 'SELECT 1'), clientMessage('Query', 'INSERT INTO notes VALUES (2)')]],
    ['of a batch', batch],
    ['of a transaction', [clientMessage('Query', 'BEGIN'), clientMessage('Query', 'INSERT INTO notes VALUES (3)'), ...batch]],
    [
      'of a COPY',
      [
        clientMessage('Query', 'COPY notes FROM STDIN'),
        clientMessage('CopyData', '1\n'),
        clientMessage('CopyData', '2\n'),
        clientMessage('CopyDone'),
      ],
    ],
    [
      'of a settings change',
      [clientMessage('Query', "SET work_mem = '9MB'"), clientMessage('Query', "SELECT set_config('work_mem', '8MB', false)")],
    ],
    [
      'of residue',
      [
        clientMessage('Query', 'CREATE TEMP TABLE t (n int)'),
        clientMessage('Query', 'SELECT pg_advisory_lock(5)'),
        clientMessage('Query', 'LISTEN x'),
      ],
    ],
  ];

  test.each(scenes)('%s: at each message boundary and inside each message', async (_what, messages) => {
    const stream = Buffer.concat(messages);
    const cuts = new Set<number>();
    let at = 0;
    for (const message of messages) {
      for (const cut of [at, at + 1, at + 3, at + 5, at + Math.floor(message.length / 2), at + message.length - 1]) cuts.add(cut);
      at += message.length;
    }
    cuts.add(stream.length);
    const ends = ['destroy', 'end'] as const;
    for (const cut of cuts) {
      for (const [index, how] of ends.entries()) {
        const client = await connect();
        client.send(stream.subarray(0, cut));
        await sleep((cut + index) % 3);
        client[how]();
      }
    }
    await until('all are gone', async () => (await pgweir.metricSum('pgweir_clients')) === 0);
    await expectWholePools(pgweir, cluster);
    const locks = "SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory'";
    expect(await cluster.primary.query(locks)).toEqual([{ n: 0 }]);
  });

  test.each([
    ['a read', ['SELECT 1 FROM pg_sleep(0.2)']],
    ['a write', ['INSERT INTO notes SELECT 77 FROM pg_sleep(0.2)']],
    ['a pipeline', ['SELECT 1 FROM pg_sleep(0.2)', 'INSERT INTO notes VALUES (78)', 'SELECT 2']],
    ['a transaction', ['BEGIN', 'INSERT INTO notes VALUES (79)', 'SELECT 1', 'COMMIT']],
  ])('a client that only closes its half gets the answer to what it asked before: %s', async (_what, texts) => {
    using client = await connect();
    client.send(...texts.map((text) => clientMessage('Query', text)));
    client.end();
    const heard = await client.receiveUntilClosed();
    expect(heard.filter(({ name }) => name === 'ReadyForQuery').length).toBe(texts.length);
    expect(heard.filter(({ name }) => name === 'ErrorResponse')).toEqual([]);
  });

  test.each([
    // Nobody has come with this before.
    ['a first connection like it', { geqo: 'off' }],
    ['a connection for replication', { replication: 'true' }],
  ])('a client that closes its half while its login waits for %s is let go', async (_what, parameters) => {
    using client = await WireClient.open({ host: pgweir.host, port: pgweir.port, database: 'postgres', parameters });
    client.send(client.startupMessage());
    client.end();
    await client.receiveUntilClosed();
  });

  test('a client that goes on after its request to cancel is not kept', async () => {
    const socket = net.connect({ host: pgweir.host, port: pgweir.port, allowHalfOpen: true });
    socket.write(Buffer.concat([clientMessage('CancelRequest', 1, Buffer.alloc(4)), clientMessage('Query', 'SELECT 1')]));
    // It never closes its half, so it hears by a reset that the other end is gone.
    const writing = setInterval(() => socket.write('x'), 50);
    try {
      await expect(once(socket, 'close')).rejects.toThrow(/ECONNRESET|EPIPE/);
    } finally {
      clearInterval(writing);
      socket.destroy();
    }
  });

  test('a client that closes its half in the middle of a message, of a batch or of a COPY is let go', async () => {
    const copy = [clientMessage('Query', 'COPY notes FROM STDIN'), clientMessage('CopyData', '1\n')];
    const batch = [clientMessage('Parse', '', 'INSERT INTO notes VALUES (80)', []), clientMessage('Bind', '', '', [], [], [])];
    const cut = clientMessage('Query', 'INSERT INTO notes VALUES (81)').subarray(0, 20);
    for (const messages of [copy, batch, [...batch, clientMessage('Flush')], [cut], [clientMessage('Query', 'BEGIN')]]) {
      using client = await connect();
      client.send(...messages);
      client.end();
      await client.receiveUntilClosed();
    }
    expect(await cluster.primary.query('SELECT n FROM notes WHERE n IN (80, 81)')).toEqual([]);
  });
});

describe('a backend that answers nonsense', () => {
  const random = chance(3);
  test.each([
    ['garbage at once', [garbage(300, random)], []],
    ['HTTP', [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')], []],
    ['an unknown authentication', [backendMessage('Authentication', 99, '')], []],
    ['nothing', [], []],
    ['garbage to a query', GREETING, [garbage(300, random)]],
    ['a ReadyForQuery too many', GREETING, [backendMessage('ReadyForQuery', 'I'), backendMessage('ReadyForQuery', 'I')]],
    ['a row of two gigabytes', GREETING, [Buffer.from('447fffffff', 'hex'), garbage(1000, random)]],
    ['a length shorter than its own field', GREETING, [Buffer.from('4400000001', 'hex')]],
    ['an error without fields', GREETING, [Buffer.from('450000000500', 'hex'), backendMessage('ReadyForQuery', 'I')]],
  ])('%s: other backends serve, and nothing is left open', async (_what, login, reply) => {
    await using fake = await FakeBackend.start(async (conversation) => {
      let packet = await conversation.hearPacket();
      // TLS is asked for first; this backend has none.
      while (packet.readInt32BE(4) === 80877103) {
        conversation.send(Buffer.from('N'));
        packet = await conversation.hearPacket();
      }
      conversation.send(...login);
      for (;;) {
        await conversation.hearMessage();
        conversation.send(...reply);
      }
    });
    const nodes = [
      ...cluster.nodes.map(({ name, port }) => `{ name: ${name}, address: "127.0.0.1:${port}" }`),
      `{ name: fake, address: "127.0.0.1:${fake.port}" }`,
    ];
    await using front = await startPgweir(cluster, `backends: [ ${nodes.join(', ')} ]`);
    const client = await connectPg(front.port);
    for (let round = 0; round < 5; round++) {
      expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await client.query('INSERT INTO notes VALUES (1)');
    }
    expect(await front.metric('pgweir_backend_up{backend="fake",role="unknown"}')).toBe(0);
    await client.end();
    await expectWholePools(front, cluster);
  });
});

describe('a replica that answers nonsense to sessions only', () => {
  const random = chance(4);
  const row = backendMessage('DataRow', ['1']);
  test.each([
    ['garbage to a query', garbage(300, random)],
    ['a row of two gigabytes', Buffer.concat([Buffer.from('447fffffff', 'hex'), garbage(1000, random)])],
    ['a length shorter than its own field', Buffer.from('4400000001', 'hex')],
    ['half a row, and the end', Buffer.concat([row, row.subarray(0, 7)])],
    ['an answer without ReadyForQuery, and the end', Buffer.concat([row, backendMessage('CommandComplete', 'SELECT 1')])],
    ['a FATAL error, and the end', backendMessage('ErrorResponse', { S: 'FATAL', V: 'FATAL', C: 'XX000', M: 'no' })],
    ['a PANIC without a word', backendMessage('ErrorResponse', { V: 'PANIC' })],
    ['a request for COPY data, and the end', backendMessage('CopyInResponse', 0, [])],
  ])('%s: reads are answered elsewhere', async (_what, reply) => {
    const replica = cluster.replicas[0];
    let nonsense = 0;
    await using fake = await FakeBackend.start(async (conversation) => {
      let packet = await conversation.hearPacket();
      while (packet.readInt32BE(4) === 80877103) {
        conversation.send(Buffer.from('N'));
        packet = await conversation.hearPacket();
      }
      if (packet.includes('pgweir ')) {
        const upstream = net.connect(replica?.port ?? 0, '127.0.0.1');
        upstream.on('error', () => undefined);
        upstream.on('close', () => conversation.socket.destroy());
        conversation.socket.on('close', () => upstream.destroy());
        upstream.write(packet);
        conversation.socket.pipe(upstream).pipe(conversation.socket);
        return;
      }
      conversation.send(...GREETING);
      await conversation.hearMessage();
      nonsense++;
      conversation.send(reply);
      conversation.socket.end();
    });
    const { name, port } = cluster.primary;
    const nodes = `{ name: ${name}, address: "127.0.0.1:${port}" }, { name: fake, address: "127.0.0.1:${fake.port}" }`;
    await using front = await startPgweir(cluster, `backends: [ ${nodes} ]`);
    await until('it counts as a replica', async () => (await front.metricSum('pgweir_backend_problem')) === 0);
    const client = await connectPg(front.port);
    for (let round = 0; round < 10; round++) expect((await client.query(WHERE)).rows).toEqual([{ port }]);
    await client.end();
    expect(nonsense).toBeGreaterThan(0);
    await expectWholePools(front, cluster);
  });
});

describe('no backend at the start', () => {
  test('logins are refused with 57P03', async () => {
    const gone = `backends: [ { name: gone, address: "127.0.0.1:1" } ]`;
    await using front = await startPgweir(cluster, gone);
    const { host, port } = front;
    await expect(WireClient.connect({ host, port, database: 'postgres' })).rejects.toMatchObject({ sqlstate: '57P03' });
    expect((await fetch(`http://127.0.0.1:${front.httpPort}/readyz`)).status).toBe(503);
  });

  test('one of several that is unreachable is no obstacle', async () => {
    const nodes = cluster.nodes.map(({ name, port }) => `{ name: ${name}, address: "127.0.0.1:${port}" }`);
    await using front = await startPgweir(cluster, `backends: [ { name: gone, address: "127.0.0.1:1" }, ${nodes.join(', ')} ]`);
    const client = await connectPg(front.port);
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await client.end();
  });
});

test('a wrong password is refused in the words of PostgreSQL, for a role that exists and for one that does not', async () => {
  await using front = await startPgweir(
    cluster,
    "auth: { rules: [ { method: scram-sha-256 } ], users: [ { name: secretive, password: 'open sesame' } ] }",
  );
  const { host, port } = front;
  const base = { host, port, database: 'postgres' };
  for (const user of ['secretive', 'nobody']) {
    await expect(WireClient.connect({ ...base, user, password: 'guess' })).rejects.toMatchObject({
      sqlstate: '28P01',
      message: expect.stringContaining(`password authentication failed for user "${user}"`),
    });
  }
  using client = await WireClient.connect({ ...base, user: 'secretive', password: 'open sesame' });
  expect((await client.query('SELECT current_user')).rows).toEqual([['secretive']]);
});
