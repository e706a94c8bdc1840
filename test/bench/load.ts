import { setTimeout as sleep } from 'node:timers/promises';
import { readMetrics } from '../../src/demo/metrics-page.ts';
import { type BenchCase, QUERIES_PER_TRANSACTION, WRITING } from './cases.ts';
import type { Pgbench } from './pgbench.ts';
import { cpuSecondsOf, familySizeOf, memoryBytesOf } from './process-usage.ts';
import type { Measurement, Result } from './results.ts';
import type { Site } from './site.ts';
import { rotated } from './statistics.ts';
import type { Subject } from './subjects.ts';

const SETTLE_MS = 50;

/** Runs work once with one subject. */
export type Run = (subject: Subject) => Promise<Measurement>;

/**
 * Runs a case with all subjects in turn, so many rounds of it, and each round begins with another one: what disturbs the
 * machine for a while disturbs them all.
 */
export async function runInterleaved(
  caseName: string,
  run: Run,
  { subjects, rounds }: { readonly subjects: readonly Subject[]; readonly rounds: number },
): Promise<Result[]> {
  const measurements = new Map<Subject, (Measurement | null)[]>(subjects.map((subject) => [subject, []]));
  const errors = new Map<Subject, string>();
  for (let round = 0; round < rounds; round++) {
    for (const subject of rotated(subjects, round)) {
      const measurement = await run(subject).catch((error: unknown) => {
        errors.set(subject, error instanceof Error ? error.message : String(error));
        return null;
      });
      measurements.get(subject)?.push(measurement);
    }
  }
  return subjects.map((subject) => ({
    caseName,
    subject: subject.name,
    rounds: measurements.get(subject) ?? [],
    error: errors.get(subject) ?? null,
  }));
}

/** How a case is run with pgbench for so many seconds. */
export function pgbenchRun(
  benchCase: BenchCase,
  { pgbench, site, seconds }: { readonly pgbench: Pgbench; readonly site: Site; readonly seconds: number },
): Run {
  return async (subject) => {
    if (WRITING.has(benchCase.workload)) await site.tidy();
    const batchesBefore = await batchesOf(subject);
    const before = await cpuNow(subject, site);
    const { transactions, tps, p50Ms, p99Ms } = await pgbench.run(subject.target(benchCase.protocol), benchCase, seconds);
    const after = await cpuNow(subject, site);
    const batchesAfter = await batchesOf(subject);
    const queries = transactions * QUERIES_PER_TRANSACTION[benchCase.workload];
    const perQuery = (who: keyof CpuSeconds): number | null => {
      const [from, to] = [before[who], after[who]];
      return from === null || to === null ? null : ((to - from) * 1e6) / queries;
    };
    return {
      tps,
      p50Ms,
      p99Ms,
      proxyCpuUs: perQuery('proxy'),
      primaryCpuUs: perQuery('primary'),
      replicasCpuUs: perQuery('replicas'),
      replicaShare: replicaShare(batchesBefore, batchesAfter),
      memoryBytes: subject.server === null ? null : memoryBytesOf(subject.server.pid),
    };
  };
}

/** CPU time used so far; null where it cannot be known. */
interface CpuSeconds {
  readonly proxy: number | null;
  readonly primary: number | null;
  readonly replicas: number | null;
}

async function cpuNow({ server }: Subject, site: Site): Promise<CpuSeconds> {
  await untilSettled(site.pids);
  const [primary = null, ...replicas] = site.pids.map(cpuSecondsOf);
  const known = replicas.filter((seconds) => seconds !== null);
  return {
    proxy: server === null ? null : cpuSecondsOf(server.pid),
    primary,
    replicas: known.length < replicas.length ? null : known.reduce((sum, seconds) => sum + seconds, 0),
  };
}

/** A server process that is just ending could be counted twice, or not at all: waits until their number is the same for a while. */
async function untilSettled(postmasters: readonly number[]): Promise<void> {
  const count = () => postmasters.map(familySizeOf).reduce((sum, size) => sum + size, 0);
  for (let [last, now] = [-1, count()]; now !== last; now = count()) {
    last = now;
    await sleep(SETTLE_MS);
  }
}

interface Batches {
  readonly all: number;
  readonly onReplicas: number;
}

/** What pgweir says it has routed so far; null for everybody else. */
async function batchesOf({ metricsUrl }: Subject): Promise<Batches | null> {
  if (metricsUrl === null) return null;
  const { routed } = await readMetrics(metricsUrl);
  let [all, onReplicas] = [0, 0];
  for (const [route, count] of routed) {
    all += count;
    if (route.startsWith('replica: ')) onReplicas += count;
  }
  return { all, onReplicas };
}

function replicaShare(before: Batches | null, after: Batches | null): number | null {
  if (before === null || after === null || after.all === before.all) return null;
  return (after.onReplicas - before.onReplicas) / (after.all - before.all);
}
