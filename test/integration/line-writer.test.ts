import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** The log's way out, in a process of its own: what becomes of lines depends on who reads them. */
const PROGRAM = `
import { LineWriter } from ${JSON.stringify(new URL('../../src/util/logger.ts', import.meta.url).href)};
const writer = new LineWriter(process.stdout.fd);
for (let i = 0; i < Number(process.argv[1]); i++) writer.write(String(i).padStart(999, '.') + '\\n');
process.stderr.write('written ');
await writer.end(Number(process.argv[2]));
process.stderr.write('ended');
process.exit(0);
`;

function writeLines(count: number, timeoutMs: number): ChildProcessByStdio<null, Readable, Readable> {
  const args = ['--input-type=module', '-e', PROGRAM, String(count), String(timeoutMs)];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: fileURLToPath(new URL('.', import.meta.url)) });
}

async function textOf(stream: Readable): Promise<string> {
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) text += chunk;
  return text;
}

describe('the writer of lines', () => {
  it('writes all lines in order', async () => {
    const child = writeLines(3000, 10_000);
    const [out, err] = await Promise.all([textOf(child.stdout), textOf(child.stderr)]);
    expect(err).toBe('written ended');
    expect(out.split('\n').map((line) => line.replaceAll('.', ''))).toEqual([
      ...Array.from({ length: 3000 }, (_, i) => String(i)),
      '',
    ]);
  });

  it('does not wait for a reader that does not read', async () => {
    const child = writeLines(3000, 200);
    expect(await textOf(child.stderr)).toBe('written ended');
    child.stdout.destroy();
  });

  it('goes on without a reader', async () => {
    const child = writeLines(3000, 10_000);
    child.stdout.destroy();
    expect(await textOf(child.stderr)).toBe('written ended');
  });

  it('drops what a slow reader leaves over, and says how much', async () => {
    const child = writeLines(30_000, 10_000);
    expect(await new Promise((resolve) => child.stderr.once('data', (chunk) => resolve(String(chunk))))).toBe('written ');
    const lines = (await textOf(child.stdout)).trimEnd().split('\n');
    const { event, count } = JSON.parse(lines.at(-1) ?? '');
    expect(event).toBe('log_lines_dropped');
    expect(lines.length - 1 + count).toBe(30_000);
  });
});
