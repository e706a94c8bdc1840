import { expect, test } from 'vitest';
import { FencePatience } from '../../../src/topology/fence-patience.ts';

const LIMIT_MS = 10;

function waits(patience: FencePatience, nowMs: number, limitMs: number): boolean {
  if (!patience.hasPatience(nowMs)) return false;
  patience.began(nowMs, limitMs);
  return true;
}

/** Reads that come one every ten milliseconds, and wait as long if it is in vain: how many of them wait. */
function waiting(patience: FencePatience, reached: boolean, fromMs: number, reads: number): number {
  let waited = 0;
  for (let read = 0; read < reads; read++) {
    const now = fromMs + read * LIMIT_MS;
    if (!waits(patience, now, LIMIT_MS)) continue;
    waited++;
    patience.ended(reached, now, now + (reached ? 1 : LIMIT_MS));
  }
  return waited;
}

test('reads wait until it was in vain again and again', () => {
  const patience = new FencePatience();
  expect(waiting(patience, true, 0, 100)).toBe(100);
  expect(waiting(patience, false, 1000, 11)).toBe(11);
  // One tries.
  expect(waiting(patience, false, 2000, 4)).toBe(1);
});

test('many that have missed the same moment count as one', () => {
  const patience = new FencePatience();
  for (let moment = 0; moment < 10; moment++) {
    const now = moment * LIMIT_MS;
    for (let read = 0; read < 100; read++) expect(waits(patience, now + read / 100, LIMIT_MS)).toBe(true);
    for (let read = 0; read < 100; read++) patience.ended(false, now + read / 100, now + LIMIT_MS);
  }
});

test('where half of the waits are not in vain, reads go on to wait', () => {
  const patience = new FencePatience();
  for (let read = 0; read < 1000; read++) {
    const now = read * LIMIT_MS;
    expect(waits(patience, now, LIMIT_MS)).toBe(true);
    patience.ended(read % 2 === 0, now, now + LIMIT_MS);
  }
});

test('where it is in vain, ever fewer try, and one every five seconds at last', () => {
  const patience = new FencePatience();
  waiting(patience, false, 0, 6000);
  expect(waiting(patience, false, 60_000, 500)).toBe(1);
  expect(waiting(patience, false, 65_000, 500)).toBe(1);
});

test('one that tries and is in time lets others wait again', () => {
  const patience = new FencePatience();
  waiting(patience, false, 0, 6000);
  // The next try is due within five seconds.
  expect(waiting(patience, true, 60_000, 1000)).toBeGreaterThanOrEqual(500);
});

test('a limit of a second is not tried more often than one of a few milliseconds at last', () => {
  const patience = new FencePatience();
  for (let time = 0; time < 20; time++) {
    waits(patience, time * 1000, 1000);
    patience.ended(false, time * 1000, time * 1000 + 1000);
  }
  expect(waits(patience, 19_001, 60_000)).toBe(false);
  expect(waits(patience, 40_000, 60_000)).toBe(true);
  expect(waits(patience, 44_999, 60_000)).toBe(false);
});

test('asking does not use up a try', () => {
  const patience = new FencePatience();
  waiting(patience, false, 0, 6000);
  for (let time = 0; time < 10; time++) expect(patience.hasPatience(70_000)).toBe(true);
});
