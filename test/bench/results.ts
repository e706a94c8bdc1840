import type { SubjectName } from './options.ts';
import { median } from './statistics.ts';

/** What is measured; the unit is in the name, per query where it says so. */
export type Measure =
  | 'tps'
  | 'p50Ms'
  | 'p99Ms'
  /** CPU time per query: of the proxy, of the primary's processes, of the replicas' processes. */
  | 'proxyCpuUs'
  | 'primaryCpuUs'
  | 'replicasCpuUs'
  /** Share of the batches that replicas answered, 0..1. */
  | 'replicaShare'
  /** Of the proxy. */
  | 'memoryBytes'
  | 'megabytesPerSecond'
  /** Of the proxy, while a result passed. */
  | 'growthBytes'
  | 'cpuMsPerGigabyte';

/** One run of one case with one subject; null where the subject has no such thing. */
export type Measurement = Readonly<Partial<Record<Measure, number | null>>>;

/** What all rounds of one case with one subject gave. */
export interface Result {
  readonly caseName: string;
  readonly subject: SubjectName;
  /** By round; null for one that failed. */
  readonly rounds: readonly (Measurement | null)[];
  /** Why a round failed; such a result counts for nothing. */
  readonly error: string | null;
}

export function findResult(results: readonly Result[], caseName: string, subject: SubjectName): Result | undefined {
  return results.find((result) => result.caseName === caseName && result.subject === subject);
}

/** What the rounds gave; nothing when one of them failed. */
export function valuesOf(result: Result | undefined, measure: Measure): number[] {
  if (result === undefined || result.error !== null) return [];
  return result.rounds.map((round) => round?.[measure] ?? null).filter((value) => value !== null);
}

/** The median over the rounds; null when it was not measured. */
export function medianOf(result: Result | undefined, measure: Measure): number | null {
  const values = valuesOf(result, measure);
  return values.length === 0 ? null : median(values);
}

/**
 * Each round of a result held against the same round of a rival: those were run one after the other, so what slows the
 * machine for a minute cancels out. Empty when either was not measured.
 */
export function compared(
  { ours, theirs }: { readonly ours: Result | undefined; readonly theirs: Result | undefined },
  measure: Measure,
  compare: (ours: number, theirs: number) => number,
): number[] {
  const [own, other] = [valuesOf(ours, measure), valuesOf(theirs, measure)];
  if (own.length !== other.length) return [];
  return own.flatMap((value, round) => {
    const rival = other[round];
    return rival === undefined ? [] : [compare(value, rival)];
  });
}

export function quotient(ours: number, theirs: number): number {
  return ours / theirs;
}

export function difference(ours: number, theirs: number): number {
  return ours - theirs;
}
