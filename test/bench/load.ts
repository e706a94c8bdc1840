import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchCase } from './cases.ts';
import type { Pgbench, PgbenchRun } from './pgbench.ts';
import { type Usage, usageOf } from './process-usage.ts';
import type { Site } from './site.ts';
import { median, spread } from './statistics.ts';
import type { Subject } from './subjects.ts';
import { type Column, formatTable } from './table.ts';

/** Seldom: adding up the shares of a hundred processes takes time from what is measured. */
const MEMORY_INTERVAL_MS = 1000;

/** One run of one case with one subject. */
interface Measurement extends PgbenchRun {
  /** Microseconds of the proxy's CPU time per query; null for the direct way. */
  readonly cpuPerQueryUs: number | null;
  /** The most memory seen while it ran. */
  readonly memoryBytes: number | null;
}

/** What all rounds of one case with one subject gave; an error when one of them failed. */
export interface LoadResult {
  readonly benchCase: BenchCase;
  readonly subject: Subject;
  readonly measurements: readonly Measurement[];
  readonly error: string | null;
}

/** Runs a case with all subjects in turn, so many rounds of it: what disturbs the machine for a while disturbs them all. */
export async function runCase(
  benchCase: BenchCase,
  subjects: readonly Subject[],
  { pgbench, site, rounds, seconds }: { pgbench: Pgbench; site: Site; rounds: number; seconds: number },
): Promise<LoadResult[]> {
  const measurements = new Map<Subject, Measurement[]>(subjects.map((subject) => [subject, []]));
  const errors = new Map<Subject, string>();
  for (let round = 0; round < rounds; round++) {
    for (const subject of subjects) {
      if (benchCase.workload === 'read-write') await site.tidy();
      try {
        measurements.get(subject)?.push(await measure(benchCase, subject, pgbench, seconds));
      } catch (error) {
        errors.set(subject, error instanceof Error ? error.message : String(error));
      }
    }
  }
  return subjects.map((subject) => ({
    benchCase,
    subject,
    measurements: measurements.get(subject) ?? [],
    error: errors.get(subject) ?? null,
  }));
}

async function measure(
  benchCase: BenchCase,
  { server, target }: Subject,
  pgbench: Pgbench,
  seconds: number,
): Promise<Measurement> {
  const usage = (): Usage | null => (server === null ? null : usageOf(server.pid));
  const before = usage();
  const stopped = new AbortController();
  const memory = greatestMemory(usage, stopped.signal);
  try {
    const run = await pgbench.run(target(benchCase.protocol), benchCase, seconds);
    const after = usage();
    const cpuSeconds = before === null || after === null ? null : after.cpuSeconds - before.cpuSeconds;
    const queries = run.transactions * benchCase.queriesPerTransaction;
    stopped.abort();
    return { ...run, cpuPerQueryUs: cpuSeconds === null ? null : (cpuSeconds * 1e6) / queries, memoryBytes: await memory };
  } finally {
    stopped.abort();
  }
}

async function greatestMemory(usage: () => Usage | null, signal: AbortSignal): Promise<number | null> {
  let greatest = usage()?.memoryBytes ?? null;
  while (greatest !== null && !signal.aborted) {
    greatest = Math.max(greatest, usage()?.memoryBytes ?? 0);
    await sleep(MEMORY_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
  return greatest;
}

const COLUMNS: readonly Column[] = [
  { title: 'workload', align: 'left' },
  { title: 'protocol', align: 'left' },
  { title: 'clients', align: 'right' },
  { title: 'way', align: 'left' },
  { title: 'tps', align: 'right' },
  { title: 'spread', align: 'right' },
  { title: 'vs direct', align: 'right' },
  { title: 'p50 ms', align: 'right' },
  { title: 'p99 ms', align: 'right' },
  { title: 'CPU us/query', align: 'right' },
  { title: 'memory MB', align: 'right' },
];

/** The one table: medians over the rounds. */
export function formatResults(results: readonly LoadResult[]): string {
  const rows = results.flatMap((result, index) => {
    const ruled = index > 0 && results[index - 1]?.benchCase !== result.benchCase;
    return ruled ? [null, row(result, results)] : [row(result, results)];
  });
  return formatTable(COLUMNS, rows);
}

function row({ benchCase, subject, measurements, error }: LoadResult, results: readonly LoadResult[]): string[] {
  const { workload, protocol, clients } = benchCase;
  const head = [workload, protocol, String(clients), subject.name];
  if (error !== null) return [...head, 'failed'];
  const tps = medianTps(measurements);
  const direct = results.find((other) => other.benchCase === benchCase && other.subject.name === 'direct');
  const cpu = medianOf(measurements, ({ cpuPerQueryUs }) => cpuPerQueryUs);
  const memory = medianOf(measurements, ({ memoryBytes }) => memoryBytes);
  return [
    ...head,
    tps.toFixed(0),
    measurements.length > 1 ? `${(100 * spread(measurements.map((run) => run.tps))).toFixed(0)} %` : '',
    direct === undefined || direct.error !== null ? '' : `${(tps / medianTps(direct.measurements)).toFixed(2)}x`,
    median(measurements.map(({ p50Ms }) => p50Ms)).toFixed(3),
    median(measurements.map(({ p99Ms }) => p99Ms)).toFixed(3),
    cpu === null ? '' : cpu.toFixed(1),
    memory === null ? '' : (memory / 2 ** 20).toFixed(0),
  ];
}

function medianTps(measurements: readonly Measurement[]): number {
  return median(measurements.map(({ tps }) => tps));
}

function medianOf(measurements: readonly Measurement[], read: (measurement: Measurement) => number | null): number | null {
  const values = measurements.map(read).filter((value) => value !== null);
  return values.length === 0 ? null : median(values);
}

/** Median CPU time of one case divided by that of another subject in the same case; null when either was not measured. */
export function cpuRatios(results: readonly LoadResult[], name: string, other: string): { caseName: string; ratio: number }[] {
  return results
    .filter(({ subject, error }) => subject.name === name && error === null)
    .flatMap(({ benchCase, measurements }) => {
      const rival = results.find(
        (result) => result.benchCase === benchCase && result.subject.name === other && result.error === null,
      );
      const ours = medianOf(measurements, ({ cpuPerQueryUs }) => cpuPerQueryUs);
      const theirs = rival === undefined ? null : medianOf(rival.measurements, ({ cpuPerQueryUs }) => cpuPerQueryUs);
      return ours === null || theirs === null ? [] : [{ caseName: benchCase.name, ratio: ours / theirs }];
    });
}
