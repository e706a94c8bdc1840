import { compared, difference, findResult, type Measure, quotient, type Result } from './results.ts';
import { formatRange, median } from './statistics.ts';
import type { Column, Table } from './table.ts';

/** What pgweir is held against, and how; a difference is in the unit of the measure. */
export interface Bound {
  readonly rival: 'direct' | 'pgbouncer';
  readonly kind: 'at least times' | 'at most times' | 'at most more';
  readonly limit: number;
}

export interface Target {
  readonly title: string;
  readonly caseName: string;
  readonly measure: Measure;
  readonly bounds: readonly Bound[];
}

/** What pgweir is to reach, as ratios of the same run: on two cores, with one worker. */
export const TARGETS: readonly Target[] = [
  target('-S simple, 64 clients', 'read-only simple 64', 'tps', [atLeast(1.4, 'direct'), atLeast(1.6, 'pgbouncer')]),
  target('-S prepared, 64 clients', 'read-only prepared 64', 'tps', [atLeast(1.3, 'direct'), atLeast(1.5, 'pgbouncer')]),
  target('-S simple, 16 clients', 'read-only simple 16', 'tps', [atLeast(1.1, 'direct'), atLeast(1.4, 'pgbouncer')]),
  target('-S simple, 1 client, p50', 'read-only simple 1', 'p50Ms', [{ rival: 'pgbouncer', kind: 'at most more', limit: 0.025 }]),
  ...(['simple', 'extended', 'prepared'] as const).map((protocol) =>
    target(`-S ${protocol}, 64 clients, CPU per query of the proxy`, `read-only ${protocol} 64`, 'proxyCpuUs', [
      { rival: 'pgbouncer', kind: 'at most times', limit: 0.75 },
    ]),
  ),
  target('tpcb-like simple, 16 clients', 'read-write simple 16', 'tps', [atLeast(1, 'pgbouncer')]),
  target('connections per second (-C -S)', 'connect simple 16', 'tps', [atLeast(5, 'direct')]),
  ...[16, 64].map((clients) =>
    target(`reads beside one in a hundred that takes 50 ms, ${clients} clients, p99`, `neighbours simple ${clients}`, 'p99Ms', [
      { rival: 'direct', kind: 'at most times', limit: 1.5 },
    ]),
  ),
  target('1 GB result, throughput', 'result fast', 'megabytesPerSecond', [atLeast(1, 'pgbouncer')]),
];

function target(title: string, caseName: string, measure: Measure, bounds: readonly Bound[]): Target {
  return { title, caseName, measure, bounds };
}

function atLeast(limit: number, rival: Bound['rival']): Bound {
  return { rival, kind: 'at least times', limit };
}

export interface Verdict {
  readonly outcome: 'reached' | 'not reached' | 'not measured';
  /** The median over the rounds of what the bound limits; null when it was not measured. */
  readonly value: number | null;
  readonly range: string;
}

/** Whether pgweir keeps to one bound of a target. */
export function judge({ caseName, measure }: Target, { rival, kind, limit }: Bound, results: readonly Result[]): Verdict {
  const pair = { ours: findResult(results, caseName, 'pgweir'), theirs: findResult(results, caseName, rival) };
  const [compare, digits] = kind === 'at most more' ? [difference, 3] : [quotient, 2];
  const rounds = compared(pair, measure, compare);
  if (rounds.length === 0) return { outcome: 'not measured', value: null, range: '' };
  const value = median(rounds);
  const reached = kind === 'at least times' ? value >= limit : value <= limit;
  return { outcome: reached ? 'reached' : 'not reached', value, range: formatRange(rounds, digits) };
}

const COLUMNS: readonly Column[] = [
  { title: 'target', align: 'left' },
  { title: 'bound', align: 'left' },
  { title: 'measured', align: 'right' },
  { title: 'rounds', align: 'right' },
  { title: '', align: 'left' },
];

/** Every bound of every target, with what was measured. */
export function targetTable(results: readonly Result[]): Table {
  const rows = TARGETS.flatMap((each) =>
    each.bounds.map((bound, index) => {
      const { outcome, value, range } = judge(each, bound, results);
      const measured = value === null ? '' : formatValue(bound, value);
      return [index === 0 ? each.title : '', formatBound(bound), measured, range, outcome];
    }),
  );
  return { columns: COLUMNS, rows };
}

function formatBound({ kind, limit, rival }: Bound): string {
  const name = rival === 'pgbouncer' ? 'PgBouncer' : rival;
  if (kind === 'at most more') return `at most ${name} + ${limit.toFixed(3)} ms`;
  return `${kind === 'at least times' ? 'at least' : 'at most'} ${limit.toFixed(2)} x ${name}`;
}

function formatValue({ kind }: Bound, value: number): string {
  return kind === 'at most more' ? `${value < 0 ? '-' : '+'} ${Math.abs(value).toFixed(3)} ms` : `${value.toFixed(2)} x`;
}
