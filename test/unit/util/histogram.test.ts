import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BugError } from '../../../src/util/assert.ts';
import { Histogram, LATENCY_BOUNDS_SECONDS } from '../../../src/util/histogram.ts';

function naiveCumulative(values: readonly number[], bounds: readonly number[]): number[] {
  return [...bounds.map((bound) => values.filter((value) => value <= bound).length), values.length];
}

describe('Histogram', () => {
  test.each(LATENCY_BOUNDS_SECONDS)('counts a value equal to the bound %d under that bound', (bound) => {
    const histogram = new Histogram();
    histogram.observe(bound);
    expect(histogram.cumulative()).toEqual(naiveCumulative([bound], LATENCY_BOUNDS_SECONDS));
  });

  test('agrees with comparing every value with every bound', () => {
    const duration = fc.oneof(
      fc.double({ min: 0, max: 100, noNaN: true }),
      fc.double({ min: 0, max: 0.01, noNaN: true }),
      fc.constantFrom(...LATENCY_BOUNDS_SECONDS),
      fc.constantFrom(0, 1e-7, 4294, 4296, 1e9, Infinity),
    );
    fc.assert(
      fc.property(fc.array(duration), (values) => {
        const histogram = new Histogram();
        for (const value of values) histogram.observe(value);
        expect(histogram.cumulative()).toEqual(naiveCumulative(values, LATENCY_BOUNDS_SECONDS));
        expect(histogram.count).toBe(values.length);
      }),
    );
  });

  test('agrees for any ascending bounds', () => {
    const bounds = fc
      .uniqueArray(fc.double({ min: 1e-7, max: 4000, noNaN: true }), { minLength: 1, maxLength: 40 })
      .map((values) => values.toSorted((a, b) => a - b));
    fc.assert(
      fc.property(bounds, fc.array(fc.double({ min: 0, max: 5000, noNaN: true })), (someBounds, values) => {
        const histogram = new Histogram(someBounds);
        for (const value of values) histogram.observe(value);
        expect(histogram.cumulative()).toEqual(naiveCumulative(values, someBounds));
      }),
    );
  });

  test('counts a negative duration and NaN as zero', () => {
    const histogram = new Histogram();
    histogram.observe(-1);
    histogram.observe(Number.NaN);
    expect(histogram.cumulative()[0]).toBe(2);
    expect(histogram.sum).toBe(0);
  });

  test('adds up the seconds', () => {
    const histogram = new Histogram();
    for (const value of [0.5, 0.25, 90]) histogram.observe(value);
    expect(histogram.sum).toBe(90.75);
  });

  test('interpolates a quantile inside its bucket and stops at the highest bound', () => {
    const histogram = new Histogram([1, 2, 4]);
    expect(histogram.quantile(0.5)).toBeNull();
    for (const value of [1.5, 1.5, 3, 3]) histogram.observe(value);
    expect(histogram.quantile(0.25)).toBe(1.5);
    expect(histogram.quantile(0.5)).toBe(2);
    expect(histogram.quantile(1)).toBe(4);
    histogram.observe(1000);
    expect(histogram.quantile(1)).toBe(4);
  });

  test.each([[[]], [[1, 1]], [[2, 1]], [[0]], [[-1, 1]], [[5000]]])('refuses the bounds %j', (bounds) => {
    expect(() => new Histogram(bounds)).toThrow(BugError);
  });
});
