import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runCommand, temporaryConfig } from './run-command.ts';

describe('the command line', () => {
  it('prints its version', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
    expect(await runCommand('--version')).toEqual({ exitCode: 0, out: `${version}\n`, err: '' });
  });

  it('explains commands, exit codes and signals', async () => {
    const { exitCode, out } = await runCommand('--help');
    expect(exitCode).toBe(0);
    for (const word of ['serve', 'check', 'route', 'demo', 'Exit codes', 'SIGHUP', 'SIGTERM']) expect(out).toContain(word);
  });

  it.each(['serve', 'check', 'route', 'demo'])('explains %s', async (command) => {
    const { exitCode, out } = await runCommand(command, '--help');
    expect(exitCode).toBe(0);
    expect(out).toContain(`Usage: pgweir ${command}`);
  });

  it.each([
    [['bogus'], "error: unknown command 'bogus'"],
    [['serv'], 'Did you mean serve?'],
    [['check', '--bogus'], "error: unknown option '--bogus'"],
    [['check', 'extra'], 'error: too many arguments'],
    [['route'], "error: missing required argument 'sql'"],
    [['serve', '-c'], "error: option '-c, --config <file>' argument missing"],
    [[], 'Usage: pgweir'],
  ])('refuses %j with exit code 2', async (args, message) => {
    const { exitCode, err } = await runCommand(...args);
    expect(exitCode).toBe(2);
    expect(err).toContain(message);
  });
});

describe('check', () => {
  it('accepts the example and sums it up', async () => {
    expect(await runCommand('check')).toEqual({
      exitCode: 0,
      out: `config/pgweir.yaml: ok
  listens on 0.0.0.0:6432 (split), 0.0.0.0:6433 (read-only)
  backends pg1, pg2, pg3, watched as pgweir
  routing with session consistency, pool in transaction mode
  metrics on http://127.0.0.1:9187/metrics
`,
      err: '',
    });
  });

  it('lists every problem with file, line and column, and exits with 1', async () => {
    using config = temporaryConfig('backends: [pg-1]\nmonitor: { user: m, interval: 5 }\npol: {}\n');
    expect(await runCommand('check', '-c', config.path)).toEqual({
      exitCode: 1,
      out: '',
      err: `${config.path}:2:31: monitor.interval needs a unit: write for example 100ms, 5s, 10m or 1h
${config.path}:3:1: pol is not a setting; did you mean pool?
2 problems
`,
    });
  });

  it('says when there is no file', async () => {
    expect(await runCommand('check', '-c', '/nowhere/pgweir.yaml')).toEqual({
      exitCode: 1,
      out: '',
      err: '/nowhere/pgweir.yaml: cannot read the configuration (ENOENT)\n1 problem\n',
    });
  });
});
