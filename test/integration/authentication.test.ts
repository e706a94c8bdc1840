import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Credential, PasswordCredential } from '../../src/auth/credential.ts';
import { md5Verifier } from '../../src/auth/md5.ts';
import { deriveScramKeys, parseScramVerifier } from '../../src/auth/scram-keys.ts';
import { type DialOptions, dialBackend } from '../../src/backend/dial.ts';
import { BackendLoginError } from '../../src/backend/login-error.ts';
import { RoleVerifiers, type RoleVerifiersOptions } from '../../src/backend/role-verifiers.ts';
import { loadBackendTls } from '../../src/backend/tls.ts';
import { realClock } from '../../src/util/real-clock.ts';
import { Secret } from '../../src/util/secret.ts';
import { silentTelemetry } from '../../src/util/telemetry.ts';
import { toWireText } from '../../src/util/wire-text.ts';
import { certificatePath } from '../support/certificates.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { LoginRelay, type RelayOptions } from '../support/login-relay.ts';
import { WireClient } from '../support/wire-client.ts';

const HBA = [
  'host all trusted all trust',
  'host all md5_role all md5',
  'host all plain_role all password',
  'host all rejected all reject',
  'host all all all scram-sha-256',
];
const plainText = loadBackendTls({ mode: 'disable', caFile: null, certFile: null, keyFile: null });
const encrypted = loadBackendTls({ mode: 'require', caFile: null, certFile: null, keyFile: null });

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({
    replicas: 1,
    hba: HBA,
    settings: { ssl: 'on', md5_password_warnings: 'off' },
    files: {
      'server.crt': readFileSync(certificatePath('server.pem'), 'utf8'),
      'server.key': readFileSync(certificatePath('server.key'), 'utf8'),
    },
  });
  await run(`
    CREATE ROLE app LOGIN PASSWORD 'right';
    CREATE ROLE trusted LOGIN;
    CREATE ROLE rejected LOGIN PASSWORD 'right';
    CREATE ROLE plain_role LOGIN PASSWORD 'right';
    CREATE ROLE full_role LOGIN PASSWORD 'right' CONNECTION LIMIT 0;
    CREATE ROLE no_login PASSWORD 'right';
    CREATE ROLE no_password LOGIN;
    CREATE ROLE expired LOGIN PASSWORD 'right' VALID UNTIL '2020-01-01';
    CREATE ROLE forever LOGIN PASSWORD 'right' VALID UNTIL 'infinity';
    CREATE ROLE never LOGIN PASSWORD 'right' VALID UNTIL '-infinity';
    CREATE ROLE for_now LOGIN PASSWORD 'right' VALID UNTIL '2999-01-01';
    CREATE ROLE "jürgen" LOGIN PASSWORD 'größe';
    SET password_encryption = 'md5';
    CREATE ROLE md5_role LOGIN PASSWORD 'right';
  `);
  await cluster.waitForReplay();
});

afterAll(() => cluster?.[Symbol.asyncDispose]());

describe('pgweir logs in to PostgreSQL', () => {
  test.each<[string, string, () => Promise<Credential> | Credential]>([
    ['SCRAM, with a password', 'app', () => password('right')],
    ['SCRAM, with keys that only the verifier and a proof gave', 'app', () => passedThrough('app', 'right')],
    ['SCRAM, with a name and a password beyond ASCII', toWireText('jürgen'), () => password('größe')],
    ['md5, with a password', 'md5_role', () => password('right')],
    ['md5, with an md5 verifier', 'md5_role', () => ({ kind: 'md5', verifier: md5Verifier(Buffer.from('right'), 'md5_role') })],
    ['a readable password', 'plain_role', () => password('right')],
    ['trust', 'trusted', () => ({ kind: 'none' })],
  ])('by %s, in plain text and over TLS, on the primary and on a replica', async (_, user, credential) => {
    for (const node of cluster.nodes) {
      for (const tls of [plainText, encrypted]) {
        const dialed = await dial({ user, credential: await credential(), tls, port: node.port });
        expect(dialed).toMatchObject({ tls: tls === encrypted, serverVersion: expect.any(Number) });
        expect(dialed.processId).toBeGreaterThan(0);
        expect(dialed.secretKey.length).toBe(4);
        expect(dialed.parameters.get('in_hot_standby')).toBe(node === cluster.primary ? 'off' : 'on');
        dialed.socket.destroy();
      }
    }
  });

  test('with settings, which PostgreSQL takes', async () => {
    const parameters = new Map([
      ['application_name', 'weir'],
      ['options', '-c DateStyle=German,DMY'],
      ['TimeZone', 'Asia/Tokyo'],
    ]);
    const dialed = await dial({ user: 'app', credential: password('right'), parameters });
    expect(Object.fromEntries(dialed.parameters)).toMatchObject({
      application_name: 'weir',
      DateStyle: 'German, DMY',
      TimeZone: 'Asia/Tokyo',
    });
    dialed.socket.destroy();
  });

  test.each<[string, Partial<DialOptions>, object]>([
    ['a wrong password', { credential: password('wrong') }, { sqlstate: '28P01', authenticated: false, credentialRefused: true }],
    ['no such role', { user: 'nobody' }, { sqlstate: '28P01', authenticated: false }],
    ['no entry in pg_hba.conf', { user: 'rejected' }, { sqlstate: '28000', authenticated: false, credentialRefused: false }],
    ['no such database', { database: 'nowhere' }, { sqlstate: '3D000', authenticated: true }],
    ['no LOGIN', { user: 'no_login' }, { sqlstate: '28000', authenticated: true }],
    ['too many connections', { user: 'full_role' }, { sqlstate: '53300', authenticated: true }],
    [
      'a setting that does not exist',
      { parameters: new Map([['no_such_setting', '1']]) },
      { sqlstate: '42704', authenticated: true },
    ],
  ])('and is refused for %s in words that can be relayed', async (_, options, expected) => {
    for (const tls of [plainText, encrypted]) {
      const error = await dial({ credential: password('right'), tls, ...options }).catch((failure: unknown) => failure);
      expect(error).toBeInstanceOf(BackendLoginError);
      expect(error).toMatchObject({ ...expected, tls: tls === encrypted });
    }
  });
});

test('SASLprep agrees with PostgreSQL', async () => {
  const code = fc.oneof(
    fc.integer({ min: 0x20, max: 0x7e }),
    fc.integer({ min: 0x80, max: 0x2ff }),
    fc.integer({ min: 0x300, max: 0xd7ff }),
    fc.integer({ min: 0xe000, max: 0xffff }),
    fc.integer({ min: 0x10000, max: 0x10ffff }),
    fc.constantFrom(
      0xad,
      0xa0,
      0x200b,
      0x200e,
      0x202e,
      0x3000,
      0xfeff,
      0xfb01,
      0x2168,
      0x627,
      0x5d0,
      0x661,
      0x1d11e,
      0xfdfa,
      0x1100,
      0x1161,
    ),
  );
  const random = fc.sample(fc.array(code, { minLength: 1, maxLength: 6 }), { numRuns: 1_500, seed: 4013 });
  const passwords = random.map((codes) => String.fromCodePoint(...codes));
  const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
  await run(
    `SET standard_conforming_strings = on; ${passwords.map((text, index) => `CREATE ROLE prep_${index} PASSWORD ${literal(text)};`).join('\n')}`,
  );
  const rows = await run(`SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'prep\\_%'`);
  expect(rows.length).toBe(passwords.length);
  const wrong: string[] = [];
  for (const row of rows) {
    const text = passwords[Number(String(row.rolname).slice('prep_'.length))] ?? '';
    const verifier = parseScramVerifier(String(row.rolpassword));
    if (verifier === null) throw new Error('no verifier');
    const keys = await deriveScramKeys(Buffer.from(text), verifier.salt, verifier.iterations);
    if (!verifier.isMadeOf(keys)) wrong.push([...text].map((character) => character.codePointAt(0)?.toString(16)).join(' '));
  }
  await run(passwords.map((_, index) => `DROP ROLE prep_${index};`).join('\n'));
  expect(wrong).toEqual([]);
});

describe('clients log in to pgweir, and pgweir for them, knowing no password', () => {
  test('with node-postgres', async () => {
    await using relay = await relayTo();
    for (const [user, secret] of [
      ['app', 'right'],
      ['jürgen', 'größe'],
      ['for_now', 'right'],
      ['forever', 'right'],
    ] as const) {
      const client = await connect(relay, user, secret);
      expect((await client.query('SELECT current_user AS name')).rows).toEqual([{ name: user }]);
      await client.end();
    }
    expect(relay.outcomes.map((outcome) => outcome.kind === 'session' && outcome.credential.kind)).toEqual(
      Array(4).fill('scram keys'),
    );
  });

  test('with postgres.js', async () => {
    await using relay = await relayTo();
    const sql = postgres({ host: relay.host, port: relay.port, user: 'app', password: 'right', database: 'postgres', max: 3 });
    expect(await Promise.all([1, 2, 3].map((n) => sql`SELECT ${n}::int AS n`))).toEqual([[{ n: 1 }], [{ n: 2 }], [{ n: 3 }]]);
    await sql.end();
  });

  test('by md5, with an md5 verifier', async () => {
    await using relay = await relayTo({ rules: [{ method: 'md5' }] });
    for (const user of ['md5_role', 'app']) {
      const client = await connect(relay, user, 'right');
      expect((await client.query('SELECT current_user AS name')).rows).toEqual([{ name: user }]);
      await client.end();
    }
  });

  test('by a readable password, good for every kind of verifier', async () => {
    await using relay = await relayTo({ rules: [{ method: 'password' }] });
    for (const user of ['md5_role', 'app', 'plain_role']) {
      const client = await connect(relay, user, 'right');
      expect((await client.query('SELECT current_user AS name')).rows).toEqual([{ name: user }]);
      await client.end();
    }
  });

  test.each([
    ['app', 'wrong', '28P01', 'password authentication failed for user "app"'],
    ['nobody', 'right', '28P01', 'password authentication failed for user "nobody"'],
    ['no_password', 'right', '28P01', 'password authentication failed for user "no_password"'],
    ['expired', 'right', '28P01', 'password authentication failed for user "expired"'],
    ['never', 'right', '28P01', 'password authentication failed for user "never"'],
    ['no_login', 'right', '28000', 'role "no_login" is not permitted to log in'],
    ['no_login', 'wrong', '28P01', 'password authentication failed for user "no_login"'],
  ])('%s with the password %s hears what PostgreSQL says', async (user, secret, code, message) => {
    await using relay = await relayTo();
    const direct = await connect({ host: '127.0.0.1', port: cluster.primary.port }, user, secret).catch(errorOf);
    const proxied = await connect(relay, user, secret).catch(errorOf);
    expect(proxied).toEqual({ code, message, severity: 'FATAL' });
    expect(proxied).toEqual(direct);
  });

  test('and hear from the backend what only the backend knows', async () => {
    await using relay = await relayTo();
    await expect(connect(relay, 'app', 'right', 'nowhere')).rejects.toMatchObject({
      code: '3D000',
      message: 'database "nowhere" does not exist',
    });
    await expect(connect(relay, 'full_role', 'right')).rejects.toMatchObject({ code: '53300' });
    await expect(connect(relay, 'rejected', 'right')).rejects.toMatchObject({ code: '28000' });
  });

  test('after a change of the password with the new one only, at the latest when the life of the old verifier is over', async () => {
    await run(`CREATE ROLE changing LOGIN PASSWORD 'old'`);
    await using relay = await relayTo({ source: sharedVerifiers({ lifeMs: 400, minIntervalMs: 50 }) });
    await (await connect(relay, 'changing', 'old')).end();
    await run(`ALTER ROLE changing PASSWORD 'new'`);
    await sleep(60);
    // The first failure makes pgweir look again.
    await connect(relay, 'changing', 'new').catch(errorOf);
    await sleep(60);
    await (await connect(relay, 'changing', 'new')).end();
    await expect(connect(relay, 'changing', 'old')).rejects.toMatchObject({ code: '28P01' });
    await run(`ALTER ROLE changing VALID UNTIL '2020-01-01'`);
    await sleep(420);
    await expect(connect(relay, 'changing', 'new')).rejects.toMatchObject({ code: '28P01' });
    await run(`DROP ROLE changing`);
    await sleep(420);
    await expect(connect(relay, 'changing', 'new')).rejects.toMatchObject({ code: '28P01' });
  });

  test('and never with a wrong password because a right one was just used', async () => {
    for (const method of ['scram-sha-256', 'md5', 'password'] as const) {
      await using relay = await relayTo({ rules: [{ method }] });
      for (let round = 0; round < 3; round++) {
        const warm = await connect(relay, 'app', 'right');
        await expect(connect(relay, 'app', 'wrong')).rejects.toMatchObject({ code: '28P01' });
        await expect(connect(relay, 'md5_role', 'wrong')).rejects.toMatchObject({ code: '28P01' });
        await warm.end();
      }
    }
  });

  test('as users of the configuration, whose password the backend knows with another salt', async () => {
    const users = [{ name: 'app', password: Secret.from('right'), verifier: null }];
    await using relay = await LoginRelay.start({ backend: cluster.primary, users });
    const client = await connect(relay, 'app', 'right');
    expect((await client.query('SELECT current_user AS name')).rows).toEqual([{ name: 'app' }]);
    await client.end();
  });

  test('or not, when the rules are against it', async () => {
    await using relay = await relayTo({
      rules: [
        { user: 'app', database: 'postgres', method: 'trust' },
        { from: '10.0.0.0/8', method: 'trust' },
      ],
    });
    await expect(connect(relay, 'plain_role', 'right')).rejects.toMatchObject({
      code: '28000',
      message: 'no authentication rule for host "127.0.0.1", user "plain_role", database "postgres", no encryption',
    });
    // Trusted by pgweir, but the backend asks for a password that pgweir does not have.
    await expect(connect(relay, 'app', '')).rejects.toMatchObject({ code: '08006' });
  });

  test('and nothing a client sends reaches the connection that asks for verifiers', async () => {
    await run(`ALTER SYSTEM SET log_statement = 'all'`);
    await run(`ALTER SYSTEM SET log_line_prefix = '[%a] '`);
    await run('SELECT pg_reload_conf()');
    await sleep(200);
    await using relay = await relayTo();
    const parameters = {
      search_path: 'evil',
      role: 'postgres',
      options: '-c search_path=evil -c role=postgres',
      client_encoding: "SQL_ASCII'; DROP ROLE app; --",
    };
    for (const user of ['app', "app'; DROP ROLE app; --"]) {
      await expect(
        WireClient.connect({ host: relay.host, port: relay.port, user, password: 'right', parameters }),
      ).rejects.toThrow();
    }
    await sleep(100);
    const logged = readFileSync(cluster.primary.logFile, 'utf8')
      .split(/\n(?=\[)/)
      .filter((line) => line.startsWith('[pgweir auth]'));
    expect(logged.length).toBeGreaterThanOrEqual(2);
    for (const line of logged)
      expect(line).toMatch(/execute <unnamed>: \n\tSELECT r\.rolname|connection authorized|DETAIL|disconnection/);
    expect(logged.join('\n')).not.toMatch(/evil|SET /);
    await run(`ALTER SYSTEM RESET ALL`);
    await run('SELECT pg_reload_conf()');
  });

  test('with the same look and the same delay whether the user exists or not', async () => {
    await using relay = await relayTo({
      source: sharedVerifiers({ lifeMs: 60_000, absentLifeMs: 60_000, minIntervalMs: 60_000 }),
    });
    const times = { app: [] as number[], nobody: [] as number[] };
    for (let round = 0; round < 60; round++) {
      for (const user of ['app', 'nobody'] as const) {
        const began = performance.now();
        await expect(connect(relay, user, 'wrong')).rejects.toMatchObject({ code: '28P01' });
        times[user].push(performance.now() - began);
      }
    }
    const median = (list: number[]) => list.toSorted((a, b) => a - b)[list.length / 2] ?? 0;
    expect(Math.abs(median(times.app) - median(times.nobody))).toBeLessThan(0.5 * median(times.app));
  });
});

interface Target {
  readonly host: string;
  readonly port: number;
}

async function connect({ host, port }: Target, user: string, secret: string, database = 'postgres'): Promise<pg.Client> {
  const client = new pg.Client({ host, port, user, password: secret, database, ssl: false });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

function errorOf(error: { code: string; message: string; severity: string }): object {
  const { code, message, severity } = error;
  return { code, message, severity };
}

const connection = {
  user: 'postgres',
  password: null,
  database: 'postgres',
  tls: () => plainText,
  timeoutMs: 2_000,
  applicationName: 'pgweir auth',
};

function sharedVerifiers(limits: RoleVerifiersOptions['limits'] = {}): RoleVerifiers {
  return new RoleVerifiers({
    connection,
    endpoints: () => [cluster.primary],
    statement: null,
    clock: realClock,
    telemetry: silentTelemetry,
    limits,
  });
}

/** A relay to the primary that knows users from the cluster alone; both are closed together. */
async function relayTo(options: RelayOptions & { readonly source?: RoleVerifiers } = {}): Promise<LoginRelay> {
  const source = options.source ?? sharedVerifiers();
  const relay = await LoginRelay.start({ backend: cluster.primary, ...options, source });
  const dispose = relay[Symbol.asyncDispose].bind(relay);
  return Object.assign(relay, {
    [Symbol.asyncDispose]: async () => {
      source.close();
      await dispose();
    },
  });
}

function dial(options: Partial<DialOptions>) {
  return dialBackend({
    host: '127.0.0.1',
    port: cluster.primary.port,
    user: 'app',
    database: 'postgres',
    parameters: new Map(),
    credential: password('right'),
    tls: plainText,
    timeoutMs: 5_000,
    clock: realClock,
    ...options,
  });
}

function password(text: string): PasswordCredential {
  return new PasswordCredential(Secret.from(toWireText(text)));
}

/** What pgweir has after a client proved itself: keys, from the verifier that is stored. */
async function passedThrough(user: string, text: string): Promise<Credential> {
  const [row] = await run(`SELECT rolpassword FROM pg_authid WHERE rolname = '${user}'`);
  const verifier = parseScramVerifier(String(row?.rolpassword));
  if (verifier === null) throw new Error(`no verifier of ${user}`);
  return { kind: 'scram keys', keys: await deriveScramKeys(Buffer.from(text), verifier.salt, verifier.iterations) };
}

function run(sql: string) {
  return cluster.primary.query(sql);
}
