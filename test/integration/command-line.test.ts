import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

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
