/**
 * `npm run test:regress`: whatever works on a direct connection works through pgweir, by PostgreSQL's own regression suite.
 *
 * The suite runs once directly against a primary, and then through pgweir in front of a primary and two replicas. The
 * measure is that the outputs are identical, test by test, not that they are as the suite expects. Each run has a cluster
 * of its own, since roles and subscriptions outlive a database. What pgweir counted is printed too: a proxy that sent
 * everything to the primary would pass as well.
 */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startCluster } from '../../src/demo/cluster.ts';
import { freePort } from '../../src/demo/ports.ts';
import { HOST } from '../../src/demo/postgres-node.ts';
import { PgweirProcess } from '../support/pgweir-process.ts';
import { compareOutputs } from './comparison.ts';
import { findInstallation, type Installation } from './installation.ts';
import { parseOptions, type RegressOptions, USAGE } from './options.ts';
import { formatComparison, formatMetrics } from './report.ts';
import { Suite } from './suite.ts';

/** As many as the default pool of pgweir needs, and the buffers that the suite expects: scans of small tables start at their beginning. */
const SETTINGS = { max_connections: '300', shared_buffers: '256MB', max_prepared_transactions: '10' };

process.exitCode = await main();

async function main(): Promise<number> {
  try {
    const options = parseOptions(process.argv.slice(2), process.env);
    if (options.help) {
      console.log(USAGE);
      return 0;
    }
    return await regress(options);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  }
}

async function regress(options: RegressOptions): Promise<number> {
  const installation = findInstallation(process.env);
  await using suite = Suite.prepare(options.suite, installation);
  progress('direct');
  const reference = await runDirect(suite, installation, options);
  let failed = false;
  for (let run = 1; run <= options.runs; run++) {
    progress(`through pgweir, ${run} of ${options.runs}`);
    const { outputs, page, complaints } = await runThrough(suite, installation, options, run);
    const comparison = compareOutputs(reference, outputs);
    failed ||= comparison.tests === 0 || comparison.differing.length > 0 || complaints.length > 0;
    console.log(
      `\nrun ${run} of ${options.runs}, ${describe(options)}: ${formatComparison(comparison)}\n\n${formatMetrics(page)}`,
    );
    for (const complaint of complaints) console.log(`pgweir: ${complaint}`);
  }
  return failed ? 1 : 0;
}

async function runDirect(suite: Suite, { binaries }: Installation, { encoding, keep }: RegressOptions): Promise<string> {
  await using cluster = await startCluster({ binaries, replicas: 2, settings: SETTINGS });
  const { primary } = cluster;
  const outputs = await suite.run('direct', { primary, port: primary.port, encoding });
  if (keep !== null) cpSync(outputs, join(keep, 'direct'), { recursive: true });
  return outputs;
}

interface Run {
  readonly outputs: string;
  /** The metrics at its end. */
  readonly page: string;
  /** What pgweir said that it says only when it is broken. */
  readonly complaints: readonly string[];
}

async function runThrough(suite: Suite, { binaries }: Installation, options: RegressOptions, run: number): Promise<Run> {
  const { encoding, keep, lag } = options;
  await using cluster = await startCluster({ binaries, replicas: 2, settings: SETTINGS });
  await cluster.waitForReplay();
  if (lag !== null) await cluster.replicas.at(-1)?.set('recovery_min_apply_delay', lag);
  const httpPort = await freePort(HOST);
  await using pgweir = await PgweirProcess.start(cluster, configurationOf(options, httpPort));
  const name = `through-${run}`;
  const outputs = await suite.run(name, { primary: cluster.primary, port: pgweir.port, encoding });
  const page = pgweir.running ? await (await fetch(`http://${HOST}:${httpPort}/metrics`)).text() : '';
  if (keep !== null) {
    mkdirSync(keep, { recursive: true });
    cpSync(outputs, join(keep, name), { recursive: true });
    writeFileSync(join(keep, `${name}.log`), pgweir.log.map((line) => `${JSON.stringify(line)}\n`).join(''));
    writeFileSync(join(keep, `${name}.metrics`), page);
  }
  return { outputs, page, complaints: [...pgweir.complaints, ...(pgweir.running ? [] : ['it ended'])] };
}

function configurationOf({ mode, shared, transactions, port }: RegressOptions, httpPort: number): string {
  return [
    `listen: [ { address: "${HOST}:${port ?? 0}" } ]`,
    `http: "${HOST}:${httpPort}"`,
    `pool: { mode: ${mode}, shared_reads: ${shared} }`,
    ...(transactions === null ? [] : [`routing: { transactions: ${transactions} }`]),
  ].join('\n');
}

function describe({ mode, shared, transactions, lag }: RegressOptions): string {
  const parts = [
    `${mode} mode`,
    shared ? '' : 'no shared reads',
    transactions === null ? '' : `transactions ${transactions}`,
    lag === null ? '' : `lag ${lag}`,
  ];
  return parts.filter((part) => part !== '').join(', ');
}

function progress(what: string): void {
  process.stderr.write(`${what}\n`);
}
