import { expect, test } from 'vitest';
import { RestartDelay } from '../../../src/workers/restart-delay.ts';

test('who dies at once again and again is replaced more and more slowly, up to a bound', () => {
  const delay = new RestartDelay();
  expect(Array.from({ length: 9 }, () => delay.died(50))).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
});

test('who has lived for a while is replaced at once, and what was before it is forgotten', () => {
  const delay = new RestartDelay();
  delay.died(50);
  delay.died(50);
  expect(delay.died(60_000)).toBe(0);
  expect(delay.died(50)).toBe(100);
});
