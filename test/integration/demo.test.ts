import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
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
