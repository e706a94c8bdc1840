import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import pg from 'pg';
import postgres from 'postgres';
import { describe, expect, test } from 'vitest';
import { encodePassword, encodeQuery } from '../../src/protocol/frontend-encoders.ts';
import { encodeStartup, SSL_REQUEST } from '../../src/protocol/startup-messages.ts';
import { ListenerTls, type ListenerTlsSettings } from '../../src/server/tls.ts';
import { Secret } from '../../src/util/secret.ts';
import { certificatePath } from '../support/certificates.ts';
import { LoginRelay, type RelayOptions } from '../support/login-relay.ts';
import { WireClient, type WireOptions } from '../support/wire-client.ts';

const authority = readFileSync(certificatePath('authority.pem'));
const users = [{ name: 'app', password: Secret.from('right'), verifier: null }];
/** Comes with PostgreSQL, which need not be installed here. */
const hasPsql = spawnSync('psql', ['--version']).error === undefined;
const STARTUP = encodeStartup(0x0003_0000, [
  ['user', 'app'],
  ['database', 'db'],
]);

describe('clients over TLS', () => {
  test.each(['server', 'ecdsa-sha384', 'ed25519'])(
    'log in with a certificate like %s: node-postgres, with and without channel binding',
    async (name) => {
      await using relay = await relayWith(name);
      for (const enableChannelBinding of [true, false]) {
        const client = new pg.Client({
          ...target(relay),
          user: 'app',
          password: 'right',
          database: 'db',
          ssl: { ca: readFileSync(certificatePath(`${name === 'server' ? 'authority' : name}.pem`)), servername: 'localhost' },
          enableChannelBinding,
        });
        await client.connect();
        client.on('error', () => undefined);
        // There is nothing behind the login here; a client that waits for its Terminate to be heard would wait for long.
        void client.end();
      }
      expect(relay.outcomes).toMatchObject([
        { kind: 'session', tls: true },
        { kind: 'session', tls: true },
      ]);
    },
  );

  test.skipIf(!hasPsql)('log in with psql, which insists on channel binding where it can', async () => {
    for (const [name, binding, works] of [
      ['server', 'require', true],
      ['ecdsa-sha384', 'require', true],
      ['ed25519', 'require', false],
      ['ed25519', 'prefer', true],
      ['server', 'disable', true],
    ] as const) {
      await using relay = await relayWith(name);
      const conninfo = `host=${relay.host} port=${relay.port} user=app dbname=db sslmode=require channel_binding=${binding} connect_timeout=5`;
      const child = spawn('psql', ['-XAtc', '', conninfo], { env: { ...process.env, PGPASSWORD: 'right' }, stdio: 'ignore' });
      while (relay.outcomes.length === 0) await sleep(5);
      child.kill();
      expect([name, binding, relay.outcomes[0]?.kind]).toEqual([name, binding, works ? 'session' : 'closed']);
    }
  });

  test('log in with postgres.js', async () => {
    await using relay = await relayWith('server');
    const sql = postgres({
      ...target(relay),
      user: 'app',
      password: 'right',
      database: 'db',
      ssl: { ca: authority, servername: 'localhost' },
      fetch_types: false,
      connect_timeout: 3,
    });
    void sql`SELECT 1`.catch(() => undefined);
    while (relay.outcomes.length === 0) await sleep(5);
    expect(relay.outcomes).toMatchObject([{ kind: 'session', tls: true, user: 'app' }]);
    await sql.end({ timeout: 0 });
  });

  test('log in directly, without an SSLRequest, when ALPN names the protocol', async () => {
    await using relay = await relayWith('server');
    using client = await WireClient.connect({ ...wire(relay), ssl: 'direct' });
    expect(relay.outcomes).toMatchObject([{ kind: 'session', tls: true }]);
    expect(client.status).toBe('I');
  });

  test.each([
    ['no ALPN', []],
    ['another protocol', ['http/1.1']],
  ])('that begin directly with %s are refused', async (_, ALPNProtocols) => {
    await using relay = await relayWith('server');
    const socket = tls.connect({ ...target(relay), rejectUnauthorized: false, ALPNProtocols });
    await closed(socket);
    expect(relay.outcomes).toMatchObject([{ kind: 'closed', reason: expect.stringMatching(/^TLS: /) }]);
  });

  test('can be required to encrypt, and are told so otherwise', async () => {
    await using relay = await relayWith('server', { mode: 'require' });
    using plain = await WireClient.open(wire(relay));
    plain.send(plain.startupMessage());
    const [error] = await plain.receiveUntilClosed();
    expect(error?.args).toEqual([
      expect.objectContaining({ S: 'FATAL', C: '28000', M: 'this server takes encrypted connections only' }),
    ]);
    using encrypted = await WireClient.connect({ ...wire(relay), ssl: 'request' });
    expect(encrypted.status).toBe('I');
  });

  test('can be required to show a certificate of the right authority', async () => {
    await using relay = await relayWith('server', { mode: 'verify-client', caFile: certificatePath('authority.pem') });
    const show = (name: string) => ({
      cert: readFileSync(certificatePath(`${name}.pem`)),
      key: readFileSync(certificatePath(`${name}.key`)),
    });
    using known = await WireClient.connect({ ...wire(relay), ssl: 'request', tlsOptions: show('client') });
    expect(known.status).toBe('I');
    for (const tlsOptions of [show('unknown-client'), {}]) {
      for (const ssl of ['request', 'direct'] as const) {
        await expect(WireClient.connect({ ...wire(relay), ssl, tlsOptions })).rejects.toThrow();
      }
    }
    expect(relay.outcomes.slice(1).map((outcome) => outcome.kind === 'closed' && outcome.reason.slice(0, 4))).toEqual(
      Array(4).fill('TLS:'),
    );
    using plain = await WireClient.open(wire(relay));
    plain.send(plain.startupMessage());
    expect((await plain.receiveUntilClosed())[0]?.args).toEqual([expect.objectContaining({ C: '28000' })]);
  });

  test('are told N where there is no TLS, and go on in plain text', async () => {
    await using relay = await LoginRelay.start({ users });
    using client = await WireClient.open(wire(relay));
    client.send(SSL_REQUEST);
    expect((await client.receiveBytes(1)).toString()).toBe('N');
    client.send(client.startupMessage());
    expect((await client.receive(1))[0]?.name).toBe('Authentication');
  });

  test('that are connected do not notice a new certificate; the next ones see it, and a broken one changes nothing', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pgweir-tls-'));
    try {
      const [certFile, keyFile] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
      const install = (name: string) => {
        copyFileSync(certificatePath(`${name}.pem`), certFile);
        copyFileSync(certificatePath(`${name}.key`), keyFile);
      };
      install('server');
      const listener = new ListenerTls({ certFile, keyFile, caFile: null, mode: 'allow' });
      await using relay = await LoginRelay.start({ users, tls: listener });
      using early = await WireClient.connect({ ...wire(relay), ssl: 'request' });
      expect(await subjectSeenBy(relay)).toBe('localhost');
      install('elsewhere');
      expect(await subjectSeenBy(relay)).toBe('localhost');
      listener.reload();
      expect(await subjectSeenBy(relay)).toBe('elsewhere.example');
      writeFileSync(keyFile, 'no key');
      expect(() => listener.reload()).toThrow();
      expect(await subjectSeenBy(relay)).toBe('elsewhere.example');
      copyFileSync(certificatePath('server.key'), keyFile);
      expect(() => listener.reload()).toThrow(/key values mismatch/);
      expect(early.closed).toBe(false);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test.each([
    ['a file that is not there', { certFile: '/no/such/file' }],
    ['a key of another certificate', { keyFile: certificatePath('client.key') }],
    ['a file that is no certificate', { certFile: certificatePath('server.key') }],
  ])('cannot be served with %s', (_, settings) => {
    expect(() => listenerTls('server', settings)).toThrow();
  });
});

describe('what was sent before TLS stood', () => {
  test.each([
    [
      'a startup packet behind an SSLRequest',
      Buffer.concat([SSL_REQUEST, STARTUP, encodePassword('right'), encodeQuery('DROP TABLE x')]),
    ],
    ['one byte behind an SSLRequest', Buffer.concat([SSL_REQUEST, Buffer.from('x')])],
    ['an SSLRequest behind an SSLRequest', Buffer.concat([SSL_REQUEST, SSL_REQUEST])],
  ])('%s: the connection is closed, and nothing of it is looked at', async (_, bytes) => {
    await using relay = await relayWith('server');
    using client = await WireClient.open(wire(relay));
    client.send(bytes);
    expect((await client.receiveUntilClosed()).map(({ name }) => name)).toEqual(['ErrorResponse']);
    expect(relay.outcomes).toMatchObject([{ kind: 'closed', reason: 'received unencrypted data after SSL request' }]);
    expect(relay.log.join()).not.toContain('"user":"app"');
  });

  test('plain text that comes while TLS begins is not read as if it had been encrypted', async () => {
    await using relay = await relayWith('server');
    for (const pauses of [[0], [1], [5], [20]]) {
      const socket = net.connect(relay.port, relay.host);
      socket.on('error', () => undefined);
      socket.write(SSL_REQUEST);
      await sleep(pauses[0]);
      socket.write(STARTUP);
      socket.resume();
      await closed(socket);
    }
    expect(relay.outcomes.map(({ kind }) => kind)).toEqual(Array(4).fill('closed'));
  });

  test('plain text between ClientHello and the rest of the handshake ends it', async () => {
    await using relay = await relayWith('server');
    for (const before of [[], [SSL_REQUEST]]) {
      const socket = net.connect(relay.port, relay.host);
      socket.on('error', () => undefined);
      for (const bytes of before) socket.write(bytes);
      await sleep(20);
      socket.write(Buffer.concat([clientHello(), STARTUP]));
      socket.resume();
      await closed(socket);
    }
    expect(relay.outcomes.map(({ kind }) => kind)).toEqual(['closed', 'closed']);
  });
});

describe('a client that stalls is cut off when its time is over, and others do not notice', () => {
  const stalls: [string, Buffer[]][] = [
    ['before its first byte', []],
    ['after one byte', [Buffer.of(0)]],
    ['after seven bytes', [SSL_REQUEST.subarray(0, 7)]],
    ['after an SSLRequest', [SSL_REQUEST]],
    ['in the middle of its ClientHello', [SSL_REQUEST, clientHello().subarray(0, 40)]],
    ['in the middle of a direct ClientHello', [clientHello().subarray(0, 40)]],
    ['in the middle of its startup packet', [STARTUP.subarray(0, 12)]],
    ['when asked for its password', [STARTUP]],
    ['in the middle of SASL', [STARTUP, Buffer.from('p\0\0\0\x27SCRAM-SHA-256\0', 'latin1')]],
  ];

  test.each(stalls)('%s', async (_, pieces) => {
    await using relay = await relayWith('server', {}, { loginTimeoutMs: 250 });
    const socket = net.connect(relay.port, relay.host);
    socket.on('error', () => undefined);
    const began = performance.now();
    for (const piece of pieces) {
      socket.write(piece);
      await sleep(20);
    }
    const received: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => received.push(chunk));
    using other = await WireClient.connect(wire(relay));
    await closed(socket);
    expect(performance.now() - began).toBeGreaterThan(200);
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(other.closed).toBe(false);
    // Our own side hears of the end a moment later.
    while (relay.acceptor.logins > 0 && performance.now() - began < 2_000) await sleep(5);
    expect(relay.acceptor.logins).toBe(0);
    expect(relay.outcomes.at(-1)).toMatchObject({ kind: 'closed', reason: 'login timeout' });
    if (pieces[0] === STARTUP) expect(Buffer.concat(received).toString('latin1')).toContain('57014');
  });

  test('no more than so many at a time, and room again when they are gone', async () => {
    await using relay = await relayWith('server', {}, { loginTimeoutMs: 400, maxLogins: 3 });
    const idle = [1, 2, 3].map(() => net.connect(relay.port, relay.host).on('error', () => undefined));
    while (relay.acceptor.logins < 3) await sleep(5);
    using refused = await WireClient.open(wire(relay));
    const [error] = await refused.receiveUntilClosed();
    expect(error?.args).toEqual([expect.objectContaining({ C: '53300', M: 'sorry, too many clients already' })]);
    await Promise.all(idle.map((socket) => closed(socket.resume())));
    using welcome = await WireClient.connect(wire(relay));
    expect(welcome.status).toBe('I');
  });

  test('a client that goes away at any point leaves nothing behind', async () => {
    await using relay = await relayWith('server');
    for (const [, pieces] of stalls) {
      for (const how of ['end', 'resetAndDestroy'] as const) {
        const socket = net.connect(relay.port, relay.host);
        socket.on('error', () => undefined);
        for (const piece of pieces) {
          socket.write(piece);
          await sleep(10);
        }
        await sleep(10);
        socket[how]();
        socket.resume();
      }
    }
    while (relay.outcomes.length < 2 * stalls.length || relay.open > 0) await sleep(5);
    expect(relay.acceptor.logins).toBe(0);
    expect(new Set(relay.outcomes.map(({ kind }) => kind))).toEqual(new Set(['closed']));
    using client = await WireClient.connect(wire(relay));
    expect(client.status).toBe('I');
  });
});

test('garbage of any kind harms nobody else', async () => {
  await using relay = await relayWith('server', {}, { loginTimeoutMs: 1_000 });
  using good = await WireClient.connect(wire(relay));
  const garbage = [
    Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    Buffer.alloc(100_000, 0xff),
    Buffer.alloc(100_000),
    Buffer.from([0x16, 3, 1, 0xff, 0xff, ...Buffer.alloc(70_000, 1)]),
    ...Array.from({ length: 256 }, (_, type) => Buffer.from([type, 0, 0, 0, 8, 0, 3, 0, 0])),
  ];
  for (const bytes of garbage) {
    const socket = net.connect(relay.port, relay.host);
    socket.on('error', () => undefined);
    socket.end(bytes);
    await closed(socket.resume());
  }
  using another = await WireClient.connect(wire(relay));
  expect([good.closed, another.status]).toEqual([false, 'I']);
  expect(relay.log.join()).not.toContain('client_login_bug');
});

function listenerTls(certificate: string, settings: Partial<ListenerTlsSettings> = {}): ListenerTls {
  return new ListenerTls({
    certFile: certificatePath(`${certificate}.pem`),
    keyFile: certificatePath(`${certificate}.key`),
    caFile: null,
    mode: 'allow',
    ...settings,
  });
}

function relayWith(
  certificate: string,
  settings: Partial<ListenerTlsSettings> = {},
  options: RelayOptions = {},
): Promise<LoginRelay> {
  return LoginRelay.start({ users, tls: listenerTls(certificate, settings), ...options });
}

function target(relay: LoginRelay): { host: string; port: number } {
  return { host: relay.host, port: relay.port };
}

function wire(relay: LoginRelay): WireOptions {
  return { ...target(relay), user: 'app', password: 'right', database: 'db' };
}

/** Common name of the certificate that a new client is shown. */
async function subjectSeenBy(relay: LoginRelay): Promise<string | undefined> {
  const socket = tls.connect({ ...target(relay), rejectUnauthorized: false, ALPNProtocols: ['postgresql'] });
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  const name = socket.getPeerX509Certificate()?.subject.replace('CN=', '');
  socket.destroy();
  return name;
}

/** A ClientHello as a client sends it. */
function clientHello(): Buffer {
  return recordedHello;
}

const recordedHello = await new Promise<Buffer>((resolve) => {
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (chunk: Buffer) => {
      resolve(chunk);
      socket.destroy();
      server.close();
    });
  });
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    tls.connect({ port, host: '127.0.0.1', ALPNProtocols: ['postgresql'] }).on('error', () => undefined);
  });
});

async function closed(socket: net.Socket): Promise<void> {
  socket.on('error', () => undefined);
  if (!socket.closed) await new Promise<void>((resolve) => socket.once('close', () => resolve()));
}
