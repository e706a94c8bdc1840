/**
 * `npm run bench`: what the way through pgweir costs, beside the direct way and the ways through PgBouncer and pgpool-II
 * where they are installed. All subjects face the same replica set on the same machine and are run in turn, round by round.
 * It prints and does not judge: numbers of different machines, or of different hours, cannot be compared.
 */
import { CASES, isChosen } from './cases.ts';
import { cpuRatios, formatResults, type LoadResult, runCase } from './load.ts';
import { MEMORY_CASES, measureMemory } from './memory.ts';
import { type BenchOptions, parseOptions, USAGE } from './options.ts';
import { Pgbench } from './pgbench.ts';
import { findProgram, versionOf } from './programs.ts';
import { Site } from './site.ts';
import { STARTERS, type Subject } from './subjects.ts';

const REPLICAS = 2;
const WARM_UP = CASES.filter(({ workload, clients }) => workload === 'read-only' && clients === 16);

process.exitCode = await main();

async function main(): Promise<number> {
  try {
    const options = parseOptions(process.argv.slice(2));
    if (options.help) {
      console.log(USAGE);
      return 0;
    }
    return await bench(options);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  }
}

async function bench(options: BenchOptions): Promise<number> {
  const program = findProgram('pgbench');
  if (program === null) throw new Error('pgbench is missing. On Debian and Ubuntu it comes with: apt-get install postgresql');
  const cases = CASES.filter(({ name }) => isChosen(name, options.only));
  if (cases.length === 0 && !MEMORY_CASES.some((name) => isChosen(name, options.only))) {
    throw new Error(`--only chose nothing. There are: ${[...CASES.map(({ name }) => name), ...MEMORY_CASES].join(', ')}`);
  }
  progress('starting a primary and two replicas');
  await using site = await Site.open(REPLICAS);
  const pgbench = new Pgbench(program, site.directory);
  progress(`filling tables of scale ${options.scale}`);
  if (cases.length > 0) await pgbench.initialize(site.primary, options.scale);
  await site.cluster.waitForReplay();
  const subjects = await startSubjects(site, options);
  console.log(`\n${versionOf(program)}; ${options.rounds} rounds of ${options.seconds} s; tables of scale ${options.scale}`);
  for (const { name, version, note } of subjects) console.log(`${name}: ${version}, ${note}`);
  const results = await runAll(cases, subjects, { site, pgbench, options });
  const memory = await measureMemory(subjects, options.only);
  if (results.length > 0) print(results);
  if (memory !== null) console.log(`\n${memory}\n`);
  for (const { server } of subjects) await server?.stop();
  return results.some(({ error }) => error !== null) ? 1 : 0;
}

async function startSubjects(site: Site, { subjects, pool }: BenchOptions): Promise<Subject[]> {
  const started: Subject[] = [];
  for (const name of subjects) {
    progress(`starting ${name}`);
    const subject = await STARTERS[name](site, pool).catch((error: unknown) => {
      throw new Error(`${name} does not start: ${error instanceof Error ? error.message : error}`);
    });
    if (subject === null) console.log(`${name} is not installed: left out`);
    else started.push(subject);
  }
  return started;
}

async function runAll(
  cases: typeof CASES,
  subjects: readonly Subject[],
  { site, pgbench, options }: { site: Site; pgbench: Pgbench; options: BenchOptions },
): Promise<LoadResult[]> {
  const { rounds, seconds } = options;
  if (cases.length > 0) progress('warming up');
  for (const benchCase of cases.length > 0 ? WARM_UP : [])
    await runCase(benchCase, subjects, { pgbench, site, rounds: 1, seconds: 1 });
  const results: LoadResult[] = [];
  for (const [index, benchCase] of cases.entries()) {
    progress(`${index + 1} of ${cases.length}: ${benchCase.name}`);
    results.push(...(await runCase(benchCase, subjects, { pgbench, site, rounds, seconds })));
  }
  return results;
}

function print(results: readonly LoadResult[]): void {
  console.log(`\n${formatResults(results)}\n`);
  for (const { benchCase, subject, error } of results) {
    if (error !== null) console.log(`${benchCase.name} ${subject.name} failed: ${error}`);
  }
  const ratios = cpuRatios(results, 'pgweir', 'pgbouncer').map(({ caseName, ratio }) => `${caseName}: ${ratio.toFixed(2)}`);
  if (ratios.length > 0) console.log(`CPU per query, pgweir by PgBouncer: ${ratios.join(', ')}`);
}

function progress(what: string): void {
  process.stderr.write(`${what}\n`);
}
