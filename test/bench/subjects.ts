import { fileURLToPath } from 'node:url';
import type { Protocol } from './cases.ts';
import type { SubjectName } from './options.ts';
import type { Target } from './pgbench.ts';
import { findProgram, versionOf } from './programs.ts';
import { DATABASE, HOST, type RunningServer, type Site, untilServes } from './site.ts';

/** One way to the database that is measured. */
export interface Subject {
  readonly name: SubjectName;
  readonly version: string;
  /** What the reader of the table must know. */
  readonly note: string;
  /** The proxy; null for the direct way. */
  readonly server: RunningServer | null;
  /** The most clients that it can be asked to hold. */
  readonly maxClients: number;
  target(protocol: Protocol): Target;
}

/** How a subject is started; null when it is not installed. */
export const STARTERS: Readonly<Record<SubjectName, (site: Site, pool: number) => Promise<Subject | null>>> = {
  direct: startDirect,
  pgweir: startPgweir,
  pgbouncer: startPgbouncer,
  pgpool: startPgpool,
};

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const MANY_CLIENTS = 5000;
/** More than any case has clients: PgBouncer's session mode takes a connection for each, pgpool a process. */
const PROCESSES = 100;

async function startDirect(site: Site): Promise<Subject> {
  const { server_version } = (await site.cluster.primary.query('SHOW server_version'))[0] ?? {};
  return {
    name: 'direct',
    version: `PostgreSQL ${server_version}`,
    note: 'to the primary',
    server: null,
    maxClients: PROCESSES,
    target: () => site.primary,
  };
}

async function startPgweir(site: Site, pool: number): Promise<Subject> {
  const port = await site.freePort();
  const config = {
    listen: [{ address: `${HOST}:${port}` }],
    backends: site.cluster.nodes.map((node) => `${HOST}:${node.port}`),
    monitor: { user: 'postgres' },
    auth: { rules: [{ method: 'trust' }] },
    pool: { max_per_backend: pool },
    http: { address: `${HOST}:${await site.freePort()}` },
    log: { level: 'warn' },
  };
  const file = site.write('pgweir.yaml', JSON.stringify(config, null, 2));
  // As `npm start` and the container image do: fewer collections of what lives for one query only.
  const args = ['--max-semi-space-size=32', MAIN, 'serve', '-c', file];
  const server = await site.start('pgweir', { program: process.execPath, args, port, asServer: false });
  const target = { host: HOST, port, database: DATABASE };
  await untilServes(target);
  return {
    name: 'pgweir',
    version: `pgweir on Node ${process.version}`,
    note: `transaction mode, ${pool} connections per backend, reads on the replicas`,
    server,
    maxClients: MANY_CLIENTS,
    target: () => target,
  };
}

async function startPgbouncer(site: Site, pool: number): Promise<Subject | null> {
  const program = findProgram('pgbouncer');
  if (program === null) return null;
  const port = await site.freePort();
  const users = site.write('pgbouncer-users.txt', '"postgres" ""\n');
  const { host, port: primary } = site.primary;
  const database = `host=${host} port=${primary} dbname=${DATABASE}`;
  const file = site.write(
    'pgbouncer.ini',
    `[databases]
${DATABASE} = ${database} pool_mode=transaction pool_size=${pool}
${DATABASE}_session = ${database} pool_mode=session pool_size=${PROCESSES}
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
`,
  );
  const server = await site.start('pgbouncer', { program, args: [file], port, asServer: true });
  await untilServes({ host: HOST, port, database: DATABASE });
  return {
    name: 'pgbouncer',
    version: versionOf(program),
    note: `transaction mode, ${pool} connections to the primary; for "prepared" session mode, since before 1.21 it cannot do otherwise`,
    server,
    maxClients: MANY_CLIENTS,
    target: (protocol) => ({ host: HOST, port, database: protocol === 'prepared' ? `${DATABASE}_session` : DATABASE }),
  };
}

async function startPgpool(site: Site): Promise<Subject | null> {
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
num_init_children = ${PROCESSES}
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
    note: `${PROCESSES} processes, load balancing on; memory is the sum of proportional shares`,
    server,
    maxClients: PROCESSES,
    target: () => target,
  };
}
