import { setTimeout as sleep } from 'node:timers/promises';
import { startApp } from '../app.ts';
import type { Config } from '../config/settings.ts';
import { validateConfig } from '../config/validate.ts';
import { BugError } from '../util/assert.ts';
import { silentTelemetry } from '../util/telemetry.ts';
import type { Cluster } from './cluster.ts';
import { readMetrics } from './metrics-page.ts';
import { freePort, isFree } from './ports.ts';
import { HOST } from './postgres-node.ts';

const USUAL = { split: 6432, readOnly: 6433, http: 9187 } as const;
const READY_TIMEOUT_MS = 10_000;
const POLL_MS = 10;

/** pgweir in front of the demo's cluster, in this process. */
export interface DemoProxy extends AsyncDisposable {
  /** The listener that splits. */
  readonly address: { readonly host: string; readonly port: number };
  /** The listener that reads from replicas only. */
  readonly readOnlyAddress: { readonly host: string; readonly port: number };
  /** Dashboard; its metrics are one page further. */
  readonly pageUrl: string;
  readonly metricsUrl: string;
  /** The configuration, as an operator would write it. */
  readonly yaml: string;
  /** Usual ports that were taken, with the ones used instead. */
  readonly replacedPorts: readonly { readonly usual: number; readonly used: number }[];
}

/** Starts pgweir and waits until it has found the primary and knows the lag of every replica. */
export async function startProxy(cluster: Cluster): Promise<DemoProxy> {
  const ports = { split: await portOr(USUAL.split), readOnly: await portOr(USUAL.readOnly), http: await portOr(USUAL.http) };
  const yaml = configure(cluster, ports);
  const app = await startApp(parse(yaml), { telemetry: silentTelemetry });
  const pageUrl = `http://${HOST}:${ports.http}/`;
  const proxy: DemoProxy = {
    address: { host: HOST, port: ports.split },
    readOnlyAddress: { host: HOST, port: ports.readOnly },
    pageUrl,
    metricsUrl: `${pageUrl}metrics`,
    yaml,
    replacedPorts: Object.entries(USUAL)
      .map(([name, usual]) => ({ usual, used: ports[name as keyof Ports] }))
      .filter(({ usual, used }) => usual !== used),
    [Symbol.asyncDispose]: () => app.close(),
  };
  try {
    await untilReady(proxy, cluster);
    return proxy;
  } catch (error) {
    await app.close();
    throw error;
  }
}

type Ports = Readonly<Record<keyof typeof USUAL, number>>;

async function portOr(usual: number): Promise<number> {
  return (await isFree(usual, HOST)) ? usual : freePort(HOST);
}

/** All that pgweir is told: who is primary, who may log in and with which password it finds out for itself. */
function configure(cluster: Cluster, ports: Ports): string {
  return [
    'listen:',
    `  - ${HOST}:${ports.split}`,
    `  - { address: ${HOST}:${ports.readOnly}, mode: read-only }`,
    'backends:',
    ...cluster.nodes.map(({ name, port }) => `  - { name: ${name}, address: ${HOST}:${port} }`),
    'monitor: { user: postgres }',
    `http: ${HOST}:${ports.http}`,
    '',
  ].join('\n');
}

function parse(yaml: string): Config {
  const noFiles = { resolve: (path: string) => path, read: () => '' };
  const validation = validateConfig(yaml, { env: {}, files: noFiles });
  if (validation.kind === 'valid') return validation.config;
  throw new BugError(`the demo's configuration is wrong: ${JSON.stringify(validation.problems)}`);
}

async function untilReady({ metricsUrl }: DemoProxy, { nodes }: Cluster): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    const metrics = await readMetrics(metricsUrl);
    const known = nodes.every(({ name }) => metrics.role(name) === 'primary' || metrics.lagSeconds(name) !== null);
    if (known && nodes.some(({ name }) => metrics.role(name) === 'primary')) return;
    if (performance.now() > deadline) throw new Error('pgweir did not find its backends in time');
    await sleep(POLL_MS);
  }
}
