/**
 * `npm run bench`: what the way through pgweir costs, beside the direct way and the ways through PgBouncer and pgpool-II
 * where they are installed. All subjects face the same replica set on the same machine and are run in turn, round by round.
 * Numbers of different machines, or of different hours, cannot be compared; so only ratios of one run are held against
 * the targets (`targets.ts`), and they are told, not judged: the exit code speaks of failed runs alone.
 */
import { type BenchCase, casesFor, isChosen, warmUpOf } from './cases.ts';
import { IDLE_CASE, measureIdle } from './idle-clients.ts';
import { measureResult, RESULT_CASES, type ResultCase } from './large-result.ts';
import { pgbenchRun, runInterleaved } from './load.ts';
import { conditionsOf } from './machine.ts';
import { type BenchOptions, parseOptions, USAGE } from './options.ts';
import { Pgbench } from './pgbench.ts';
import { findProgram, versionOf } from './programs.ts';
import { readmeSection, writeReadme } from './readme.ts';
import { LEGEND, largeResultTable, loadTable, ormTable } from './report.ts';
import { medianOf, type Result } from './results.ts';
import { Site } from './site.ts';
import { fits, STARTERS, type Subject } from './subjects.ts';
import { formatTable, type Table } from './table.ts';
import { TARGETS, targetTable } from './targets.ts';

const REPLICAS = 2;
const WARM_UP_SECONDS = 1;
/** A slow result takes seven seconds, and what it shows is memory, not speed. */
const SLOW_ROUNDS = 1;
/** More sessions than the largest case has clients: its own connections, and those that are just ending. */
const SPARE_SESSIONS = 40;
const FEWEST_SESSIONS = 100;

/** What is run. */
interface Plan {
  readonly cases: readonly BenchCase[];
  readonly resultCases: readonly ResultCase[];
  readonly idle: boolean;
}

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

/** @throws Error when the options choose nothing. */
function planOf({ only, clients, protocols, targets }: BenchOptions): Plan {
  const named = new Set(TARGETS.map(({ caseName }) => caseName));
  const chosen = (name: string) => isChosen(name, only) && (!targets || named.has(name));
  const all = casesFor(clients, protocols);
  const plan = {
    cases: all.filter(({ name }) => chosen(name)),
    resultCases: RESULT_CASES.filter(chosen),
    idle: chosen(IDLE_CASE),
  };
  if (plan.cases.length + plan.resultCases.length === 0 && !plan.idle) {
    throw new Error(`nothing is chosen. There are: ${[...all.map(({ name }) => name), ...RESULT_CASES, IDLE_CASE].join(', ')}`);
  }
  return plan;
}

async function bench(options: BenchOptions): Promise<number> {
  const program = findProgram('pgbench');
  if (program === null) throw new Error('pgbench is missing. On Debian and Ubuntu it comes with: apt-get install postgresql');
  const { rounds, seconds, scale } = options;
  const plan = planOf(options);
  progress('starting a primary and two replicas');
  await using site = await Site.open(REPLICAS);
  const pgbench = new Pgbench(program, { directory: site.directory, scale });
  progress(`filling tables of scale ${scale}`);
  await pgbench.initialize(site.primary, scale);
  await site.cluster.waitForReplay();
  const subjects = await startSubjects(site, options, plan);
  const conditions = conditionsOf({ pgbench: versionOf(program), subjects, options, args: process.argv.slice(2) });
  print(conditions.join('\n'));
  const results = await runCases(plan.cases, subjects, { site, pgbench, rounds, seconds });
  results.push(...(await runLargeResults(plan.resultCases, subjects, rounds)));
  const idle = plan.idle ? await idleLines(subjects) : [];
  if (plan.cases.length > 0) print(LEGEND);
  for (const table of [loadTable(plan.cases, results), ormTable(plan.cases, results), largeResultTable(results)])
    printTable(table);
  print(idle.join('\n'));
  print(failuresOf(results).join('\n'));
  printTable(targetTable(results));
  if (options.readme) writeReadme(readmeSection([...conditions, ...idle], { cases: plan.cases, results }));
  for (const { server } of subjects) await server?.stop();
  return results.some(({ error }) => error !== null) ? 1 : 0;
}

async function startSubjects(site: Site, options: BenchOptions, { cases, resultCases, idle }: Plan): Promise<Subject[]> {
  const workloads = [...cases.map(({ workload }) => workload), ...(idle || resultCases.length > 0 ? [null] : [])];
  const most = Math.max(FEWEST_SESSIONS, ...cases.map(({ clients }) => clients));
  const started: Subject[] = [];
  for (const name of options.subjects.filter((each) => workloads.some((workload) => fits(each, workload)))) {
    progress(`starting ${name}`);
    const subject = await STARTERS[name](site, { pool: options.pool, sessions: most + SPARE_SESSIONS }).catch(
      (error: unknown) => {
        throw new Error(`${name} does not start: ${error instanceof Error ? error.message : error}`);
      },
    );
    if (subject === null) console.log(`${name} is not installed: left out`);
    else started.push(subject);
  }
  return started;
}

async function runCases(
  cases: readonly BenchCase[],
  subjects: readonly Subject[],
  tools: { readonly site: Site; readonly pgbench: Pgbench; readonly rounds: number; readonly seconds: number },
): Promise<Result[]> {
  const those = ({ workload }: BenchCase) => subjects.filter(({ name }) => fits(name, workload));
  for (const kind of warmUpOf(cases)) {
    progress(`warming up: ${kind.name}`);
    const run = pgbenchRun(kind, { ...tools, seconds: WARM_UP_SECONDS });
    await runInterleaved(kind.name, run, { subjects: those(kind), rounds: 1 });
  }
  const results: Result[] = [];
  for (const [index, benchCase] of cases.entries()) {
    // Nothing of one case is left for the next: dead rows, WAL that replicas have yet to replay.
    await tools.site.tidy();
    const run = pgbenchRun(benchCase, tools);
    const measured = await runInterleaved(benchCase.name, run, { subjects: those(benchCase), rounds: tools.rounds });
    results.push(...measured);
    progress(`${index + 1} of ${cases.length}: ${benchCase.name}: ${measured.map(inShort).join(', ')}`);
  }
  return results;
}

function inShort(result: Result): string {
  const value = medianOf(result, 'tps') ?? medianOf(result, 'megabytesPerSecond');
  return `${result.subject} ${value === null ? `failed (${result.error})` : value.toFixed(0)}`;
}

async function runLargeResults(names: readonly ResultCase[], subjects: readonly Subject[], rounds: number): Promise<Result[]> {
  const results: Result[] = [];
  for (const name of names) {
    const measured = await runInterleaved(name, (subject) => measureResult(name, subject), {
      subjects: subjects.filter((subject) => fits(subject.name, null)),
      rounds: name === 'result slow' ? SLOW_ROUNDS : rounds,
    });
    results.push(...measured);
    progress(`${name}: ${measured.map(inShort).join(', ')}`);
  }
  return results;
}

async function idleLines(subjects: readonly Subject[]): Promise<string[]> {
  const lines: string[] = [];
  for (const subject of subjects.filter(({ name }) => fits(name, null))) {
    progress(`${IDLE_CASE}: ${subject.name}`);
    const line = await measureIdle(subject);
    if (line !== null) lines.push(`${subject.name}: ${line}`);
  }
  return lines;
}

function failuresOf(results: readonly Result[]): string[] {
  return results
    .filter(({ error }) => error !== null)
    .map(({ caseName, subject, error }) => `${caseName} ${subject} failed: ${error}`);
}

function printTable(table: Table): void {
  if (table.rows.length > 0) print(formatTable(table));
}

function print(text: string): void {
  if (text !== '') console.log(`\n${text}`);
}

function progress(what: string): void {
  process.stderr.write(`${what}\n`);
}
