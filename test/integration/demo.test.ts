import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..');

it('the demo sees every promise hold, and says which port it uses when the usual one is taken', async () => {
  const squatter = createServer().listen({ port: 6432, host: '127.0.0.1' });
  // Somebody else may have it already, which serves as well.
  await Promise.race([once(squatter, 'listening'), once(squatter, 'error')]).catch(() => undefined);
  try {
    const { stdout } = await run(process.execPath, ['src/main.ts', 'demo', '--once'], { cwd: ROOT });
    expect(stdout).toContain('Port 6432 is taken');
    expect(stdout.match(/✓/g)).toHaveLength(5);
    expect(stdout).not.toContain('✗');
    expect(stdout).toContain('Everything held.');
    expect(stdout).not.toContain('\u001b');
  } finally {
    squatter.close();
  }
});

it.each([
  ['Ctrl-C, when it has shown all and stays', 'SIGINT', 'Ctrl-C', 0],
  ['killed, in the midst of it', 'SIGKILL', 'ran on', null],
] as const)('the demo leaves neither a process nor a directory behind: %s', async (_when, signal, line, exitCode) => {
  const directory = mkdtempSync(join(tmpdir(), 'demo-'));
  // Another account runs the servers when this one is root.
  chmodSync(directory, 0o711);
  try {
    const child = spawn(process.execPath, ['src/main.ts', 'demo'], {
      cwd: ROOT,
      env: { ...process.env, TMPDIR: directory },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    for await (const shown of createInterface(child.stdout)) if (shown.includes(line)) break;
    const servers = readdirSync(directory, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('postmaster.pid'))
      .map((path) => Number.parseInt(readFileSync(join(directory, path), 'utf8'), 10));
    expect(servers.map(isRunning)).toEqual([true, true, true]);
    child.kill(signal);
    expect(await exited).toEqual([exitCode, exitCode === null ? signal : null]);
    await expect.poll(() => readdirSync(directory), { timeout: 20_000 }).toEqual([]);
    expect(servers.map(isRunning)).toEqual([false, false, false]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
