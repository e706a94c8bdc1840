/** One sample of a metrics page. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Samples of one metric of a page in Prometheus's text format. Label values without quotes in them, as all of pgweir's are. */
export function samplesOf(page: string, name: string): Sample[] {
  return page
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .map((line) => ({
      labels: Object.fromEntries([...line.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, label = '', value = '']) => [label, value])),
      value: Number(line.slice(line.lastIndexOf(' ') + 1)),
    }));
}

/** What became of reads, in batches. */
export interface ReadShare {
  /** Everything that was run for clients, each once however often it was sent. */
  readonly all: number;
  /** Judged reads, outside read-write transactions and pins. */
  readonly eligible: number;
  /** Of these, served by replicas. */
  readonly served: number;
}

/** Reads that the primary served only because no replica could. */
const FOR_LACK: ReadonlySet<string> = new Set(['fence not reached', 'no eligible replica', 'no replica configured']);
/** They read nothing, wherever they are answered. */
const NO_READS: ReadonlySet<string> = new Set(['session control', 'transaction control', 'empty query']);

/**
 * The share of eligible reads that replicas served. Everything is counted when it is sent, so a statement that a replica
 * refused and the primary then ran counts twice, and once as a retry: what was retried is no read that a replica served,
 * and not known to be a read either.
 */
export function readShare(page: string): ReadShare {
  const routed = samplesOf(page, 'pgweir_routed_total');
  const retries = total(samplesOf(page, 'pgweir_retries_total'));
  const served =
    total(routed.filter(({ labels }) => labels.target === 'replica' && !NO_READS.has(labels.reason ?? ''))) - retries;
  const lacking = total(routed.filter(({ labels }) => labels.target === 'primary' && FOR_LACK.has(labels.reason ?? '')));
  return { all: total(routed) - retries, eligible: served + lacking, served };
}

function total(samples: readonly Sample[]): number {
  return samples.reduce((sum, { value }) => sum + value, 0);
}
