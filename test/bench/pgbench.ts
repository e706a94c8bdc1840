import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type BenchCase, type Workload, WRITING } from './cases.ts';
import { quantile } from './statistics.ts';

/** Where pgbench connects to. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly database: string;
}

export interface PgbenchRun {
  readonly transactions: number;
  /** Without the time for the first connections, as pgbench reckons. */
  readonly tps: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/**
 * Of as few threads as there are cores. But pgbench waits for the answer when it prepares, and with it all clients of that
 * thread: one that waits for a connection of the pool would keep those from going on that hold them in transactions.
 */
const THREADS = 2;
/** pgbench's clock starts before its clients are connected, which PostgreSQL and pgpool take their time for; its rates leave that out. */
const CONNECTS_PER_SECOND = 100;
const ORM_SCRIPT = 'orm.sql';
/** What an object-relational mapper sends that opens a transaction for whatever it does, and this time only reads. */
const ORM_TRANSACTION = `\\set aid random(1, 100000 * :scale)
\\set tid random(1, 10 * :scale)
\\set bid random(1, :scale)
BEGIN;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
SELECT tbalance FROM pgbench_tellers WHERE tid = :tid;
SELECT bbalance FROM pgbench_branches WHERE bid = :bid;
COMMIT;
`;
const NAP_SCRIPT = 'nap.sql';
const NAP = 'SELECT nap(0.05);\n';

/** The one program that loads all subjects: Debian's, in a directory for its logs and its script. */
export class Pgbench {
  readonly #program: string;
  readonly #directory: string;
  readonly #workloads: Readonly<Record<Workload, readonly string[]>>;

  constructor(program: string, { directory, scale }: { directory: string; scale: number }) {
    this.#program = program;
    this.#directory = directory;
    const script = join(directory, ORM_SCRIPT);
    writeFileSync(script, ORM_TRANSACTION);
    const nap = join(directory, NAP_SCRIPT);
    writeFileSync(nap, NAP);
    this.#workloads = {
      'read-only': ['-b', 'select-only'],
      'read-write': ['-b', 'tpcb-like'],
      mixed: ['-b', 'select-only@9', '-b', 'tpcb-like@1'],
      connect: ['-b', 'select-only', '-C'],
      orm: ['-f', script, '-D', `scale=${scale}`],
      neighbours: ['-b', 'select-only@99', '-f', `${nap}@1`],
    };
  }

  /** Creates and fills the four tables, on the primary. */
  async initialize(target: Target, scale: number): Promise<void> {
    await this.#run([...address(target), '-i', '-q', '-s', String(scale)]);
  }

  /** @throws Error with pgbench's complaint when a client was lost or a transaction failed. */
  async run(target: Target, { workload, protocol, clients }: BenchCase, seconds: number): Promise<PgbenchRun> {
    const logs = join(this.#directory, 'pgbench');
    const wholeSeconds = seconds + Math.floor(clients / CONNECTS_PER_SECOND);
    const threads = WRITING.has(workload) && protocol === 'prepared' ? clients : Math.min(THREADS, clients);
    const size = ['-c', String(clients), '-j', String(threads), '-T', String(wholeSeconds)];
    try {
      const output = await this.#run([
        ...address(target),
        '-n',
        '-M',
        protocol,
        ...this.#workloads[workload],
        ...size,
        '-l',
        '--log-prefix',
        logs,
      ]);
      const failed = number(output, /^number of failed transactions: (\d+)/m);
      if (failed > 0) throw new Error(`${failed} transactions failed`);
      const latencies = readLatencies(globSync(`${logs}.*`), workload === 'neighbours' ? 0 : null);
      return {
        transactions: number(output, /^number of transactions actually processed: (\d+)/m),
        tps: number(output, /^tps = ([\d.]+)/m),
        p50Ms: quantile(latencies, 0.5) / 1000,
        p99Ms: quantile(latencies, 0.99) / 1000,
      };
    } finally {
      for (const file of globSync(`${logs}.*`)) rmSync(file);
    }
  }

  async #run(args: readonly string[]): Promise<string> {
    const child = spawn(this.#program, args, { cwd: this.#directory, stdio: ['ignore', 'pipe', 'pipe'] });
    const [output, complaints, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    if (code !== 0) throw new Error(complaint(complaints) ?? `pgbench ended with ${code}`);
    return output;
  }
}

function address({ host, port, database }: Target): string[] {
  return ['-h', host, '-p', String(port), '-U', 'postgres', database];
}

function number(output: string, pattern: RegExp): number {
  const value = Number(pattern.exec(output)?.[1] ?? Number.NaN);
  if (Number.isNaN(value)) throw new Error(`pgbench did not say ${pattern.source}`);
  return value;
}

/** The first line that tells what went wrong. */
function complaint(text: string): string | null {
  return text.split('\n').find((line) => /error|fatal|aborted/i.test(line)) ?? null;
}

/**
 * Microseconds of every transaction, or of those of one script, ascending: the third and fourth field of each line (pgbench,
 * "Per-Transaction Logging").
 */
function readLatencies(files: readonly string[], script: number | null): Float64Array {
  const latencies: number[] = [];
  for (const file of files) {
    for (const line of readFileSync(file, 'latin1').split('\n')) {
      const [, , microseconds, scriptNumber] = line.split(' ', 4);
      if (microseconds !== undefined && (script === null || Number(scriptNumber) === script))
        latencies.push(Number(microseconds));
    }
  }
  return Float64Array.from(latencies).sort();
}
