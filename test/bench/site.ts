import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { Account } from '../../src/demo/account.ts';
import { type Cluster, startCluster } from '../../src/demo/cluster.ts';
import { freePort } from '../../src/demo/ports.ts';
import { Watchdog } from '../../src/demo/watchdog.ts';
import { createWorkplace } from '../../src/demo/workplace.ts';
import type { Target } from './pgbench.ts';

export const HOST = '127.0.0.1';
export const DATABASE = 'bench';
const START_TIMEOUT_MS = 20_000;
const POLL_MS = 20;

/** With `fsync = off`, which the cluster has anyway, no disk is measured. */
const SETTINGS = {
  shared_buffers: '256MB',
  max_wal_size: '4GB',
  autovacuum: 'off',
  // PgBouncer's session mode and pgpool keep a connection for each client of the largest case, and the direct way has them too.
  max_connections: '1200',
};

/** A read like others, which takes as many seconds as it is told. */
const NAP = `CREATE FUNCTION nap(seconds double precision) RETURNS void LANGUAGE plpgsql STABLE
  AS 'BEGIN PERFORM pg_sleep(seconds); END'`;

/** A running proxy. */
export interface RunningServer {
  readonly pid: number;
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly program: string;
  readonly args: readonly string[];
  /** The port that it listens on once it is ready. */
  readonly port: number;
  /** Under the account that PostgreSQL runs under, for those that refuse to run as root. */
  readonly asServer: boolean;
}

/**
 * What all subjects share: a replica set with the database `bench`, a directory, and the promise that nothing is left
 * behind, however this process ends.
 */
export class Site implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly directory: string;
  readonly #account: Account | null;
  readonly #watchdog: Watchdog;

  constructor(cluster: Cluster) {
    const { account, data, programs } = createWorkplace();
    this.cluster = cluster;
    this.directory = data;
    this.#account = account;
    this.#watchdog = new Watchdog([data, programs]);
  }

  static async open(replicas: number): Promise<Site> {
    const site = new Site(await startCluster({ replicas, settings: SETTINGS }));
    await site.cluster.primary.query(`CREATE DATABASE ${DATABASE}`);
    await site.cluster.primary.query(NAP, DATABASE);
    return site;
  }

  get primary(): Target {
    return { host: HOST, port: this.cluster.primary.port, database: DATABASE };
  }

  /** The postmasters: the primary's, then the replicas'. */
  get pids(): number[] {
    return [this.cluster.primary, ...this.cluster.replicas].map(({ pid }) => pid).filter((pid) => pid !== null);
  }

  freePort(): Promise<number> {
    return freePort(HOST);
  }

  /** Writes a file that servers can read, and returns its path. */
  write(name: string, content: string): string {
    const path = join(this.directory, name);
    writeFileSync(path, content, { mode: 0o600 });
    if (this.#account !== null) chownSync(path, this.#account.uid, this.#account.gid);
    return path;
  }

  /**
   * Starts a proxy and waits until its port takes connections.
   * @throws Error with the end of what it said when it ends before that.
   */
  async start(name: string, { program, args, port, asServer }: ServerOptions): Promise<RunningServer> {
    const logFile = this.write(`${name}.log`, '');
    const log = openSync(logFile, 'a');
    const child = spawn(program, args, {
      cwd: asServer ? this.directory : process.cwd(),
      stdio: ['ignore', log, log],
      ...(asServer ? this.#account : null),
    });
    closeSync(log);
    const { pid } = child;
    if (pid === undefined) throw (await once(child, 'error'))[0];
    this.#watchdog.add(pid);
    child.once('exit', () => this.#watchdog.remove(pid));
    await untilListening(child, port, logFile);
    return { pid, stop: () => stop(child) };
  }

  /** Leaves no difference between one run and the next: dead rows gone, replicas level with the primary. */
  async tidy(): Promise<void> {
    await this.cluster.primary.query('TRUNCATE pgbench_history', DATABASE);
    for (const table of ['branches', 'tellers', 'accounts'])
      await this.cluster.primary.query(`VACUUM pgbench_${table}`, DATABASE);
    await this.cluster.waitForReplay();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watchdog.finish();
    await this.cluster[Symbol.asyncDispose]();
  }
}

async function untilListening(child: ChildProcess, port: number, logFile: string): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  const running = () => child.exitCode === null && child.signalCode === null;
  while (running() && performance.now() < deadline) {
    if (await accepts(port)) return;
    await sleep(POLL_MS);
  }
  child.kill('SIGKILL');
  throw new Error(
    `${running() ? 'did not listen' : 'ended at its start'}: ${readFileSync(logFile, 'utf8').trim().split('\n').slice(-5).join('\n')}`,
  );
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, HOST, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}

/** Waits until a query through `target` succeeds. */
export async function untilServes(target: Target): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const client = new Client({ ...target, user: 'postgres' });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.query('SELECT 1');
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(POLL_MS);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}
