import { expect, test } from 'vitest';
import { LabelCounter, OVERFLOW_LABEL, PairCounter } from '../../../src/util/counter.ts';

test('a label that was never counted is zero', () => {
  expect(new LabelCounter().get('x')).toBe(0);
  expect(new PairCounter().get('x', 'y')).toBe(0);
});

test('counts each label by itself', () => {
  const counter = new LabelCounter();
  counter.inc('a');
  counter.inc('b', 3);
  counter.inc('a');
  expect([...counter.entries()]).toEqual([
    ['a', 2],
    ['b', 3],
  ]);
  expect(counter.total).toBe(5);
});

test('counts each pair by itself', () => {
  const counter = new PairCounter();
  counter.inc('primary', 'hint');
  counter.inc('replica', 'hint');
  counter.inc('primary', 'hint');
  counter.inc('primary', 'pinned');
  expect([...counter.entries()]).toEqual([
    ['primary', 'hint', 2],
    ['primary', 'pinned', 1],
    ['replica', 'hint', 1],
  ]);
});

test('labels without bound are counted together and none is lost', () => {
  const labels = new LabelCounter();
  const pairs = new PairCounter();
  for (let i = 0; i < 1000; i++) {
    labels.inc(`label ${i}`);
    pairs.inc(`first ${i}`, 'second');
    pairs.inc('first 0', `second ${i}`);
  }
  expect([...labels.entries()].length).toBeLessThanOrEqual(101);
  expect(labels.total).toBe(1000);
  expect(labels.get(OVERFLOW_LABEL)).toBeGreaterThan(0);
  const counts = [...pairs.entries()];
  expect(counts.length).toBeLessThanOrEqual(202);
  expect(counts.reduce((sum, [, , count]) => sum + count, 0)).toBe(2000);
});
