import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from './cluster.ts';
import { Load, type Tally, total } from './load.ts';
import { type MetricsPage, readMetrics } from './metrics-page.ts';
import type { DemoProxy } from './proxy.ts';
import type { Terminal } from './terminal.ts';

const SECOND_MS = 1000;
/** A pipe gets a line this often; a terminal sees its line change every second. */
const LINE_SECONDS = 10;
const RESTART_AFTER_SECONDS = 5;

/** A small steady workload with one line about it, until `signal`. Servers that somebody kills come back after a while. */
export async function runSteadily(cluster: Cluster, proxy: DemoProxy, terminal: Terminal, signal: AbortSignal): Promise<void> {
  await using load = new Load({ address: proxy.address, readers: 6, writers: 2, pauseMs: 40 });
  const downSeconds = new Map<string, number>();
  for (let second = 1; !signal.aborted; second++) {
    await sleep(SECOND_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    for (const node of cluster.nodes) {
      const down = node.running ? 0 : (downSeconds.get(node.name) ?? 0) + 1;
      downSeconds.set(node.name, down);
      if (down >= RESTART_AFTER_SECONDS) await node.start().catch((error: Error) => terminal.line(error.message));
    }
    if (!terminal.interactive && second % LINE_SECONDS !== 0) continue;
    const seconds = terminal.interactive ? 1 : LINE_SECONDS;
    const text = describe(load.take(), seconds, cluster, await readMetrics(proxy.metricsUrl).catch(() => null));
    if (terminal.interactive) terminal.status(`  ${text}`);
    else terminal.line(`  ${text}`);
  }
}

function describe(tally: Tally, seconds: number, { nodes }: Cluster, metrics: MetricsPage | null): string {
  const rate = (counts: ReadonlyMap<number, number>) => `${Math.round(total(counts) / seconds)}/s`;
  const reads = new Map(tally.reads);
  for (const [port, count] of tally.ownReads) reads.set(port, (reads.get(port) ?? 0) + count);
  const states = nodes.map(({ name, port, running }) => {
    if (!running) return `${name} down`;
    const lag = metrics?.role(name) === 'replica' ? `, lag ${formatLag(metrics.lagSeconds(name))}` : '';
    const share = Math.round(((reads.get(port) ?? 0) + (tally.writes.get(port) ?? 0)) / seconds);
    return `${name} ${share}/s${lag}`;
  });
  return [`reads ${rate(reads)}`, `writes ${rate(tally.writes)}`, ...states, `failed ${tally.failed}`].join(' · ');
}

export function formatLag(seconds: number | null): string {
  if (seconds === null) return 'unknown';
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
}
