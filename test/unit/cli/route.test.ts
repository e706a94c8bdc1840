import { describe, expect, it } from 'vitest';
import { runCommand, temporaryConfig } from './run-command.ts';

const NEXT_TO_IT = '(Nothing was asked of a database';

describe('route', () => {
  it.each([
    ['SELECT * FROM users WHERE id = 7', 'replica, because plain read:'],
    ["INSERT INTO t VALUES ('x')", 'primary, because data modification:'],
    ["SELECT nextval('s')", 'primary, because sequence (nextval):'],
    ['SELECT pg_advisory_lock(1)', 'primary, because explicit lock (pg_advisory_lock):'],
    ['SELECT mine(1)', 'primary, because catalog not loaded (mine):'],
    ['SELECT größe()', 'primary, because catalog not loaded (größe):'],
    ['BEGIN READ ONLY; SELECT 1', 'replica, because read-only transaction:'],
    ['BEGIN; SELECT 1', 'primary, because read-write transaction:'],
    ['/* pgweir: route=primary */ SELECT 1', 'primary, because hint:'],
    ['/* pgweir: route=replica */ DELETE FROM t', 'primary, because data modification:'],
    ['SELEC 1', 'primary, because text does not parse:'],
  ])('says where %j goes and why', async (sql, expected) => {
    const { exitCode, out, err } = await runCommand('route', sql);
    expect(exitCode).toBe(0);
    expect(out.startsWith(expected), out).toBe(true);
    expect(out.split('\n')).toHaveLength(2);
    expect(err).toContain(NEXT_TO_IT);
  });

  it('answers each text in one line, in order', async () => {
    const { out } = await runCommand('route', 'SELECT 1', 'DELETE FROM t', 'SELECT 2');
    expect(out.split('\n').map((line) => line.split(',')[0])).toEqual(['replica', 'primary', 'replica', '']);
  });

  it('answers in JSON', async () => {
    const { out, err } = await runCommand('route', '--json', "SELECT 'ü', nextval('s')");
    expect(JSON.parse(out)).toEqual({
      sql: "SELECT 'ü', nextval('s')",
      target: 'primary',
      reason: 'sequence',
      subject: 'nextval',
      why: 'it advances or sets a sequence',
    });
    expect(err).toBe('');
  });

  it('judges as the read-only listener does', async () => {
    const { out } = await runCommand('route', '--read-only', 'DELETE FROM t');
    expect(out).toMatch(/^replica, because read-only listener/);
  });

  it('follows the rules of a configuration', async () => {
    using config = temporaryConfig(`backends: [a, b]
monitor: { user: m }
routing:
  rules:
    - { user: grün, database: d, route: primary }
`);
    const where = async (...more: string[]) =>
      (await runCommand('route', '-c', config.path, 'SELECT 1', ...more)).out.split(':')[0];
    expect(await where('-U', 'grün', '-d', 'd')).toBe('primary, because rule');
    expect(await where('-U', 'grün', '-d', 'e')).toBe('replica, because plain read');
    expect(await where()).toBe('replica, because plain read');
  });

  it('knows when a configuration has no replica', async () => {
    using config = temporaryConfig('backends: [a]\nmonitor: { user: m }\n');
    expect((await runCommand('route', '-c', config.path, 'SELECT 1')).out).toMatch(/^primary, because no replica configured/);
  });

  it('refuses a broken configuration', async () => {
    using config = temporaryConfig('backends: []\nmonitor: { user: m }\n');
    const { exitCode, out, err } = await runCommand('route', '-c', config.path, 'SELECT 1');
    expect([exitCode, out]).toEqual([1, '']);
    expect(err).toContain('backends must have at least one entry');
  });
});
