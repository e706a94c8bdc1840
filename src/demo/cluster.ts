import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chmodSync, constants, cpSync, renameSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Account } from './account.ts';
import { freePort } from './ports.ts';
import { giveAway, installPostgres, type PostgresBinaries } from './postgres-binaries.ts';
import { HOST, PostgresNode } from './postgres-node.ts';
import { Watchdog } from './watchdog.ts';
import { createWorkplace } from './workplace.ts';

const REPLAY_TIMEOUT_MS = 30_000;
const START_ATTEMPTS = 5;
const POLL_MS = 10;

/**
 * For speed and little memory; what is written here need not survive a crash of the machine. A standby that lost its
 * primary asks again soon.
 */
const SETTINGS = {
  listen_addresses: HOST,
  unix_socket_directories: '',
  max_connections: '300',
  shared_buffers: '32MB',
  wal_level: 'replica',
  max_wal_senders: '10',
  wal_keep_size: '256MB',
  max_wal_size: '512MB',
  wal_retrieve_retry_interval: '100ms',
  hot_standby: 'on',
  fsync: 'off',
  full_page_writes: 'off',
  dynamic_shared_memory_type: 'mmap',
  log_line_prefix: '%m [%p] %u@%d ',
};

const INITDB_OPTIONS = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale'];
const INITDB_SPEED = ['--no-sync', '--no-instructions'];

/** From PostgreSQL 18 on checksums are the default, and each server starts three I/O workers. */
const SINCE_18 = { initdb: ['--no-data-checksums'], settings: { io_method: 'sync' } };
const NOTHING = { initdb: [], settings: {} };

export interface ClusterOptions {
  /** An installed PostgreSQL that every account can run; the one from npm when not given. */
  readonly binaries?: PostgresBinaries;
  /** How many standbys stream from the primary; 2 when not given. */
  readonly replicas?: number;
  /** postgresql.conf, on top of what a fast small cluster needs. */
  readonly settings?: Readonly<Record<string, string>>;
  /** pg_hba.conf, behind the lines that trust the superuser `postgres` on loopback; everybody is trusted when not given. */
  readonly hba?: readonly string[];
  /** Files for every data directory, by name: certificates and keys. Readable by the server alone. */
  readonly files?: Readonly<Record<string, string>>;
}

/** A primary with streaming standbys; `await using` it. */
export interface Cluster extends AsyncDisposable {
  /** The node that was the primary at the start. */
  readonly primary: PostgresNode;
  readonly replicas: readonly PostgresNode[];
  readonly nodes: readonly PostgresNode[];
  /** Holds the data directories and logs; removed in the end. */
  readonly directory: string;
  /** Waits until every running replica has replayed what the primary had flushed at the time of the call. */
  waitForReplay(): Promise<void>;
}

/**
 * Boots a real PostgreSQL cluster on loopback in about a second: initdb once, copy the data directory before its
 * first start, a `standby.signal` in each copy. Nothing of it outlives this process, however it ends.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const { account, programs, data } = createWorkplace();
  const watchdog = new Watchdog([programs, data]);
  try {
    const binaries = options.binaries ?? installPostgres(join(programs, 'postgres'), account);
    const version = binaries.major >= 18 ? SINCE_18 : NOTHING;
    const template = join(data, 'template');
    await runInitdb([binaries.initdb, '-D', template, ...INITDB_OPTIONS, ...INITDB_SPEED, ...version.initdb], account, watchdog);
    configure(template, { ...options, settings: { ...version.settings, ...options.settings } });
    const names = Array.from({ length: 1 + (options.replicas ?? 2) }, (_, index) => `pg-${index + 1}`);
    const nodes = await startNodes({ directory: data, program: binaries.postgres, account, watchdog }, template, names);
    return composeCluster(data, nodes, watchdog);
  } catch (error) {
    await watchdog.finish();
    throw error;
  }
}

async function runInitdb([program = '', ...args]: readonly string[], account: Account | null, watchdog: Watchdog): Promise<void> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    cwd: '/',
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
    detached: true,
    ...account,
  });
  const { pid } = child;
  if (pid === undefined) {
    const [cause] = await once(child, 'error');
    throw new Error(`${program} cannot be run here; on Linux it needs glibc, which Alpine, for one, does not have`, { cause });
  }
  watchdog.add(pid);
  const [complaints, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  watchdog.remove(pid);
  if (code !== 0) throw new Error(`initdb failed (${code}): ${complaints}`);
}

function configure(template: string, { settings = {}, hba = ['host all all all trust'], files = {} }: ClusterOptions): void {
  const lines = Object.entries({ ...SETTINGS, ...settings }).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`);
  appendFileSync(join(template, 'postgresql.conf'), `${lines.join('\n')}\n`);
  const ours = [`host replication postgres ${HOST}/32 trust`, `host all postgres ${HOST}/32 trust`];
  writeFileSync(join(template, 'pg_hba.conf'), `${[...ours, ...hba].join('\n')}\n`);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(template, name), content, { mode: 0o600 });
}

interface Site {
  readonly directory: string;
  /** The `postgres` program. */
  readonly program: string;
  readonly account: Account | null;
  readonly watchdog: Watchdog;
}

/** The first of `names` becomes the primary, which `template` itself serves; the others are copies of it. */
async function startNodes(site: Site, template: string, names: readonly string[]): Promise<PostgresNode[]> {
  const [first = '', ...others] = names.map((name) => join(site.directory, name));
  for (const directory of others) {
    cpSync(template, directory, { recursive: true, mode: constants.COPYFILE_FICLONE });
    chmodSync(directory, 0o700);
  }
  renameSync(template, first);
  if (site.account !== null) giveAway(first, site.account);
  const primary = await startNode(site, first, null);
  return [primary, ...(await Promise.all(others.map((directory) => startNode(site, directory, primary))))];
}

/** Starts a server for a data directory on a free port; on another one if somebody was faster. */
async function startNode(site: Site, dataDirectory: string, upstream: PostgresNode | null): Promise<PostgresNode> {
  const { program, account, watchdog } = site;
  for (let attempt = 1; ; attempt++) {
    const port = await freePort(HOST);
    const node = new PostgresNode({ name: basename(dataDirectory), port, dataDirectory, program, account, watchdog });
    if (upstream !== null) await node.follow(upstream);
    try {
      await node.start();
      return node;
    } catch (error) {
      if (attempt === START_ATTEMPTS || !node.log().includes('could not bind')) throw error;
    }
  }
}

function composeCluster(directory: string, nodes: readonly PostgresNode[], watchdog: Watchdog): Cluster {
  const [primary, ...replicas] = nodes;
  if (primary === undefined) throw new Error('a cluster has a primary');
  return {
    primary,
    replicas,
    nodes,
    directory,
    waitForReplay: () => waitForReplay(primary, replicas),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(nodes.map((node) => node.stop('immediate')));
      await watchdog.finish();
    },
  };
}

async function waitForReplay(primary: PostgresNode, replicas: readonly PostgresNode[]): Promise<void> {
  const position = (await primary.query('SELECT pg_current_wal_flush_lsn() AS lsn'))[0]?.lsn;
  const deadline = performance.now() + REPLAY_TIMEOUT_MS;
  for (const replica of replicas.filter((node) => node.running)) {
    while ((await replica.query(`SELECT pg_last_wal_replay_lsn() >= '${position}' AS done`))[0]?.done !== true) {
      if (performance.now() > deadline) throw new Error(`${replica.name} did not reach ${position}:\n${replica.log()}`);
      await sleep(POLL_MS);
    }
  }
}
