import { expect, test } from 'vitest';
import { EventLoopDelay } from '../../../src/admin/event-loop-delay.ts';

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('a blocked event loop shows as a delay of that length', async () => {
  using delay = new EventLoopDelay();
  await sleep(50);
  const before = delay.histogram.sum;
  const start = performance.now();
  while (performance.now() - start < 200);
  await sleep(50);
  expect(delay.histogram.sum - before).toBeGreaterThan(0.15);
});

test('measures nothing after it was disposed', async () => {
  const delay = new EventLoopDelay();
  delay[Symbol.dispose]();
  await sleep(60);
  expect(delay.histogram.count).toBe(0);
});
