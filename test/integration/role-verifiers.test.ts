import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RoleVerifiers, type RoleVerifiersOptions } from '../../src/backend/role-verifiers.ts';
import { loadBackendTls } from '../../src/backend/tls.ts';
import { realClock } from '../../src/util/real-clock.ts';
import { silentTelemetry } from '../../src/util/telemetry.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { LoginRelay } from '../support/login-relay.ts';
import { WireClient } from '../support/wire-client.ts';

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 });
  await run(`
    CREATE ROLE app LOGIN PASSWORD 'right';
    CREATE ROLE asking LOGIN;
    CREATE ROLE no_login PASSWORD 'right';
    CREATE ROLE no_password LOGIN;
    CREATE ROLE expired LOGIN PASSWORD 'right' VALID UNTIL '2020-01-01';
    CREATE ROLE forever LOGIN PASSWORD 'right' VALID UNTIL 'infinity';
    CREATE ROLE never LOGIN PASSWORD 'right' VALID UNTIL '-infinity';
    CREATE ROLE for_now LOGIN PASSWORD 'right' VALID UNTIL '2999-01-01';
    SET password_encryption = 'md5';
    CREATE ROLE md5_role LOGIN PASSWORD 'right';
  `);
  await cluster.waitForReplay();
});

afterAll(() => cluster?.[Symbol.asyncDispose]());

const connection = {
  user: 'postgres',
  password: null,
  database: 'postgres',
  tls: () => loadBackendTls({ mode: 'disable', caFile: null, certFile: null, keyFile: null }),
  timeoutMs: 2_000,
  applicationName: 'pgweir auth',
};

describe('verifiers of the cluster', () => {
  test.each<[string, object | null]>([
    ['app', { canLogin: true, expiresAtMs: null }],
    ['md5_role', { canLogin: true, expiresAtMs: null }],
    ['no_password', { verifier: null, canLogin: true }],
    ['no_login', { canLogin: false }],
    ['forever', { expiresAtMs: null }],
    ['nobody', null],
    ['', null],
    ["'; DROP ROLE app; --", null],
    ['APP', null],
    ['\xff\xfe', null],
  ])('of %j are what pg_authid says', async (user, expected) => {
    using source = verifiers();
    const role = await source.lookup(user);
    if (expected === null) expect(role).toBeNull();
    else expect(role).toMatchObject(expected);
    const [row] = await run(
      `SELECT rolpassword FROM pg_authid WHERE rolname = '${user.replaceAll("'", "''").replaceAll(/[^\x20-\x7e]/g, '')}'`,
    );
    expect(role?.verifier?.reveal() ?? null).toBe(row?.rolpassword ?? null);
  });

  test('know when a password expires', async () => {
    using source = verifiers();
    const left = async (user: string) => ((await source.lookup(user))?.expiresAtMs ?? Number.NaN) - realClock.now();
    expect(await left('expired')).toBeLessThan(0);
    expect(await left('never')).toBeLessThanOrEqual(0);
    const expected = Date.parse('2999-01-01') - Date.now();
    expect(Math.abs((await left('for_now')) - expected)).toBeLessThan(86_400_000);
  });

  test('are asked for once, however many ask at the same time, and remembered for a while', async () => {
    using source = verifiers({ limits: { lifeMs: 300, absentLifeMs: 100, minIntervalMs: 50 } });
    const roles = await Promise.all(Array.from({ length: 50 }, () => source.lookup('app')));
    expect(new Set(roles).size).toBe(1);
    expect(await source.lookup('app')).toBe(roles[0]);
    await sleep(320);
    expect(await source.lookup('app')).not.toBe(roles[0]);
  });

  test('that are doubted are asked for again, but not without end', async () => {
    using source = verifiers({ limits: { lifeMs: 60_000, absentLifeMs: 60_000, minIntervalMs: 100 } });
    const first = await source.lookup('app');
    source.doubt('app');
    expect(await source.lookup('app')).toBe(first);
    await sleep(120);
    const second = await source.lookup('app');
    expect(second).not.toBe(first);
    await sleep(120);
    expect(await source.lookup('app')).toBe(second);
    expect(await source.lookup('nobody')).toBeNull();
    source.doubt('nobody');
    source.doubt('never heard of');
  });

  test('come from the next backend when the first cannot be asked, and from a new connection when the old one broke', async () => {
    using source = verifiers({
      endpoints: () => [{ host: '127.0.0.1', port: 1 }, ...cluster.replicas, cluster.primary],
      limits: { lifeMs: 0 },
    });
    expect(await source.lookup('app')).toMatchObject({ canLogin: true });
    for (const node of cluster.nodes) {
      await node.query(`SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE application_name = 'pgweir auth'`);
    }
    expect(await source.lookup('app')).toMatchObject({ canLogin: true });
  });

  test('cannot be had when nobody can be asked: an error, not an unknown user', async () => {
    using source = verifiers({ endpoints: () => [{ host: '127.0.0.1', port: 1 }] });
    await expect(source.lookup('app')).rejects.toMatchObject({
      kind: 'backend_unreachable',
      message: 'could not look up the verifier of role "app"',
    });
    using nowhere = verifiers({ endpoints: () => [] });
    await expect(nowhere.lookup('app')).rejects.toMatchObject({ kind: 'backend_unreachable' });
  });

  test('cannot be had by a role that may not read them, and may the next time', async () => {
    const lines: string[] = [];
    using source = verifiers({
      connection: { ...connection, user: 'asking' },
      telemetry: { log: (level, event, fields) => void lines.push(`${level} ${event} ${fields?.error}`) },
    });
    await expect(source.lookup('app')).rejects.toMatchObject({ kind: 'backend_login_failed' });
    expect(lines).toEqual(['error role_lookup_failed error: permission denied for table pg_authid']);
    await run('GRANT SELECT ON pg_authid TO asking');
    expect(await source.lookup('app')).toMatchObject({ canLogin: true });
    await run('REVOKE SELECT ON pg_authid FROM asking');
  });

  test.each([
    ['no row', 'SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE false AND rolname = $1', null],
    [
      'name and verifier',
      'SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1',
      { canLogin: true, expiresAtMs: null },
    ],
    ['no verifier', 'SELECT $1::text, NULL', { verifier: null }],
    ['false for LOGIN', 'SELECT $1::text, NULL, false', { canLogin: false }],
    ['an expiry in the past', 'SELECT $1::text, NULL, true, -1', { expiresAtMs: expect.any(Number) }],
  ])('may be asked for with another statement, which gives %s', async (_, statement, expected) => {
    using source = verifiers({ statement });
    const role = await source.lookup('app');
    if (expected === null) expect(role).toBeNull();
    else expect(role).toMatchObject(expected);
  });

  test.each([
    ['two rows', 'SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1 OR true LIMIT 2'],
    ['another role', `SELECT 'postgres', rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1`],
    ['a NULL for the name', 'SELECT NULL, rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1'],
    ['one column', 'SELECT rolname FROM pg_catalog.pg_authid WHERE rolname = $1'],
    ['an error', 'SELECT 1/0, $1::text'],
    ['nonsense', 'nonsense $1'],
  ])('let nobody in when the statement gives %s', async (_, statement) => {
    using source = verifiers({ statement });
    await expect(source.lookup('app')).rejects.toMatchObject({ kind: 'backend_login_failed' });
    await using relay = await LoginRelay.start({ source });
    const login = WireClient.connect({ host: relay.host, port: relay.port, user: 'app', password: 'right' });
    await expect(login).rejects.toThrow('could not look up the verifier of role "app"');
  });
});

function verifiers(options: Partial<RoleVerifiersOptions> = {}): RoleVerifiers & Disposable {
  const source = new RoleVerifiers({
    connection,
    endpoints: () => [cluster.primary],
    statement: null,
    clock: realClock,
    telemetry: silentTelemetry,
    ...options,
  });
  return Object.assign(source, { [Symbol.dispose]: () => source.close() });
}

function run(sql: string) {
  return cluster.primary.query(sql);
}
