import { fileURLToPath } from 'node:url';
import type { Protocol, Workload } from './cases.ts';
import type { SubjectName } from './options.ts';
import type { Target } from './pgbench.ts';
import { findProgram, versionNumberOf, versionOf } from './programs.ts';
import { DATABASE, HOST, type RunningServer, type Site, untilServes } from './site.ts';

/** One way to the database that is measured. */
export interface Subject {
  readonly name: SubjectName;
  readonly version: string;
  /** What the reader of the table must know. */
  readonly note: string;
  /** The proxy; null for the direct way. */
  readonly server: RunningServer | null;
  /** Where it counts what it routes; null for all but pgweir. */
  readonly metricsUrl: string | null;
  /** The most clients that it can be asked to hold. */
  readonly maxClients: number;
  target(protocol: Protocol): Target;
}

/** What a subject is started with. */
export interface StartOptions {
  /** Backend connections that a pooler may have to each backend. */
  readonly pool: number;
  /** The most clients at once: PgBouncer's session mode takes a connection for each, pgpool a process. */
  readonly sessions: number;
}

/** How a subject is started; null when it is not installed. */
export const STARTERS: Readonly<Record<SubjectName, (site: Site, options: StartOptions) => Promise<Subject | null>>> = {
  direct: startDirect,
  pgweir: (site, { pool }) => startPgweir(site, { name: 'pgweir', pool, settings: {}, note: 'the defaults' }),
  'pgweir-leases': (site, { pool }) =>
    startPgweir(site, { name: 'pgweir-leases', pool, settings: { pool: { shared_reads: false } }, note: 'shared_reads: false' }),
  'pgweir-optimistic': (site, { pool }) =>
    startPgweir(site, {
      name: 'pgweir-optimistic',
      pool,
      settings: { routing: { transactions: 'optimistic' } },
      note: 'transactions: optimistic',
    }),
  pgbouncer: startPgbouncer,
  pgpool: startPgpool,
};

/** The two other ways through pgweir are of interest where they differ from the usual one. */
const ONLY_FOR: Readonly<Partial<Record<SubjectName, readonly Workload[]>>> = {
  'pgweir-leases': ['read-only', 'mixed'],
  'pgweir-optimistic': ['orm'],
};

/** Whether a workload says anything about a subject; `null` is everything that is not run with pgbench. */
export function fits(name: SubjectName, workload: Workload | null): boolean {
  const workloads = ONLY_FOR[name];
  return workloads === undefined || (workload !== null && workloads.includes(workload));
}

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const MANY_CLIENTS = 5000;

async function startDirect(site: Site, { sessions }: StartOptions): Promise<Subject> {
  const { server_version } = (await site.cluster.primary.query('SHOW server_version'))[0] ?? {};
  return {
    name: 'direct',
    version: `PostgreSQL ${server_version}`,
    note: 'to the primary',
    server: null,
    metricsUrl: null,
    maxClients: sessions,
    target: () => site.primary,
  };
}

interface PgweirOptions {
  readonly name: SubjectName;
  readonly pool: number;
  /** On top of what all of them have, in the words of the configuration file. */
  readonly settings: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly note: string;
}

async function startPgweir(site: Site, { name, pool, settings, note }: PgweirOptions): Promise<Subject> {
  const [port, httpPort] = [await site.freePort(), await site.freePort()];
  const config = {
    ...settings,
    listen: [{ address: `${HOST}:${port}` }],
    backends: site.cluster.nodes.map((node) => `${HOST}:${node.port}`),
    monitor: { user: 'postgres' },
    auth: { rules: [{ method: 'trust' }] },
    pool: { max_per_backend: pool, ...settings.pool },
    http: { address: `${HOST}:${httpPort}` },
    log: { level: 'warn' },
  };
  const file = site.write(`${name}.yaml`, JSON.stringify(config, null, 2));
  // As `npm start` and the container image do: fewer collections of what lives for one query only.
  const args = ['--min-semi-space-size=16', '--max-semi-space-size=32', '--single-threaded-gc', MAIN, 'serve', '-c', file];
  const server = await site.start(name, { program: process.execPath, args, port, asServer: false });
  const target = { host: HOST, port, database: DATABASE };
  await untilServes(target);
  return {
    name,
    version: `pgweir on Node ${process.version}`,
    note: `${note}; transaction mode, ${pool} connections per backend, reads on the replicas`,
    server,
    metricsUrl: `http://${HOST}:${httpPort}/metrics`,
    maxClients: MANY_CLIENTS,
    target: () => target,
  };
}

/** Since this version it can hold prepared statements in transaction mode. */
const PREPARED_SINCE = 1.21;
const PREPARED_STATEMENTS = 200;

async function startPgbouncer(site: Site, { pool, sessions }: StartOptions): Promise<Subject | null> {
  const program = findProgram('pgbouncer');
  if (program === null) return null;
  const preparesItself = versionNumberOf(versionOf(program)) >= PREPARED_SINCE;
  const port = await site.freePort();
  const users = site.write('pgbouncer-users.txt', '"postgres" ""\n');
  const { host, port: primary } = site.primary;
  const database = `host=${host} port=${primary} dbname=${DATABASE}`;
  const file = site.write(
    'pgbouncer.ini',
    `[databases]
${DATABASE} = ${database} pool_mode=transaction pool_size=${pool}
${DATABASE}_session = ${database} pool_mode=session pool_size=${sessions}
[pgbouncer]
listen_addr = ${HOST}
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${users}
max_client_conn = ${MANY_CLIENTS}
log_connections = 0
log_disconnections = 0
log_stats = 0
${preparesItself ? `max_prepared_statements = ${PREPARED_STATEMENTS}` : ''}
`,
  );
  const server = await site.start('pgbouncer', { program, args: [file], port, asServer: true });
  await untilServes({ host: HOST, port, database: DATABASE });
  return {
    name: 'pgbouncer',
    version: versionOf(program),
    note: `transaction mode, ${pool} connections to the primary${preparesItself ? '' : '; for "prepared" session mode, since before 1.21 it cannot do otherwise'}`,
    server,
    metricsUrl: null,
    maxClients: MANY_CLIENTS,
    target: (protocol) => ({
      host: HOST,
      port,
      database: protocol === 'prepared' && !preparesItself ? `${DATABASE}_session` : DATABASE,
    }),
  };
}

async function startPgpool(site: Site, { sessions }: StartOptions): Promise<Subject | null> {
  const program = findProgram('pgpool');
  if (program === null) return null;
  const [port, pcpPort] = [await site.freePort(), await site.freePort()];
  const backends = site.cluster.nodes.map(
    (node, index) => `backend_hostname${index} = '${HOST}'
backend_port${index} = ${node.port}
backend_weight${index} = 1
backend_flag${index} = 'DISALLOW_TO_FAILOVER'`,
  );
  const file = site.write(
    'pgpool.conf',
    `${backends.join('\n')}
backend_clustering_mode = 'streaming_replication'
listen_addresses = '${HOST}'
port = ${port}
pcp_listen_addresses = '${HOST}'
pcp_port = ${pcpPort}
socket_dir = '${site.directory}'
pcp_socket_dir = '${site.directory}'
wd_ipc_socket_dir = '${site.directory}'
pid_file_name = '${site.directory}/pgpool.pid'
logdir = '${site.directory}'
num_init_children = ${sessions}
max_pool = 1
enable_pool_hba = off
load_balance_mode = on
sr_check_user = 'postgres'
sr_check_database = 'postgres'
log_min_messages = error
`,
  );
  const [pcp, hba] = [site.write('pcp.conf', ''), site.write('pool_hba.conf', '')];
  const args = ['-n', '-f', file, '-F', pcp, '-a', hba];
  const server = await site.start('pgpool', { program, args, port, asServer: true });
  const target = { host: HOST, port, database: DATABASE };
  await untilServes(target);
  return {
    name: 'pgpool',
    version: versionOf(program),
    note: `${sessions} processes, load balancing on; memory is the sum of proportional shares`,
    server,
    metricsUrl: null,
    maxClients: sessions,
    target: () => target,
  };
}
