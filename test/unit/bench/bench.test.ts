import { describe, expect, test } from 'vitest';
import { CASES, isChosen } from '../../bench/cases.ts';
import { parseOptions } from '../../bench/options.ts';
import { usageOf } from '../../bench/process-usage.ts';
import { median, quantile, spread } from '../../bench/statistics.ts';
import { formatTable } from '../../bench/table.ts';

describe('statistics', () => {
  test('a quantile is the value of the nearest rank', () => {
    const values = Array.from({ length: 100 }, (_, index) => index + 1);
    expect([0, 0.5, 0.99, 1].map((share) => quantile(values, share))).toEqual([1, 50, 99, 100]);
    expect(quantile([7], 0.99)).toBe(7);
    expect(quantile([], 0.5)).toBeNaN();
  });

  test('a median is the middle of an unsorted list', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([9, 1, 5, 6])).toBe(5.5);
    expect(median([])).toBeNaN();
  });

  test('spread is the distance of the extremes as a share of the median', () => {
    expect(spread([90, 100, 110])).toBeCloseTo(0.2);
    expect(spread([5])).toBe(0);
  });
});

describe('choosing cases', () => {
  test('each case has a name of its own', () => {
    expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length);
  });

  test.each([
    ['read-only simple 16', [], true],
    ['read-only simple 16', ['16 simple'], true],
    ['read-only simple 16', ['simple 1'], false],
    ['read-only simple 16', ['connect', 'read-only'], true],
    ['read-only simple 16', ['connect'], false],
  ])('%s by %j: %s', (name, patterns, chosen) => {
    expect(isChosen(name, patterns)).toBe(chosen);
  });
});

describe('options', () => {
  test('quick is one short round, unless said otherwise', () => {
    expect(parseOptions(['--quick'])).toMatchObject({ rounds: 1, seconds: 2 });
    expect(parseOptions(['--quick', '--seconds', '9'])).toMatchObject({ rounds: 1, seconds: 9 });
  });

  test.each([[['--seconds', '0']], [['--rounds', 'x']], [['--subjects', 'odyssey']], [['--unknown']]])(
    '%j is refused',
    (args) => {
      expect(() => parseOptions(args)).toThrow(/--/);
    },
  );
});

test('a table has its columns in line', () => {
  const columns = [
    { title: 'way', align: 'left' },
    { title: 'tps', align: 'right' },
  ] as const;
  expect(formatTable(columns, [['direct', '1'], null, ['x', '1000']]).split('\n')).toEqual([
    'way      tps',
    '------  ----',
    'direct     1',
    '------  ----',
    'x       1000',
  ]);
});

test.runIf(process.platform === 'linux')('the usage of this process is at least what Node says of it', () => {
  const usage = usageOf(process.pid);
  const { rss } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  // Children that have ended count too, and other tests of this process may have had some.
  expect((usage?.cpuSeconds ?? 0) - (user + system) / 1e6).toBeGreaterThan(-1);
  expect((usage?.memoryBytes ?? 0) / rss).toBeGreaterThan(0.5);
});
