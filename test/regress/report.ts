import type { Comparison } from './comparison.ts';
import { readShare, samplesOf } from './metrics-page.ts';

/** Lines of each diff that are printed. */
const DIFF_LINES = 16;

export function formatComparison({ tests, differing }: Comparison): string {
  const lines = [`${tests - differing.length} of ${tests} identical`];
  if (differing.length > 0) lines.push(`differ: ${differing.map(({ test }) => test).join(' ')}`);
  for (const { test, diff } of differing) {
    const all = diff.split('\n');
    const more = all.length - DIFF_LINES;
    lines.push('', `${test}: - direct, + through pgweir`, ...all.slice(0, DIFF_LINES).map((line) => `  ${line}`));
    if (more > 0) lines.push(`  (${more} more lines)`);
  }
  return lines.join('\n');
}

/** What pgweir counted during a run. */
export function formatMetrics(page: string): string {
  const { all, eligible, served } = readShare(page);
  return [
    `replicas served ${served} of ${eligible} eligible reads (${percent(served, eligible)}), ${percent(served, all)} of all ${all} batches`,
    ...(['replica', 'primary'] as const).map((target) => counts(page, `to ${target}`, 'pgweir_routed_total', 'reason', target)),
    counts(page, 'pins', 'pgweir_pins_total', 'reason'),
    counts(page, 'unpins', 'pgweir_unpins_total', 'reason'),
    counts(page, 'retries', 'pgweir_retries_total', 'cause'),
    counts(page, 'fence waits', 'pgweir_fence_waits_total', 'outcome'),
    counts(page, 'errors of its own', 'pgweir_errors_total', 'kind'),
  ].join('\n');
}

function counts(page: string, title: string, metric: string, label: string, target?: string): string {
  const found = samplesOf(page, metric).filter(({ labels, value }) => labels.target === target && value > 0);
  const parts = found.sort((a, b) => b.value - a.value).map(({ labels, value }) => `${value} ${labels[label]}`);
  return `${title}: ${parts.join(', ') || 'none'}`;
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`;
}
