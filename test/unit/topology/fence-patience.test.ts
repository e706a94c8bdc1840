import { expect, test } from 'vitest';
import { FencePatience } from '../../../src/topology/fence-patience.ts';

const LIMIT_MS = 10;

/** Reads that come one a millisecond: how many of them wait, each with the outcome that is given. */
function waiting(patience: FencePatience, reached: boolean, fromMs: number, reads: number): number {
  let waited = 0;
  for (let read = 0; read < reads; read++) {
    if (!patience.waits(fromMs + read, LIMIT_MS)) continue;
    waited++;
    patience.ended(reached);
  }
  return waited;
}

test('reads wait until it was in vain again and again', () => {
  const patience = new FencePatience();
  expect(waiting(patience, true, 0, 100)).toBe(100);
  for (let time = 0; time < 11; time++) {
    expect(patience.waits(100, LIMIT_MS)).toBe(true);
    patience.ended(false);
  }
  expect(waiting(patience, false, 100, 10)).toBe(1);
});

test('where half of the waits are not in vain, reads go on to wait', () => {
  const patience = new FencePatience();
  let waited = 0;
  for (let read = 0; read < 1000; read++) {
    if (!patience.waits(read, LIMIT_MS)) continue;
    waited++;
    patience.ended(read % 3 !== 0);
  }
  expect(waited).toBe(1000);
});

test('where it is in vain, ever fewer try, and one every five seconds at last', () => {
  const patience = new FencePatience();
  waiting(patience, false, 0, 60_000);
  expect(waiting(patience, false, 60_000, 5000)).toBe(1);
  expect(waiting(patience, false, 65_000, 5000)).toBe(1);
});

test('it is found out when waiting pays again', () => {
  const patience = new FencePatience();
  waiting(patience, false, 0, 60_000);
  // The first try within five seconds, then one every four limits until there were enough of them.
  expect(waiting(patience, true, 60_000, 7000)).toBeGreaterThan(500);
});

test('a limit of a second is not tried more often than one of a few milliseconds at last', () => {
  const patience = new FencePatience();
  for (let time = 0; time < 20; time++) {
    patience.waits(0, 1000);
    patience.ended(false);
  }
  expect(patience.waits(1, 60_000)).toBe(false);
  expect(patience.waits(20_000, 60_000)).toBe(true);
  expect(patience.waits(24_999, 60_000)).toBe(false);
});
