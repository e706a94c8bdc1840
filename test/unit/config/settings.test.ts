import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/util/secret.ts';
import { configOf, MINIMUM } from './validate-text.ts';

describe('a configuration', () => {
  it('needs backends and a monitor user only, in flow style with variables too', () => {
    const yaml = `
backends:
  - pg-1:5432
  - pg-2:5432
  - pg-3:5432
monitor: { user: pgweir, password: \${PGWEIR_MONITOR_PASSWORD} }
`;
    const config = configOf(yaml, { env: { PGWEIR_MONITOR_PASSWORD: 'p' } });
    expect(config.backends.map(({ host, port }) => `${host}|${port}`)).toEqual(['pg-1|5432', 'pg-2|5432', 'pg-3|5432']);
    expect(config.monitor.password?.reveal()).toBe('p');
  });

  it('has a value for every setting that is left out', () => {
    expect(configOf(MINIMUM)).toEqual({
      listen: [{ host: '0.0.0.0', port: 6432, mode: 'split' }],
      backends: [{ host: 'pg-1', port: 5432, name: 'pg-1:5432', weight: 1 }],
      backendTls: { mode: 'prefer', caFile: null, certFile: null, keyFile: null },
      tls: null,
      monitor: {
        user: 'm',
        password: null,
        database: 'postgres',
        intervalMs: 100,
        idleIntervalMs: 1000,
        timeoutMs: 1000,
        observationLifeMs: 3000,
      },
      auth: {
        rules: [{ from: null, database: null, user: null, tls: null, method: 'scram-sha-256' }],
        users: [],
        query: { user: null, password: null, database: null, statement: null },
      },
      routing: {
        maxLagMs: 5000,
        maxLagBytes: null,
        consistency: 'session',
        fenceWaitMs: 10,
        transactions: 'declared',
        whenNoReplica: 'primary',
        rules: [],
      },
      pool: {
        mode: 'transaction',
        maxPerBackend: 50,
        sharedReads: true,
        preparedReads: true,
        minIdle: 0,
        idleTimeoutMs: 300_000,
        maxLifetimeMs: 3_600_000,
        waitTimeoutMs: 10_000,
        maxWaiters: 10_000,
        statementsPerConnection: 500,
      },
      limits: {
        clients: 10_000,
        clientsPerUser: null,
        loginTimeoutMs: 60_000,
        idleInTransactionTimeoutMs: 0,
        clientIdleTimeoutMs: 0,
        queryTimeoutMs: 0,
        statementsPerClient: 10_000,
        statementBytes: 256 * 1024 * 1024,
        maxParseBytes: 65_536,
        batchBytes: 65_536,
        heldReplyBytes: 65_536,
      },
      http: { host: '127.0.0.1', port: 9187 },
      shutdown: { drainTimeoutMs: 30_000 },
      workers: 1,
      log: { level: 'info' },
    });
  });

  it('takes an empty group for one in which everything is left out', () => {
    expect(configOf(`${MINIMUM}pool:\nlog:\n  # level: debug\n`)).toEqual(configOf(MINIMUM));
  });

  it.each([
    ['[::1]:5433', '::1', 5433, '[::1]:5433'],
    ['"[2001:db8::1]"', '2001:db8::1', 5432, '[2001:db8::1]:5432'],
    ['db.example.org', 'db.example.org', 5432, 'db.example.org:5432'],
    ['10.1.2.3:1', '10.1.2.3', 1, '10.1.2.3:1'],
    ['{ address: a:7, name: A, weight: 3 }', 'a', 7, 'A'],
  ])('reads the backend %s', (written, host, port, name) => {
    const [backend] = configOf(
      `backends:\n  - ${written.startsWith('[') ? `'${written}'` : written}\nmonitor: { user: m }\n`,
    ).backends;
    expect(backend).toMatchObject({ host, port, name });
  });

  it('reads listeners with and without their short form', () => {
    const { listen } = configOf(`${MINIMUM}listen: [ "[::]:1", { address: 127.0.0.1:0, mode: read-only }, {} ]\n`);
    expect(listen).toEqual([
      { host: '::', port: 1, mode: 'split' },
      { host: '127.0.0.1', port: 0, mode: 'read-only' },
      { host: '0.0.0.0', port: 6432, mode: 'split' },
    ]);
  });

  it('takes off for what can be switched off', () => {
    const config = configOf(
      `${MINIMUM}tls: off\nauth: { query: off }\nrouting: { max_lag_bytes: off }\nlimits: { clients_per_user: off, query_timeout: off }\n`,
    );
    expect(config.tls).toBeNull();
    expect(config.auth.query).toBeNull();
    expect(config.routing.maxLagBytes).toBeNull();
    expect(config.limits.clientsPerUser).toBeNull();
    expect(config.limits.queryTimeoutMs).toBe(0);
  });

  it('takes off for a name where a name is asked for', () => {
    expect(configOf(`${MINIMUM}auth: { rules: [ { user: off, method: trust } ] }\n`).auth.rules[0]?.user).toBe('off');
  });

  it('reads numbers, flags, choices, durations and sizes from variables', () => {
    const yaml = `${MINIMUM}
pool: { max_per_backend: \${N}, mode: \${MODE}, wait_timeout: \${T} }
routing: { max_lag_bytes: \${SIZE} }
auth: { rules: [ { tls: \${TLS}, method: scram-sha-256 } ] }
tls: { cert_file: c, key_file: k }
`;
    const env = { N: '7', MODE: 'session', T: '250ms', SIZE: '1MB', TLS: 'false' };
    const config = configOf(yaml, { env, files: { '/etc/pgweir/c': 'c', '/etc/pgweir/k': 'k' } });
    expect(config.pool).toMatchObject({ maxPerBackend: 7, mode: 'session', waitTimeoutMs: 250 });
    expect(config.routing.maxLagBytes).toBe(1_000_000);
    expect(config.auth.rules[0]?.tls).toBe(false);
  });

  it('makes paths absolute from the folder of the configuration', () => {
    const files = { '/etc/pgweir/tls/c.pem': 'c', '/k.pem': 'k' };
    const { tls } = configOf(`${MINIMUM}tls: { cert_file: tls/c.pem, key_file: /k.pem, mode: require }\n`, { files });
    expect(tls).toEqual({ certFile: '/etc/pgweir/tls/c.pem', keyFile: '/k.pem', caFile: null, mode: 'require' });
  });
});

describe('a variable', () => {
  const passwordFrom = (written: string, env: Record<string, string>): string | undefined =>
    configOf(`backends: [pg-1]\nmonitor:\n  user: m\n  password: ${written}\n`, { env }).monitor.password?.reveal();

  it.each([
    ['${A}', { A: 'x' }, 'x'],
    ['"${A}"', { A: 'x' }, 'x'],
    ["'${A}-${B}'", { A: 'x', B: 'y' }, 'x-y'],
    ['${A}', { A: '12345' }, '12345'],
    [
      '${A}',
      { A: 'with ${B}, "quotes", {braces} and: colons # no comment' },
      'with ${B}, "quotes", {braces} and: colons # no comment',
    ],
    ['${A:-standard}', {}, 'standard'],
    ['${A:-standard}', { A: '' }, 'standard'],
    ['${A:-standard}', { A: 'x' }, 'x'],
    ['$${A}', { A: 'x' }, '${A}'],
    ['$${A:-b}', { A: 'x' }, '${A:-b}'],
    ['pa$$word', {}, 'pa$$word'],
    ['$A', { A: 'x' }, '$A'],
    ['"${1A}"', {}, '${1A}'],
    ['|-\n    ${A}\n    b', { A: 'x' }, 'x\nb'],
  ])('%s with %j is %j', (written, env, expected) => {
    expect(passwordFrom(written, env)).toBe(expected);
  });
});

describe('a secret', () => {
  it.each([
    ['one line\n', 'one line'],
    ['one line\r\n', 'one line'],
    ['no newline', 'no newline'],
    [' spaces \n', ' spaces '],
    ['two\nlines\n', 'two\nlines'],
    ['${A}', '${A}'],
  ])('from a file with %j is %j', (content, expected) => {
    const yaml = 'backends: [pg-1]\nmonitor: { user: m, password_file: secret }\n';
    expect(configOf(yaml, { files: { '/etc/pgweir/secret': content } }).monitor.password?.reveal()).toBe(expected);
  });

  it('can be a password or a verifier of a user', () => {
    const verifier = `SCRAM-SHA-256$4096:c2FsdA==$${'A'.repeat(43)}=:${'B'.repeat(43)}=`;
    const md5 = `md5${'0'.repeat(32)}`;
    const yaml = `${MINIMUM}auth: { users: [ { name: a, password: p }, { name: b, verifier: ${verifier} }, { name: c, verifier_file: v } ] }\n`;
    const { users } = configOf(yaml, { files: { '/etc/pgweir/v': `${md5}\n` } }).auth;
    expect(users.map(({ password, verifier: v }) => [password?.reveal(), v?.reveal()])).toEqual([
      ['p', undefined],
      [undefined, verifier],
      [undefined, md5],
    ]);
    expect(users[0]?.password).toBeInstanceOf(Secret);
  });
});
