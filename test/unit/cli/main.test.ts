import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { describeFailure } from '../../../src/cli/main.ts';
import { BugError } from '../../../src/util/assert.ts';
import { OperationalError } from '../../../src/util/errors.ts';

const main = fileURLToPath(new URL('../../../src/main.ts', import.meta.url));

function pgweir(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', timeout: 15_000 });
  return { status, stdout, stderr };
}

describe('the process', () => {
  it('exits with the code of its command, and says no more than that', () => {
    expect(pgweir('check', '-c', '/nowhere')).toEqual({
      status: 1,
      stdout: '',
      stderr: '/nowhere: cannot read the configuration (ENOENT)\n1 problem\n',
    });
    expect(pgweir('--bogus')).toMatchObject({ status: 2, stdout: '' });
    expect(pgweir('route', '--json', 'SELECT 1')).toMatchObject({ status: 0, stderr: '' });
  });

  it('ends when the reader of its output is gone', () => {
    const command = `"${process.execPath}" "${main}" --help | head -1; echo "\${PIPESTATUS[0]}"`;
    const { stdout } = spawnSync('bash', ['-c', command], { encoding: 'utf8', timeout: 15_000 });
    expect(stdout).toBe('Usage: pgweir [options] [command]\n0\n');
  });
});

describe('a failure', () => {
  it('is one line and its causes', () => {
    const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', password: 'canary' });
    expect(describeFailure(new OperationalError('no_primary', 'there is no primary', { cause }))).toEqual([
      'pgweir: there is no primary',
      '  because: connect ECONNREFUSED',
    ]);
  });

  it('that is a defect says where it happened', () => {
    const [first, second] = describeFailure(new BugError('a lease was returned twice'));
    expect(first).toBe('pgweir: internal error: a lease was returned twice');
    expect(second).toMatch(/^ {2}at .*main\.test\.ts/);
  });

  it('that is no error at all does not show what was thrown', () => {
    expect(describeFailure('canary')).toEqual(['pgweir: not an error was thrown']);
  });
});
