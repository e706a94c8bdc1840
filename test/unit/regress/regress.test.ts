import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { compareOutputs } from '../../regress/comparison.ts';
import { readShare, samplesOf } from '../../regress/metrics-page.ts';
import { parseOptions } from '../../regress/options.ts';
import { formatComparison, formatMetrics } from '../../regress/report.ts';

test('outputs are compared byte by byte, test by test, and a missing one differs', () => {
  const reference = directoryOf({ 'date.out': 'a\nb\n', 'int4.out': 'same\n', 'temp.out': 'x\n', 'notes.txt': 'no test' });
  const other = directoryOf({ 'date.out': 'a\nc\n', 'int4.out': 'same\n', 'notes.txt': 'another' });
  const { tests, differing } = compareOutputs(reference, other);
  expect(tests).toBe(3);
  expect(differing.map(({ test }) => test)).toEqual(['date', 'temp']);
  expect(differing[0]?.diff).toBe('@@ -1,2 +1,2 @@\n a\n-b\n+c');
  expect(differing[1]?.diff).toBe('no output');
  expect(formatComparison({ tests, differing })).toContain('1 of 3 identical\ndiffer: date temp\n');
});

test('bytes that are no UTF-8 make a difference too', () => {
  const [reference, other] = [directoryOf({ 'a.out': Buffer.of(0xff) }), directoryOf({ 'a.out': Buffer.of(0xfe) })];
  expect(compareOutputs(reference, other).differing).toHaveLength(1);
});

test('only the first lines of a difference are printed', () => {
  const diff = Array.from({ length: 100 }, (_, index) => `+${index}`).join('\n');
  const printed = formatComparison({ tests: 1, differing: [{ test: 'a', diff }] });
  expect(printed).toContain('+0');
  expect(printed).not.toContain('+99');
  expect(printed).toMatch(/\(\d+ more lines\)$/);
});

const PAGE = `# TYPE pgweir_routed_total counter
pgweir_routed_total{target="replica",reason="plain read"} 90
pgweir_routed_total{target="replica",reason="in transaction"} 7
pgweir_routed_total{target="replica",reason="session control"} 50
pgweir_routed_total{target="primary",reason="fence not reached"} 5
pgweir_routed_total{target="primary",reason="no eligible replica"} 3
pgweir_routed_total{target="primary",reason="pinned"} 40
pgweir_routed_total{target="primary",reason="session control"} 2
pgweir_routed_total_of_another{target="replica",reason="plain read"} 1000
# TYPE pgweir_retries_total counter
pgweir_retries_total{cause="0A000"} 4
pgweir_pins_total{reason="listen"} 1
pgweir_pins_total{reason="temporary object"} 2
`;

test('samples are those of the metric, with its labels', () => {
  expect(samplesOf(PAGE, 'pgweir_retries_total')).toEqual([{ labels: { cause: '0A000' }, value: 4 }]);
  expect(samplesOf(PAGE, 'pgweir_routed_total')).toHaveLength(7);
  expect(samplesOf('pgweir_clients_limit 10000\n', 'pgweir_clients_limit')).toEqual([{ labels: {}, value: 10_000 }]);
});

test('what a replica refused is no read that it served, and what reads nothing is no read', () => {
  expect(readShare(PAGE)).toEqual({ all: 193, eligible: 101, served: 93 });
});

test('the report says what was counted, most first', () => {
  const report = formatMetrics(PAGE);
  expect(report).toContain('replicas served 93 of 101 eligible reads (92.1 %), 48.2 % of all 193 batches');
  expect(report).toContain('to primary: 40 pinned, 5 fence not reached, 3 no eligible replica, 2 session control');
  expect(report).toContain('\npins: 2 temporary object, 1 listen\nunpins: none\n');
  expect(formatMetrics('')).toContain('replicas served 0 of 0 eligible reads (-)');
});

test('the suite is named by an option, else by the environment', () => {
  const env = { PG_REGRESS_SUITE: '/from/environment' };
  expect(parseOptions([], env)).toMatchObject({ suite: '/from/environment', mode: 'transaction', transactions: null, runs: 1 });
  expect(parseOptions(['--suite', '/given', '--mode', 'session', '--shared', 'off'], env)).toMatchObject({
    suite: '/given',
    mode: 'session',
    shared: false,
  });
  expect(parseOptions([], {}).suite).toBeNull();
});

test.each([
  [['--mode', 'statement']],
  [['--shared', 'no']],
  [['--transactions', 'all']],
  [['--runs', '0']],
  [['--port', 'x']],
  [['--unknown']],
])('%j is refused', (args) => {
  expect(() => parseOptions(args, {})).toThrow(/--/);
});

function directoryOf(files: Readonly<Record<string, string | Buffer>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'pgweir-regress-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content);
  return directory;
}
