import { samplesOf } from '../regress/metrics-page.ts';

const COUNTERS = [
  { title: 'unshared', name: 'pgweir_unshared_total', label: 'cause' },
  { title: 'retries', name: 'pgweir_retries_total', label: 'cause' },
  { title: 'cancel requests', name: 'pgweir_cancels_total', label: 'outcome' },
  { title: 'errors of pgweir', name: 'pgweir_errors_total', label: 'kind' },
];

/** What pgweir counted, from its page of metrics. */
export function accountOf(page: string): string {
  const shared = total(page, 'pgweir_shared_reads_total');
  const routed = total(page, 'pgweir_routed_total');
  const lines = [`${shared} of ${routed} batches were sent on shared connections (${((100 * shared) / routed).toFixed(0)} %)`];
  for (const { title, name, label } of COUNTERS) {
    const samples = samplesOf(page, name).filter(({ value }) => value > 0);
    lines.push(`${title}: ${list(samples.map(({ labels, value }) => [labels[label] ?? '', value]))}`);
  }
  return lines.join('\n');
}

/** Names with their counts, the greatest first. */
export function list(entries: readonly (readonly [string, number])[]): string {
  if (entries.length === 0) return 'none';
  return entries
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

function total(page: string, name: string): number {
  return samplesOf(page, name).reduce((sum, { value }) => sum + value, 0);
}
