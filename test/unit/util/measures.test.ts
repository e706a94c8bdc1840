import { expect, test } from 'vitest';
import { Measures } from '../../../src/util/measures.ts';

function counted(): Measures {
  const measures = new Measures();
  measures.routed.inc('replica', 'plain read');
  measures.routed.inc('replica', 'plain read');
  measures.retries.inc('57P01', 3);
  measures.queryTimePrimary.observe(0.003);
  measures.queryTimePrimary.observe(100);
  measures.clientSentBytes = 2 ** 40;
  return measures;
}

test('a tally has everything that was counted, as plain data', () => {
  const tally = counted().tally();
  expect(structuredClone(tally)).toEqual(tally);
  const names = Object.keys(new Measures());
  expect(Object.keys(tally)).toEqual(names);
  expect(names.length).toBeGreaterThan(20);
});

test('measures that take the tally of others count both', () => {
  const sum = counted();
  sum.add(counted().tally());
  sum.add(new Measures().tally());
  expect([...sum.routed.entries()]).toEqual([['replica', 'plain read', 4]]);
  expect([...sum.retries.entries()]).toEqual([['57P01', 6]]);
  expect(sum.queryTimePrimary.count).toBe(4);
  expect(sum.queryTimePrimary.sum).toBe(200.006);
  expect(sum.queryTimePrimary.cumulative().at(-2), 'under the highest bound').toBe(2);
  expect(sum.clientSentBytes).toBe(2 ** 41);
});

test('everything is added, whatever comes to be measured', () => {
  const one = counted();
  for (const [name, value] of Object.entries(one)) {
    if (typeof value === 'number') Object.assign(one, { [name]: value + 1 });
    else if ('observe' in value) value.observe(1);
    else value.inc('a', 'b');
  }
  const copy = new Measures();
  copy.add(structuredClone(one.tally()));
  expect(copy.tally()).toEqual(one.tally());
});
