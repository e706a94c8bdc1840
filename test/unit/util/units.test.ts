import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../../src/util/units.ts';

describe('a duration', () => {
  it.each([
    ['0ms', 0],
    ['100ms', 100],
    ['1.5s', 1500],
    ['5 s', 5000],
    [' 10m ', 600_000],
    ['1h', 3_600_000],
    ['2d', 172_800_000],
    ['5', null],
    ['', null],
    ['s', null],
    ['-1s', null],
    ['1e3s', null],
    ['5S', null],
    ['5 seconds', null],
    ['1h30m', null],
    ['999999999999999d', null],
  ])('%j is %s ms', (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  it('is read back from its text', () => {
    fc.assert(fc.property(fc.nat(), (ms) => parseDuration(formatDuration(ms)) === ms));
    expect([0, 1, 1000, 90_000, 3_600_000, 86_400_000].map(formatDuration)).toEqual(['0ms', '1ms', '1s', '90s', '1h', '1d']);
  });
});

describe('a size', () => {
  it.each([
    ['512B', 512],
    ['64KiB', 65_536],
    ['64kib', 65_536],
    ['1 MB', 1_000_000],
    ['1.5KiB', 1536],
    ['2GiB', 2_147_483_648],
    ['0.5B', null],
    ['64', null],
    ['64K', null],
    ['-1B', null],
    ['999999999GiB', null],
  ])('%j is %s bytes', (text, expected) => {
    expect(parseSize(text)).toBe(expected);
  });

  it('is read back from its text', () => {
    fc.assert(fc.property(fc.nat(), (bytes) => parseSize(formatSize(bytes)) === bytes));
  });
});
