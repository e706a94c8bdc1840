import { readFileSync, writeFileSync } from 'node:fs';
import type { BenchCase } from './cases.ts';
import { SUBJECTS, type SubjectName } from './options.ts';
import { largeResultTable, ormTable } from './report.ts';
import { compared, findResult, medianOf, quotient, type Result } from './results.ts';
import { median } from './statistics.ts';
import { type Column, formatMarkdown, type Table } from './table.ts';

const README = new URL('../../README.md', import.meta.url).pathname;
const SECTION = /(<!-- bench: npm run bench -- --readme -->\n\n).*?(\n\n<!-- \/bench -->)/s;

const TITLES: Readonly<Record<SubjectName, string>> = {
  direct: 'direct',
  pgweir: 'pgweir',
  'pgweir-leases': 'without sharing',
  'pgweir-optimistic': 'optimistic',
  pgbouncer: 'PgBouncer',
  pgpool: 'pgpool-II',
};

/** Everything between the markers: where and how it was measured, and the tables, losses included. */
export function readmeSection(
  conditions: readonly string[],
  { cases, results }: { readonly cases: readonly BenchCase[]; readonly results: readonly Result[] },
): string {
  const tables = [
    overview(
      'pgbench',
      'tps',
      cases.filter(({ workload }) => workload !== 'orm' && workload !== 'neighbours'),
      results,
    ),
    overview(
      'p99 of the quick ones, ms',
      'p99Ms',
      cases.filter(({ workload }) => workload === 'neighbours'),
      results,
    ),
    ormTable(cases, results),
    largeResultTable(results),
  ].filter(({ rows }) => rows.length > 0);
  return [...conditions, ...tables.map(formatMarkdown)].join('\n\n');
}

/** @throws Error when README.md has no place for it. */
export function writeReadme(section: string): void {
  const text = readFileSync(README, 'utf8');
  if (!SECTION.test(text)) throw new Error('README.md has no section for the benchmark');
  writeFileSync(
    README,
    text.replace(SECTION, (_, before, after) => `${before}${section}${after}`),
  );
}

/** A line per case, a column per way: what was measured, with transactions per second the proxy's CPU in brackets. */
function overview(title: string, measure: 'tps' | 'p99Ms', shown: readonly BenchCase[], results: readonly Result[]): Table {
  const subjects = SUBJECTS.filter((name) =>
    results.some(({ subject, caseName }) => subject === name && shown.some((benchCase) => benchCase.name === caseName)),
  );
  const columns: readonly Column[] = [
    { title, align: 'left' },
    ...subjects.map((name) => ({ title: TITLES[name], align: 'right' }) as const),
    { title: 'x direct', align: 'right' },
    { title: 'x PgBouncer', align: 'right' },
  ];
  const rows = shown.map((benchCase) => [
    titleOf(benchCase),
    ...subjects.map((name) => cell(findResult(results, benchCase.name, name), measure)),
    ratio(benchCase, 'direct', measure, results),
    ratio(benchCase, 'pgbouncer', measure, results),
  ]);
  return { columns, rows };
}

const WORKLOADS: Readonly<Record<BenchCase['workload'], string>> = {
  'read-only': '`-S`',
  'read-write': 'tpcb-like',
  mixed: '9 `-S` : 1 tpcb-like',
  connect: '`-C -S`, connections,',
  orm: 'ORM',
  neighbours: '99 `-S` : 1 that takes 50 ms,',
};

function titleOf({ workload, protocol, clients }: BenchCase): string {
  return `${WORKLOADS[workload]} ${protocol}, ${clients} ${clients === 1 ? 'client' : 'clients'}`;
}

function cell(result: Result | undefined, measure: 'tps' | 'p99Ms'): string {
  if (result === undefined) return '';
  if (measure === 'p99Ms') return medianOf(result, measure)?.toFixed(2) ?? 'failed';
  const [tps, cpu] = [medianOf(result, 'tps'), medianOf(result, 'proxyCpuUs')];
  if (tps === null) return 'failed';
  return `${grouped(tps)}${cpu === null ? '' : ` (${cpu.toFixed(0)})`}`;
}

/** The median of the rounds' ratios, with the least and the most of them. */
function ratio({ name }: BenchCase, rival: SubjectName, measure: 'tps' | 'p99Ms', results: readonly Result[]): string {
  const pair = { ours: findResult(results, name, 'pgweir'), theirs: findResult(results, name, rival) };
  const rounds = compared(pair, measure, quotient);
  if (rounds.length === 0) return '';
  const [least, most] = [Math.min(...rounds), Math.max(...rounds)];
  return `${median(rounds).toFixed(2)} (${least.toFixed(2)}–${most.toFixed(2)})`;
}

function grouped(value: number): string {
  return value.toFixed(0).replace(/\B(?=(\d{3})+$)/g, ' ');
}
