import { type Cluster, startCluster } from './cluster.ts';
import { readMetrics } from './metrics-page.ts';
import { type Proof, prove } from './proofs.ts';
import { type DemoProxy, startProxy } from './proxy.ts';
import { createShop, SHOP } from './shop.ts';
import { formatLag, runSteadily } from './steady.ts';
import { Terminal } from './terminal.ts';
import { takeTour } from './tour.ts';

export interface DemoOptions {
  /** Show and check everything, then end instead of staying. */
  readonly once: boolean;
}

/** Clients log in with SCRAM; the demo's own questions and pgweir's monitor are trusted by lines that come before this. */
const HBA = ['host all all 127.0.0.1/32 scram-sha-256'];

/**
 * Shows pgweir at work on a real primary with two streaming replicas, booted for that. Resolves to the exit code: with
 * `once`, 0 only if all that was promised was seen to hold. Until the workload is steady an interruption just ends the
 * process: the cluster's watchdog tidies up, here as after any other end.
 */
export async function runDemo({ once }: DemoOptions): Promise<number> {
  const terminal = new Terminal(process.stdout);
  const start = performance.now();
  await using cluster = await startCluster({ replicas: 2, hba: HBA });
  await createShop(cluster);
  await using proxy = await startProxy(cluster);
  await introduce(terminal, cluster, proxy, performance.now() - start);
  const proofs = [await takeTour(terminal, cluster, proxy)];
  terminal.line();
  for (const proof of await prove(cluster, proxy.address)) proofs.push(proof);
  for (const proof of proofs) showProof(terminal, proof);
  if (once) return conclude(terminal, proofs);
  advise(terminal, cluster, proxy);
  const interruption = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => interruption.abort());
  await runSteadily(cluster, proxy, terminal, interruption.signal);
  terminal.line();
  return 0;
}

async function introduce(terminal: Terminal, cluster: Cluster, proxy: DemoProxy, bootMs: number): Promise<void> {
  const version = (await cluster.primary.query('SHOW server_version'))[0]?.server_version;
  const metrics = await readMetrics(proxy.metricsUrl);
  terminal.line();
  terminal.line(
    `  ${terminal.paint('bold', 'pgweir')} in front of PostgreSQL ${version}, ready in ${(bootMs / 1000).toFixed(1)} s`,
  );
  terminal.line();
  const rows = cluster.nodes.map(({ name, host, port }) => {
    const role = metrics.role(name);
    return [
      name,
      `${host}:${port}`,
      role,
      role === 'replica' ? `lag ${formatLag(metrics.lagSeconds(name))}` : 'takes the writes',
    ];
  });
  terminal.table(
    [
      ...rows,
      ['pgweir', addressOf(proxy.address), 'splits', 'reads to replicas, everything else to the primary'],
      ['', addressOf(proxy.readOnlyAddress), 'read-only', 'replicas only'],
    ],
    ['bold', null, 'cyan', 'dim'],
  );
  for (const { usual, used } of proxy.replacedPorts) terminal.line(`  Port ${usual} is taken, so ${used} is used instead.`);
  terminal.line();
}

function showProof(terminal: Terminal, { holds, text }: Proof): void {
  terminal.line(`  ${holds ? terminal.paint('green', '✓') : terminal.paint('red', '✗')} ${text}`);
}

function conclude(terminal: Terminal, proofs: readonly Proof[]): number {
  const broken = proofs.filter(({ holds }) => !holds).length;
  terminal.line();
  terminal.line(
    broken === 0 ? '  Everything held.' : terminal.paint('red', `  ${broken} of ${proofs.length} did not hold: see ✗ above.`),
  );
  terminal.line();
  return broken === 0 ? 0 : 1;
}

function advise(terminal: Terminal, { replicas }: Cluster, proxy: DemoProxy): void {
  const { user, password, database } = SHOP;
  const url = `postgres://${user}:${password}@${addressOf(proxy.address)}/${database}`;
  terminal.line();
  terminal.table(
    [
      ['psql', `psql ${url}`],
      ['your application', `DATABASE_URL=${url}`],
      ['page', proxy.pageUrl],
      ['metrics', proxy.metricsUrl],
      ['kill a replica', `kill -9 ${replicas.at(-1)?.pid}   (it comes back after 5 s)`],
    ],
    [null, 'cyan'],
  );
  terminal.line();
  terminal.line('  A small workload goes on until Ctrl-C. Nothing is left behind then.');
  terminal.line();
}

function addressOf({ host, port }: { host: string; port: number }): string {
  return `${host}:${port}`;
}
