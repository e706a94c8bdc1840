import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PasswordCredential } from '../../src/auth/credential.ts';
import { sendCancel } from '../../src/backend/cancel.ts';
import { type DialedBackend, type DialOptions, dialBackend } from '../../src/backend/dial.ts';
import { connectPg } from '../../src/backend/pg-client.ts';
import { type BackendTlsSettings, loadBackendTls, type SslMode } from '../../src/backend/tls.ts';
import { encodeQuery } from '../../src/protocol/frontend-encoders.ts';
import { ListenerTls } from '../../src/server/tls.ts';
import { realClock } from '../../src/util/real-clock.ts';
import { Secret } from '../../src/util/secret.ts';
import { certificatePath } from '../support/certificates.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { LoginRelay } from '../support/login-relay.ts';
import { PgweirProcess } from '../support/pgweir-process.ts';
import { until } from '../support/weather.ts';

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({
    replicas: 0,
    hba: [
      'hostssl all only_tls all scram-sha-256',
      'hostnossl all only_plain all scram-sha-256',
      'hostssl all app all cert',
      'host all scram all scram-sha-256',
    ],
    settings: { ssl: 'on', ssl_ca_file: 'root.crt' },
    files: { 'server.crt': pem('server.pem'), 'server.key': pem('server.key'), 'root.crt': pem('authority.pem') },
  });
  await cluster.primary.query(`
      CREATE ROLE only_tls LOGIN PASSWORD 'right'; CREATE ROLE only_plain LOGIN PASSWORD 'right';
      CREATE ROLE app LOGIN; CREATE ROLE scram LOGIN PASSWORD 'right';`);
});

afterAll(() => cluster?.[Symbol.asyncDispose]());

const good = certificatePath('authority.pem');
const bad = certificatePath('stranger.pem');

test.each<[SslMode, string | null, string, boolean | string]>([
  ['disable', null, '127.0.0.1', false],
  ['allow', null, '127.0.0.1', false],
  ['prefer', null, '127.0.0.1', true],
  ['require', null, '127.0.0.1', true],
  ['require', good, '127.0.0.1', true],
  ['require', bad, '127.0.0.1', 'certificate'],
  ['verify-ca', good, '127.0.0.1', true],
  ['verify-ca', good, 'localhost', true],
  ['verify-ca', bad, '127.0.0.1', 'certificate'],
  ['verify-ca', null, '127.0.0.1', 'certificate'],
  ['verify-full', good, '127.0.0.1', true],
  ['verify-full', good, 'localhost', true],
  ['verify-full', bad, 'localhost', 'certificate'],
])('sslmode=%s with the authority %s and host %s', async (mode, caFile, host, expected) => {
  const options = { host, port: cluster.primary.port, user: 'scram', tls: backendTls({ mode, caFile }) };
  const outcome = await dial(options).then(
    (dialed) => dialed.tls,
    (error: Error) => error.message,
  );
  if (typeof expected === 'string') expect(outcome).toContain(expected);
  else expect(outcome).toBe(expected);
  const viaPg = await connectPg({
    ...options,
    tls: () => options.tls,
    password: Secret.from('right'),
    database: 'postgres',
    timeoutMs: 2_000,
    applicationName: 'x',
  }).then(
    async (client) => {
      const { rows } = await client.query<{ ssl: boolean }>('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
      await client.end();
      return rows[0]?.ssl;
    },
    () => 'refused',
  );
  expect(viaPg).toBe(typeof expected === 'string' ? 'refused' : expected);
});

test.each<[SslMode, string, boolean | string]>([
  ['disable', 'only_tls', '28000'],
  ['allow', 'only_tls', true],
  ['allow', 'only_plain', false],
  ['prefer', 'only_tls', true],
  ['prefer', 'only_plain', false],
  ['require', 'only_plain', '28000'],
])('sslmode=%s as a user that pg_hba.conf knows as %s', async (mode, user, expected) => {
  const outcome = await dial({ user, tls: backendTls({ mode }) }).then(
    (dialed) => dialed.tls,
    (error: { sqlstate: string }) => error.sqlstate,
  );
  expect(outcome).toBe(expected);
});

test('a wrong password is tried once, not once with and once without TLS', async () => {
  const before = cluster.primary.log(10_000).split('password authentication failed').length;
  for (const mode of ['allow', 'prefer'] as const) {
    await expect(dial({ user: 'scram', tls: backendTls({ mode }), credential: password('wrong') })).rejects.toMatchObject({
      sqlstate: '28P01',
    });
  }
  expect(cluster.primary.log(10_000).split('password authentication failed').length - before).toBe(2);
});

test('a backend may ask for a certificate of pgweir', async () => {
  const shown = { certFile: certificatePath('client.pem'), keyFile: certificatePath('client.key') };
  expect((await dial({ user: 'app', tls: backendTls({ mode: 'require', ...shown }) })).tls).toBe(true);
  await expect(dial({ user: 'app', tls: backendTls({ mode: 'require' }) })).rejects.toMatchObject({ sqlstate: '28000' });
});

test.each(['disable', 'require'] as const)('a cancel request reaches its statement (%s)', async (mode) => {
  const dialed = await dialBackend(dialOptions({ user: 'scram', tls: backendTls({ mode }) }));
  try {
    const heard: Buffer[] = [];
    dialed.socket.onData((chunk) => heard.push(Buffer.from(chunk)));
    dialed.socket.resume();
    dialed.socket.write(encodeQuery('SELECT pg_sleep(30)'));
    await sleep(100);
    await sendCancel({
      host: '127.0.0.1',
      port: cluster.primary.port,
      ...dialed,
      tls: dialed.tls ? backendTls({ mode }) : null,
      timeoutMs: 2_000,
      clock: realClock,
    });
    while (!Buffer.concat(heard).includes('57014')) await sleep(5);
  } finally {
    dialed.socket.destroy();
  }
});

test('bytes pass whole in both directions', async () => {
  for (const mode of ['disable', 'require'] as const) {
    const dialed = await dialBackend(dialOptions({ user: 'scram', tls: backendTls({ mode }) }));
    try {
      let bytes = 0;
      let last: Buffer = Buffer.alloc(0);
      dialed.socket.onData((chunk) => {
        bytes += chunk.length;
        last = Buffer.concat([last, chunk]).subarray(-6);
        dialed.socket.pause();
        setImmediate(() => dialed.socket.resume());
      });
      dialed.socket.resume();
      dialed.socket.write(encodeQuery(`SELECT repeat('x', 1000) /* ${'y'.repeat(3_000_000)} */ FROM generate_series(1, 5000)`));
      while (last.toString('latin1') !== 'Z\0\0\0\x05I') await sleep(5);
      expect(bytes).toBeGreaterThan(5_000_000);
    } finally {
      dialed.socket.destroy();
    }
  }
});

test('a login through pgweir over TLS on both sides, with channel binding on both', async () => {
  await using relay = await LoginRelay.start({
    tls: new ListenerTls({
      certFile: certificatePath('server.pem'),
      keyFile: certificatePath('server.key'),
      caFile: null,
      mode: 'require',
    }),
    users: [{ name: 'scram', password: Secret.from('right'), verifier: null }],
    backend: cluster.primary,
    backendTls: backendTls({ mode: 'verify-full', caFile: good }),
  });
  const { host, port } = relay;
  const client = new pg.Client({
    ...{ host, port, user: 'scram', password: 'right', database: 'postgres' },
    ssl: { ca: pem('authority.pem') },
    enableChannelBinding: true,
  });
  await client.connect();
  expect((await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')).rows).toEqual([{ ssl: true }]);
  await client.end();
});

test("the monitor's next connection has the settings that a reload brought", async () => {
  await using pgweir = await PgweirProcess.start(cluster, 'backend_tls: { mode: disable }');
  const monitors = (select: string) =>
    cluster.primary.query(`SELECT ${select} FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
      WHERE application_name = 'pgweir monitor'`);
  expect(await monitors('ssl')).toEqual([{ ssl: false }]);
  pgweir.configure('backend_tls: { mode: require }');
  pgweir.signal('SIGHUP');
  await until('applied', () => pgweir.logged('reload_applied'));
  await monitors('pg_terminate_backend(pid)');
  await until('it is there again', async () => (await monitors('ssl')).some(({ ssl }) => ssl === true));
});

async function dial(options: Partial<DialOptions>): Promise<DialedBackend> {
  const dialed = await dialBackend(dialOptions(options));
  dialed.socket.destroy();
  return dialed;
}

function dialOptions(options: Partial<DialOptions>): DialOptions {
  return {
    host: '127.0.0.1',
    port: cluster.primary.port,
    user: 'scram',
    database: 'postgres',
    parameters: new Map(),
    credential: password('right'),
    tls: backendTls({ mode: 'prefer' }),
    timeoutMs: 3_000,
    clock: realClock,
    ...options,
  };
}

function password(text: string): PasswordCredential {
  return new PasswordCredential(Secret.from(text));
}

function backendTls(settings: Partial<BackendTlsSettings>) {
  return loadBackendTls({ mode: 'prefer', caFile: null, certFile: null, keyFile: null, ...settings });
}

function pem(name: string): string {
  return readFileSync(certificatePath(name), 'utf8');
}
