import { expect, test } from 'vitest';
import { humanBytes, humanCount, humanDuration } from '../../../src/admin/human.ts';

test.each([
  [0, '0 s'],
  [0.000_25, '250 µs'],
  [0.0012, '1.2 ms'],
  [0.25, '250 ms'],
  [3, '3 s'],
  [59.96, '60 s'],
  [61, '1 min 1 s'],
  [7500, '2 h 5 min'],
  [200_000, '2 d 7 h'],
])('%d seconds are %s', (seconds, text) => {
  expect(humanDuration(seconds)).toBe(text);
});

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1536, '1.5 KiB'],
  [16 * 1024 * 1024, '16 MiB'],
  [2 ** 60, '1024 PiB'],
])('%d bytes are %s', (bytes, text) => {
  expect(humanBytes(bytes)).toBe(text);
});

test.each([
  [0, '0'],
  [999, '999'],
  [1234567, '1\u2009234\u2009567'],
])('%d is %s', (count, text) => {
  expect(humanCount(count)).toBe(text);
});
