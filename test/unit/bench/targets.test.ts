import { describe, expect, test } from 'vitest';
import { CLIENTS, casesFor, PROTOCOLS } from '../../bench/cases.ts';
import { RESULT_CASES } from '../../bench/large-result.ts';
import type { SubjectName } from '../../bench/options.ts';
import { readmeSection } from '../../bench/readme.ts';
import { loadTable, ormTable } from '../../bench/report.ts';
import { compared, type Measurement, medianOf, quotient, type Result } from '../../bench/results.ts';
import { formatMarkdown, formatTable } from '../../bench/table.ts';
import { judge, TARGETS, type Target, targetTable } from '../../bench/targets.ts';

const CASE = 'read-only simple 64';

function result(subject: SubjectName, rounds: readonly (Measurement | null)[], caseName = CASE): Result {
  return { caseName, subject, rounds, error: rounds.includes(null) ? 'pgbench ended with 1' : null };
}

function tps(subject: SubjectName, ...values: number[]): Result {
  return result(
    subject,
    values.map((value) => ({ tps: value })),
  );
}

describe('rounds', () => {
  test('a ratio holds each round against the same round, so a slow minute does not count', () => {
    const [ours, theirs] = [tps('pgweir', 150, 15, 1500), tps('direct', 100, 10, 1000)];
    for (const ratio of compared({ ours, theirs }, 'tps', quotient)) expect(ratio).toBeCloseTo(1.5);
  });

  test('a result with a failed round counts for nothing', () => {
    const failed = result('pgweir', [{ tps: 100 }, null]);
    expect(medianOf(failed, 'tps')).toBeNull();
    expect(compared({ ours: failed, theirs: tps('direct', 1, 2) }, 'tps', quotient)).toEqual([]);
  });

  test('what a subject does not have is not measured', () => {
    expect(medianOf(result('direct', [{ tps: 1, proxyCpuUs: null }]), 'proxyCpuUs')).toBeNull();
    expect(medianOf(undefined, 'tps')).toBeNull();
  });
});

describe('targets', () => {
  const least: Target = {
    title: 'tps',
    caseName: CASE,
    measure: 'tps',
    bounds: [{ rival: 'direct', kind: 'at least times', limit: 1.4 }],
  };
  const most: Target = {
    title: 'CPU',
    caseName: CASE,
    measure: 'proxyCpuUs',
    bounds: [{ rival: 'pgbouncer', kind: 'at most times', limit: 0.75 }],
  };
  const more: Target = {
    title: 'p50',
    caseName: CASE,
    measure: 'p50Ms',
    bounds: [{ rival: 'pgbouncer', kind: 'at most more', limit: 0.025 }],
  };
  const of = (target: Target, subject: SubjectName, value: number) => result(subject, [{ [target.measure]: value }]);

  test.each([
    [least, 'direct', 140, 100, 'reached'],
    [least, 'direct', 139, 100, 'not reached'],
    [most, 'pgbouncer', 12, 16, 'reached'],
    [most, 'pgbouncer', 12.1, 16, 'not reached'],
    [more, 'pgbouncer', 0.09, 0.07, 'reached'],
    [more, 'pgbouncer', 0.1, 0.07, 'not reached'],
  ] as const)('$title of $2 against $1 with $3: $4', (target, rival, ours, theirs, outcome) => {
    const [bound] = target.bounds;
    if (bound === undefined) throw new Error('a target without a bound');
    expect(judge(target, bound, [of(target, 'pgweir', ours), of(target, rival, theirs)]).outcome).toBe(outcome);
  });

  test('what was not run, or failed, is neither reached nor missed', () => {
    const [bound] = least.bounds;
    if (bound === undefined) throw new Error('a target without a bound');
    expect(judge(least, bound, []).outcome).toBe('not measured');
    expect(judge(least, bound, [result('pgweir', [null]), tps('direct', 1)]).outcome).toBe('not measured');
  });

  test('each target speaks of a case that is run by default', () => {
    const names = [...casesFor(CLIENTS, PROTOCOLS).map(({ name }) => name), ...RESULT_CASES];
    for (const { caseName } of TARGETS) expect(names).toContain(caseName);
  });

  test('the table has a line for each bound, with its verdict', () => {
    const text = formatTable(
      targetTable([tps('pgweir', 140, 150, 160), tps('direct', 100, 100, 100), tps('pgbouncer', 100, 100, 100)]),
    );
    expect(text).toMatch(/-S simple, 64 clients +at least 1\.40 x direct +1\.50 x +1\.40\.\.1\.60 +reached/);
    expect(text).toMatch(/at least 1\.60 x PgBouncer +1\.50 x +1\.40\.\.1\.60 +not reached/);
    expect(text.split('\n')).toHaveLength(2 + TARGETS.flatMap(({ bounds }) => bounds).length);
  });
});

describe('reports', () => {
  const cases = casesFor([16, 64], ['simple']).filter(({ workload }) => workload === 'read-only' || workload === 'orm');

  test('a failed case is shown as failed, beside those that were measured', () => {
    const text = formatTable(loadTable(cases, [tps('direct', 100, 110), result('pgweir', [null])]));
    expect(text).toMatch(/direct +105 +100\.\.110/);
    expect(text).toMatch(/pgweir +failed/);
  });

  test('CPU of the ORM is told per transaction, which is five queries', () => {
    const orm = result(
      'pgweir-optimistic',
      [{ tps: 10, primaryCpuUs: 1, replicasCpuUs: 20, replicaShare: 0.99 }],
      'orm simple 16',
    );
    const direct = result('direct', [{ tps: 10, primaryCpuUs: 20, replicasCpuUs: 0 }], 'orm simple 16');
    const text = formatMarkdown(ormTable(cases, [direct, orm]));
    expect(text).toMatch(/\| pgweir-optimistic \| +10 \| +5 \| +0\.05 \| +100 \| +99 % \|/);
  });

  test('the section of the README holds losses, spreads and conditions', () => {
    const results = [tps('direct', 40_000, 40_000), tps('pgweir', 20_000, 30_000)];
    const text = readmeSection(['on this machine'], { cases, results });
    expect(text).toMatch(/^on this machine\n/);
    expect(text).toMatch(/`-S` simple, 64 clients +\| +40 000 \| +25 000 \| 0\.63 \(0\.50–0\.75\) \|/);
  });
});
