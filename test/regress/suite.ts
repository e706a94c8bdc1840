import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, copyFileSync, cpSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { giveAway } from '../../src/demo/postgres-binaries.ts';
import type { PostgresNode } from '../../src/demo/postgres-node.ts';
import { Watchdog } from '../../src/demo/watchdog.ts';
import { createWorkplace, type Workplace } from '../../src/demo/workplace.ts';
import type { Installation } from './installation.ts';

const DATABASE = 'regression';
const NEEDED = ['sql', 'expected', 'data', 'parallel_schedule', 'regress.c'] as const;

/** What pg_regress says, in the directory of its outputs. */
const LOG = 'log';
/** Of the tests of a parallel group, so many at a time. */
const MAX_CONNECTIONS = 8;
/** Ten times what a run takes on two cores: something hangs. */
const RUN_TIMEOUT_MS = 12 * 60_000;

/** What pg_regress gives a database that it creates itself (create_database in src/test/regress/pg_regress.c). */
const DATABASE_SETTINGS = {
  lc_messages: 'C',
  lc_monetary: 'C',
  lc_numeric: 'C',
  lc_time: 'C',
  bytea_output: 'hex',
  timezone_abbreviations: 'Default',
};

/**
 * The suite, laid out and compiled in a directory that servers can read and write. Its path shows in some outputs, so all
 * runs use the same one.
 */
export class Suite implements AsyncDisposable {
  readonly #installation: Installation;
  readonly #workplace: Workplace = createWorkplace();
  readonly #watchdog = new Watchdog([this.#workplace.data, this.#workplace.programs]);

  private constructor(installation: Installation) {
    this.#installation = installation;
  }

  /** @throws Error when `directory` is none or does not hold the suite, or when its C functions do not compile */
  static prepare(directory: string | null, installation: Installation): Suite {
    const source = checkedSource(directory, installation.binaries.major);
    const suite = new Suite(installation);
    const input = suite.#input;
    cpSync(source, input, { recursive: true, dereference: true });
    const { gcc, headers, modules } = installation;
    execFileSync(
      gcc,
      ['-shared', '-fPIC', '-O1', '-w', `-I${headers}`, `-I${input}`, '-o', join(input, 'regress.so'), join(input, 'regress.c')],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    for (const module of modules) copyFileSync(module, join(input, basename(module)));
    suite.#giveAway(input);
    return suite;
  }

  /**
   * Runs the whole suite in a new database of `primary`.
   * @param port where its clients connect to: the primary itself, or what stands in front of it
   * @returns directory of the outputs, one file per test, kept until the suite is disposed of
   */
  async run(
    name: string,
    { primary, port, encoding }: { primary: PostgresNode; port: number; encoding: string },
  ): Promise<string> {
    await createDatabase(primary, encoding);
    const { pgRegress, bindir } = this.#installation;
    const [input, output] = [this.#input, join(this.#workplace.data, 'output')];
    rmSync(output, { recursive: true, force: true });
    mkdirSync(output);
    this.#giveAway(output);
    const args = {
      bindir,
      inputdir: input,
      outputdir: output,
      dlpath: input,
      host: primary.host,
      port,
      user: 'postgres',
      dbname: DATABASE,
      schedule: join(input, 'parallel_schedule'),
      'max-connections': MAX_CONNECTIONS,
    };
    await this.#finish(pgRegress, ['--use-existing', ...Object.entries(args).map(([key, value]) => `--${key}=${value}`)], output);
    const [results, kept] = [join(output, 'results'), this.#outputs(name)];
    if (!existsSync(results)) throw new Error(`${name}: no results:\n${readFileSync(join(output, LOG), 'utf8').trim()}`);
    renameSync(results, kept);
    return kept;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watchdog.finish();
  }

  get #input(): string {
    return join(this.#workplace.data, 'suite');
  }

  #outputs(name: string): string {
    return join(this.#workplace.data, name);
  }

  /** pg_regress judges by `expected`, which is of another minor version, perhaps: its verdict does not count here. */
  async #finish(program: string, args: readonly string[], output: string): Promise<void> {
    const log = openSync(join(output, LOG), 'a');
    const child = spawn(program, args, {
      cwd: output,
      stdio: ['ignore', log, log],
      env: { PATH: process.env.PATH, HOME: output, LC_ALL: 'C' },
      ...this.#workplace.account,
    });
    closeSync(log);
    const ended = once(child, 'exit');
    if (child.pid !== undefined) this.#watchdog.add(child.pid);
    const timer = setTimeout(() => child.kill(), RUN_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
    if (child.pid !== undefined) this.#watchdog.remove(child.pid);
  }

  #giveAway(directory: string): void {
    if (this.#workplace.account !== null) giveAway(directory, this.#workplace.account);
  }
}

/** @throws Error that says where to get the suite */
function checkedSource(directory: string | null, major: number): string {
  const where = `It is src/test/regress of PostgreSQL's source release of the same major version as the server, ${major}: https://www.postgresql.org/ftp/source/`;
  if (directory === null)
    throw new Error(`--suite or PG_REGRESS_SUITE must name the directory of the regression suite. ${where}`);
  const missing = NEEDED.filter((name) => !existsSync(join(directory, name)));
  if (missing.length > 0)
    throw new Error(`${resolve(directory)} is not the regression suite: no ${missing.join(', ')}. ${where}`);
  return directory;
}

async function createDatabase(primary: PostgresNode, encoding: string): Promise<void> {
  await primary.query(`CREATE DATABASE ${DATABASE} TEMPLATE template0 ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`);
  for (const [name, value] of Object.entries(DATABASE_SETTINGS)) {
    await primary.query(`ALTER DATABASE ${DATABASE} SET ${name} TO '${value}'`);
  }
}
