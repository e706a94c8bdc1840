import { type BenchCase, QUERIES_PER_TRANSACTION } from './cases.ts';
import { RESULT_CASES } from './large-result.ts';
import { compared, findResult, type Measure, medianOf, quotient, type Result, valuesOf } from './results.ts';
import { formatRange, median } from './statistics.ts';
import { type Column, ruled, type Table } from './table.ts';

const MEGABYTE = 2 ** 20;

const COLUMNS: readonly Column[] = [
  { title: 'workload', align: 'left' },
  { title: 'protocol', align: 'left' },
  { title: 'clients', align: 'right' },
  { title: 'way', align: 'left' },
  { title: 'tps', align: 'right' },
  { title: 'rounds', align: 'right' },
  { title: 'x direct', align: 'right' },
  { title: 'x PgBouncer', align: 'right' },
  { title: 'p50 ms', align: 'right' },
  { title: 'p99 ms', align: 'right' },
  { title: 'CPU us', align: 'right' },
  { title: 'x PgBouncer', align: 'right' },
  { title: 'primary us', align: 'right' },
  { title: 'replicas us', align: 'right' },
  { title: 'on replicas', align: 'right' },
  { title: 'MB', align: 'right' },
];

export const LEGEND = `Medians over the rounds; "rounds" is the least and the most of them. Ratios are medians of each round's by the same round's.
CPU is per query, that of connecting and of the replay of WAL included: of the proxy, of the primary's processes, of the replicas'. "On replicas" is the share of pgweir's batches.`;

/** What pgbench measured, by case and way. */
export function loadTable(cases: readonly BenchCase[], results: readonly Result[]): Table {
  const blocks = cases.map((benchCase) =>
    results.filter(({ caseName }) => caseName === benchCase.name).map((result) => loadRow(benchCase, result, results)),
  );
  return { columns: COLUMNS, rows: ruled(blocks) };
}

function loadRow({ workload, protocol, clients }: BenchCase, result: Result, results: readonly Result[]): string[] {
  const head = [workload, protocol, String(clients), result.subject];
  if (result.error !== null) return [...head, 'failed'];
  const text = (measure: Measure, digits: number) => formatMedian(result, measure, digits);
  const share = medianOf(result, 'replicaShare');
  const memory = medianOf(result, 'memoryBytes');
  return [
    ...head,
    text('tps', 0),
    formatRange(valuesOf(result, 'tps'), 0),
    ratioTo('direct', 'tps', result, results),
    ratioTo('pgbouncer', 'tps', result, results),
    text('p50Ms', 3),
    text('p99Ms', 3),
    text('proxyCpuUs', 1),
    ratioTo('pgbouncer', 'proxyCpuUs', result, results),
    text('primaryCpuUs', 1),
    text('replicasCpuUs', 1),
    share === null ? '' : `${(100 * share).toFixed(0)} %`,
    memory === null ? '' : (memory / MEGABYTE).toFixed(0),
  ];
}

/** The median over the rounds as text; empty when it was not measured. */
function formatMedian(result: Result | undefined, measure: Measure, digits: number): string {
  return medianOf(result, measure)?.toFixed(digits) ?? '';
}

/** The median over the rounds of how many times a rival's a measure is; empty when one of them was not measured. */
function ratioTo(rival: 'direct' | 'pgbouncer', measure: Measure, result: Result, results: readonly Result[]): string {
  const theirs = findResult(results, result.caseName, rival);
  const ratios = theirs === result ? [] : compared({ ours: result, theirs }, measure, quotient);
  return ratios.length === 0 ? '' : median(ratios).toFixed(2);
}

const RESULT_COLUMNS: readonly Column[] = [
  { title: 'result of 1 GB', align: 'left' },
  { title: 'way', align: 'left' },
  { title: 'MB/s', align: 'right' },
  { title: 'rounds', align: 'right' },
  { title: 'x direct', align: 'right' },
  { title: 'x PgBouncer', align: 'right' },
  { title: 'CPU ms/GB', align: 'right' },
  { title: 'memory MB', align: 'right' },
  { title: 'growth MB', align: 'right' },
];

/** How large results passed. */
export function largeResultTable(results: readonly Result[]): Table {
  const blocks = RESULT_CASES.map((name) => results.filter(({ caseName }) => caseName === name));
  return { columns: RESULT_COLUMNS, rows: ruled(blocks.map((block) => block.map((result) => resultRow(result, results)))) };
}

function resultRow(result: Result, results: readonly Result[]): string[] {
  const head = [result.caseName, result.subject];
  if (result.error !== null) return [...head, 'failed'];
  const megabytes = (measure: Measure, digits: number) => {
    const bytes = medianOf(result, measure);
    return bytes === null ? '' : (bytes / MEGABYTE).toFixed(digits);
  };
  return [
    ...head,
    formatMedian(result, 'megabytesPerSecond', 0),
    formatRange(valuesOf(result, 'megabytesPerSecond'), 0),
    ratioTo('direct', 'megabytesPerSecond', result, results),
    ratioTo('pgbouncer', 'megabytesPerSecond', result, results),
    formatMedian(result, 'cpuMsPerGigabyte', 0),
    megabytes('memoryBytes', 0),
    megabytes('growthBytes', 1),
  ];
}

const ORM_COLUMNS: readonly Column[] = [
  { title: 'BEGIN; 3 SELECTs; COMMIT', align: 'left' },
  { title: 'way', align: 'left' },
  { title: 'tps', align: 'right' },
  { title: 'primary us', align: 'right' },
  { title: 'x direct', align: 'right' },
  { title: 'replicas us', align: 'right' },
  { title: 'on replicas', align: 'right' },
];

/** What optimistic transactions take off the primary: CPU per transaction. */
export function ormTable(cases: readonly BenchCase[], results: readonly Result[]): Table {
  const blocks = cases.filter(({ workload }) => workload === 'orm').map((benchCase) => ormRows(benchCase, results));
  return { columns: ORM_COLUMNS, rows: ruled(blocks) };
}

function ormRows({ name, protocol, clients }: BenchCase, results: readonly Result[]): string[][] {
  return results
    .filter(({ caseName }) => caseName === name)
    .map((result) => {
      const head = [`${protocol}, ${clients} clients`, result.subject];
      if (result.error !== null) return [...head, 'failed'];
      const each = (measure: Measure) => {
        const us = medianOf(result, measure);
        return us === null ? '' : (us * QUERIES_PER_TRANSACTION.orm).toFixed(0);
      };
      const share = medianOf(result, 'replicaShare');
      return [
        ...head,
        formatMedian(result, 'tps', 0),
        each('primaryCpuUs'),
        ratioTo('direct', 'primaryCpuUs', result, results),
        each('replicasCpuUs'),
        share === null ? '' : `${(100 * share).toFixed(0)} %`,
      ];
    });
}
