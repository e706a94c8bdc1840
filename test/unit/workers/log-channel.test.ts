import { expect, test } from 'vitest';
import { LogChannel } from '../../../src/workers/log-channel.ts';

function stage() {
  const sent: string[] = [];
  const done: (() => void)[] = [];
  const channel = new LogChannel((lines, left) => {
    sent.push(lines);
    done.push(left);
  });
  return { channel, sent, leave: () => done.shift()?.() };
}

test('lines go at once, and those that come meanwhile go together', () => {
  const { channel, sent, leave } = stage();
  for (const line of ['a\n', 'b\n', 'c\n']) channel.write(line);
  expect(sent).toEqual(['a\n']);
  leave();
  leave();
  channel.write('d\n');
  expect(sent).toEqual(['a\n', 'b\nc\n', 'd\n']);
});

test('the end waits for what is on its way', async () => {
  const { channel, leave } = stage();
  await channel.end();
  channel.write('a\n');
  channel.write('b\n');
  let over = false;
  const end = channel.end().then(() => {
    over = true;
  });
  leave();
  await Promise.resolve();
  expect(over).toBe(false);
  leave();
  await end;
});

test('what nobody takes is dropped beyond a bound, and counted', () => {
  const { channel, sent, leave } = stage();
  const line = `${'x'.repeat(1024 * 1024 - 1)}\n`;
  for (let count = 0; count < 20; count++) channel.write(line);
  leave();
  leave();
  expect(sent.map(({ length }) => length / line.length)).toEqual([1, 16, expect.any(Number)]);
  expect(sent[2]).toBe('{"level":"warn","event":"log_lines_dropped","count":3}\n');
});
