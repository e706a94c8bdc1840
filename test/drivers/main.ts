import { readFileSync, writeFileSync } from 'node:fs';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { PgweirProcess } from '../support/pgweir-process.ts';
import type { Driver } from './drivers.ts';
import { judge, type Nodes } from './judge.ts';
import { parseOptions, USAGE } from './options.ts';
import { installedVersion, runProgram } from './run.ts';
import { idiomTable, placeTable, type Result } from './tables.ts';
import type { Transcript } from './transcript.ts';

/**
 * Drivers as they are: each runs its own program, in its own language and with its defaults, once on a direct connection to
 * the primary and once through pgweir. The two must see the same, and statements must run where pgweir's rules say, which
 * the programs ask of the database. Exit code 0 only if all of that holds for all drivers asked for.
 */

const README = new URL('../../README.md', import.meta.url).pathname;
const SECTION = /(<!-- drivers: npm run test:drivers -- --readme -->\n\n).*?(\n\n<!-- \/drivers -->)/s;

const options = parseOptions(process.argv.slice(2));
if (options.help) process.stdout.write(USAGE);
else process.exitCode = await main();

async function main(): Promise<number> {
  await using cluster = await startCluster({ replicas: 2 });
  // A read waits for a replica that lags instead of going to the primary: what is shown must not depend on how busy the machine is.
  await using pgweir = await PgweirProcess.start(cluster, `routing: { fence_wait: 10s }\npool: { mode: ${options.mode} }`);
  const results: Result[] = [];
  for (const driver of options.drivers) results.push(await tryDriver(cluster, pgweir, driver));
  print(`\n${idiomTable(results)}\n\n${placeTable(results)}\n`);
  if (options.readme) writeSection(placeTable(results));
  return results.every(({ verdict }) => verdict?.complaints.length === 0) ? 0 : 1;
}

async function tryDriver(cluster: Cluster, pgweir: PgweirProcess, driver: Driver): Promise<Result> {
  const version = installedVersion(driver);
  if (version === null) {
    print(`${driver.name}: MISSING, which counts as a failure; test/drivers/set-up.sh installs it`);
    return { driver, version, verdict: null };
  }
  const nodes: Nodes = { primary: cluster.primary.port, replicas: cluster.replicas.map(({ port }) => port) };
  const direct = await runProgram(cluster, driver, { name: 'direct', port: cluster.primary.port });
  const through = await runProgram(cluster, driver, { name: 'pgweir', port: pgweir.port });
  const verdict = judge(driver, { direct, pgweir: through }, nodes);
  print(`${driver.name} ${version}: ${verdict.complaints.length === 0 ? 'ok' : 'FAILED'}`);
  for (const complaint of verdict.complaints) print(`  ${complaint}`);
  if (!pgweir.running) throw new Error(`pgweir has ended:\n${pgweir.complaints.join('\n')}`);
  if (options.verbose) show(through);
  return { driver, version, verdict };
}

function show({ idioms }: Transcript): void {
  for (const [idiom, { lines, places }] of idioms) {
    print(`  = ${idiom}`);
    for (const line of lines) print(`    ${line}`);
    for (const { statement, port } of places) print(`    @ ${port} ${statement}`);
  }
}

function writeSection(table: string): void {
  const text = readFileSync(README, 'utf8');
  if (!SECTION.test(text)) throw new Error('README.md has no section for the drivers');
  writeFileSync(
    README,
    text.replace(SECTION, (_, before, after) => `${before}${table}${after}`),
  );
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
