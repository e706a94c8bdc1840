import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import type { Account } from './account.ts';
import { giveAway } from './postgres-binaries.ts';
import { childrenOf, signal } from './process-tree.ts';
import type { Watchdog } from './watchdog.ts';

const run = promisify(execFile);

export const HOST = '127.0.0.1';
const START_TIMEOUT_MS = 30_000;
const SETTING_TIMEOUT_MS = 10_000;
const POLL_MS = 10;

/** pg_ctl's names for the three ways of a shutdown, and the postmaster's signals for them. */
const STOP_SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const;
export type StopMode = keyof typeof STOP_SIGNALS;

export type Row = Readonly<Record<string, unknown>>;

export interface NodeOptions {
  readonly name: string;
  readonly port: number;
  readonly dataDirectory: string;
  /** The `postgres` program. */
  readonly program: string;
  readonly account: Account | null;
  readonly watchdog: Watchdog;
}

/** One PostgreSQL server on loopback, as a direct child process. Superuser `postgres`, trusted. */
export class PostgresNode {
  readonly name: string;
  readonly host = HOST;
  readonly port: number;
  readonly dataDirectory: string;
  /** What the server said since it was created. */
  readonly logFile: string;
  readonly #options: NodeOptions;
  #process: ChildProcess | null = null;
  #pausedChildren: number[] = [];

  constructor(options: NodeOptions) {
    this.#options = options;
    this.name = options.name;
    this.port = options.port;
    this.dataDirectory = options.dataDirectory;
    this.logFile = `${options.dataDirectory}.log`;
  }

  get running(): boolean {
    return this.#process !== null;
  }

  /** Process id of the postmaster, null while it does not run. */
  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  /**
   * Starts the server and waits until it takes connections.
   * @throws Error with the end of the server's log when it ends before that.
   */
  async start(): Promise<void> {
    if (this.#process !== null) return;
    const log = openSync(this.logFile, 'a');
    const { program, account, watchdog } = this.#options;
    const child = spawn(program, ['-D', this.dataDirectory, '-p', String(this.port)], {
      stdio: ['ignore', log, log],
      cwd: this.dataDirectory,
      env: { PATH: process.env.PATH, LC_ALL: 'C' },
      detached: true,
      ...account,
    });
    closeSync(log);
    const { pid } = child;
    if (pid === undefined) throw (await once(child, 'error'))[0];
    watchdog.add(pid);
    this.#process = child;
    child.unref();
    child.once('exit', () => {
      watchdog.remove(pid);
      this.#process = null;
    });
    await this.#untilReady();
  }

  /** Shuts down as `pg_ctl stop -m` does, and waits for the end. A paused server is resumed first. */
  async stop(mode: StopMode = 'fast'): Promise<void> {
    const ended = this.#ended();
    if (this.pid === null || ended === null) return;
    signal(this.pid, STOP_SIGNALS[mode]);
    this.resume();
    await ended;
  }

  /** Ends every process of the server at once, as a crash of the machine would. */
  async kill(): Promise<void> {
    const ended = this.#ended();
    const postmaster = this.pid;
    if (postmaster === null || ended === null) return;
    signal(postmaster, 'SIGSTOP'); // so that it forks no more while we look
    const children = childrenOf(postmaster);
    signal(postmaster, 'SIGKILL');
    for (const child of children) signal(child, 'SIGKILL');
    this.#forgetPaused();
    await ended;
    while (children.some((pid) => signal(pid, 'SIGKILL') && isAlive(pid))) await sleep(POLL_MS);
    await this.#clearCrash();
  }

  /** Freezes every process of the server: sockets stay open, nothing answers. */
  pause(): void {
    const postmaster = this.pid;
    if (postmaster === null) throw new Error(`${this.name} does not run`);
    signal(postmaster, 'SIGSTOP');
    this.#pausedChildren = childrenOf(postmaster);
    for (const pid of this.#pausedChildren) {
      signal(pid, 'SIGSTOP');
      this.#options.watchdog.add(pid); // frozen, it would not hear the postmaster's order to end
    }
  }

  resume(): void {
    if (this.pid !== null) signal(this.pid, 'SIGCONT');
    for (const pid of this.#pausedChildren) signal(pid, 'SIGCONT');
    this.#forgetPaused();
  }

  /** Runs `sql` on a connection of its own; the rows of the last statement, as `pg` decodes them. */
  async query(sql: string, database = 'postgres', user = 'postgres'): Promise<Row[]> {
    const client = new Client({ host: HOST, port: this.port, database, user, ssl: false });
    client.on('error', () => undefined); // the query in flight is rejected; this is the same news again
    try {
      await client.connect();
      const result: { rows: Row[] } | { rows: Row[] }[] = await client.query(sql);
      return (Array.isArray(result) ? result.at(-1)?.rows : result.rows) ?? [];
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /**
   * Changes a setting that needs no restart, and waits until new connections see it. `null` goes back to the default.
   * Standbys take this too: ALTER SYSTEM writes no WAL.
   */
  async set(name: string, value: string | null): Promise<void> {
    const loadTime = async () => (await this.query('SELECT pg_conf_load_time()::text AS at'))[0]?.at;
    const before = await loadTime();
    const literal = value === null ? 'DEFAULT' : `'${value.replaceAll("'", "''")}'`;
    await this.query(`ALTER SYSTEM SET ${name} = ${literal}`);
    await this.query('SELECT pg_reload_conf()');
    await this.#until('took no setting', SETTING_TIMEOUT_MS, async () => (await loadTime()) !== before);
  }

  /** Makes a standby the primary and waits until it takes writes. */
  async promote(): Promise<void> {
    await this.query('SELECT pg_promote(true, 30)');
    const recovering = async () => (await this.query('SELECT pg_is_in_recovery() AS yes'))[0]?.yes;
    await this.#until('was not promoted', START_TIMEOUT_MS, async () => (await recovering()) === false);
  }

  /**
   * Streams from `upstream` from now on. A stopped server becomes a standby with that; it must have been stopped in
   * the fast or smart mode if it was a primary, since there is no pg_rewind here.
   */
  async follow(upstream: PostgresNode): Promise<void> {
    const conninfo = `host=${HOST} port=${upstream.port} user=postgres application_name=${this.name}`;
    if (this.running) {
      await this.set('primary_conninfo', conninfo);
      return;
    }
    writeFileSync(join(this.dataDirectory, 'standby.signal'), '');
    if (this.#options.account !== null) giveAway(this.dataDirectory, this.#options.account);
    appendFileSync(join(this.dataDirectory, 'postgresql.auto.conf'), `primary_conninfo = '${conninfo}'\n`);
  }

  /** The last lines of the server's log. */
  log(lines = 20): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n') : '';
  }

  #forgetPaused(): void {
    for (const pid of this.#pausedChildren) this.#options.watchdog.remove(pid);
    this.#pausedChildren = [];
  }

  #ended(): Promise<unknown> | null {
    if (this.#process === null) return null;
    this.#process.ref();
    return once(this.#process, 'exit');
  }

  /** Line 8 of postmaster.pid is the state (src/include/utils/pidfile.h); pg_ctl waits in the same way. */
  async #untilReady(): Promise<void> {
    const file = join(this.dataDirectory, 'postmaster.pid');
    await this.#until('did not start', START_TIMEOUT_MS, () => {
      if (!this.running) throw new Error(`${this.name} did not start; its log ends with:\n${this.log()}`);
      if (!existsSync(file)) return false;
      const lines = readFileSync(file, 'utf8').split('\n');
      return lines[0] === String(this.pid) && lines[7]?.trim() === 'ready';
    });
  }

  /** A killed postmaster leaves its System V shared memory (line 7 of postmaster.pid: key and id) and its pid file. */
  async #clearCrash(): Promise<void> {
    const file = join(this.dataDirectory, 'postmaster.pid');
    if (!existsSync(file)) return;
    const sharedMemoryId = readFileSync(file, 'utf8').split('\n')[6]?.trim().split(/\s+/)[1];
    if (sharedMemoryId !== undefined) await run('ipcrm', ['-m', sharedMemoryId]).catch(() => undefined);
    rmSync(file);
  }

  async #until(failure: string, timeoutMs: number, condition: () => Promise<boolean> | boolean): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!(await condition())) {
      if (performance.now() > deadline) throw new Error(`${this.name} ${failure} within ${timeoutMs} ms:\n${this.log()}`);
      await sleep(POLL_MS);
    }
  }
}

/** False for zombies too, which nobody may come to reap. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return process.platform !== 'linux' && signal(pid, 'SIGKILL');
  }
}
