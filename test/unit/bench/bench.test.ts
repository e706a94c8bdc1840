import { describe, expect, test } from 'vitest';
import { CLIENTS, casesFor, isChosen, PROTOCOLS, warmUpOf } from '../../bench/cases.ts';
import { parseOptions, SUBJECTS } from '../../bench/options.ts';
import { cpuSecondsOf, familySizeOf, memoryBytesOf } from '../../bench/process-usage.ts';
import { versionNumberOf } from '../../bench/programs.ts';
import { formatRange, median, quantile, rotated } from '../../bench/statistics.ts';
import { fits } from '../../bench/subjects.ts';
import { formatMarkdown, formatTable, ruled } from '../../bench/table.ts';

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

  test('a range names both extremes, and is silent where they cannot differ', () => {
    expect(formatRange([110, 90, 100], 0)).toBe('90..110');
    expect(formatRange([5], 0)).toBe('');
  });

  test('rounds begin with another subject each time, and leave none out', () => {
    expect([0, 1, 2, 3].map((round) => rotated(['a', 'b', 'c'], round).join(''))).toEqual(['abc', 'bca', 'cab', 'abc']);
    expect(rotated([], 3)).toEqual([]);
  });
});

describe('choosing cases', () => {
  const all = casesFor(CLIENTS, PROTOCOLS);

  test('each case has a name of its own', () => {
    expect(all).toHaveLength(3 * 3 * 5 + 5);
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  });

  test('clients and protocols choose', () => {
    expect(casesFor([16], ['extended']).map(({ name }) => name)).toEqual([
      'read-only extended 16',
      'read-write extended 16',
      'mixed extended 16',
      'orm extended 16',
    ]);
  });

  test('each kind of work is warmed up once', () => {
    expect(warmUpOf(casesFor([1, 64], ['simple'])).map(({ name }) => name)).toEqual([
      'read-only simple 16',
      'read-write simple 16',
      'mixed simple 16',
      'neighbours simple 16',
    ]);
  });

  test.each([
    ['pgweir', 'read-write', true],
    ['pgweir-leases', 'mixed', true],
    ['pgweir-leases', 'read-write', false],
    ['pgweir-leases', null, false],
    ['pgweir-optimistic', 'orm', true],
    ['pgweir-optimistic', 'read-only', false],
  ] as const)('%s is run with %s: %s', (name, workload, expected) => {
    expect(fits(name, workload)).toBe(expected);
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
  test('the full run has at least five rounds of everything', () => {
    const options = parseOptions([]);
    expect(options).toMatchObject({ targets: false, clients: CLIENTS, protocols: PROTOCOLS, subjects: SUBJECTS });
    expect(options.rounds).toBeGreaterThanOrEqual(5);
  });

  test('quick is one short round of what the targets speak of, unless said otherwise', () => {
    expect(parseOptions(['--quick'])).toMatchObject({ rounds: 1, seconds: 2, targets: true });
    expect(parseOptions(['--quick', '--seconds', '9'])).toMatchObject({ rounds: 1, seconds: 9, targets: true });
    expect(parseOptions(['--quick', '--clients', '1,16'])).toMatchObject({ clients: [1, 16], targets: false });
  });

  test.each([
    [['--seconds', '0']],
    [['--rounds', 'x']],
    [['--subjects', 'odyssey']],
    [['--clients', '1,some']],
    [['--protocols', 'simple,udp']],
    [['--unknown']],
  ])('%j is refused', (args) => {
    expect(() => parseOptions(args)).toThrow(/--/);
  });
});

describe('tables', () => {
  const columns = [
    { title: 'way', align: 'left' },
    { title: 'tps', align: 'right' },
  ] as const;
  const rows = ruled([[['direct', '1']], [], [['x', '1000']]]);

  test('a table has its columns in line, and rules between blocks that are not empty', () => {
    expect(formatTable({ columns, rows }).split('\n')).toEqual([
      'way      tps',
      '------  ----',
      'direct     1',
      '------  ----',
      'x       1000',
    ]);
  });

  test('a table of Markdown says which columns are numbers', () => {
    expect(formatMarkdown({ columns, rows }).split('\n')).toEqual([
      '| way    |  tps |',
      '| ------ | ---: |',
      '| direct |    1 |',
      '| x      | 1000 |',
    ]);
  });
});

test.each([
  ['PgBouncer 1.18.0', 1.18],
  ['PgBouncer 1.9.0', 1.09],
  ['PgBouncer 1.21.0', 1.21],
])('%s is version %d', (text, version) => {
  expect(versionNumberOf(text)).toBeCloseTo(version);
});

test.runIf(process.platform === 'linux')('the usage of this process is at least what Node says of it', () => {
  const [cpuSeconds, memoryBytes] = [cpuSecondsOf(process.pid), memoryBytesOf(process.pid)];
  const { rss } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  // Children that have ended count too, and other tests of this process may have had some.
  expect((cpuSeconds ?? 0) - (user + system) / 1e6).toBeGreaterThan(-1);
  expect((memoryBytes ?? 0) / rss).toBeGreaterThan(0.5);
  expect(familySizeOf(process.pid)).toBeGreaterThanOrEqual(1);
});
