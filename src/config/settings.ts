import type { z } from 'zod';
import { checkNetwork, formatAddress } from './address.ts';
import { type Check, group, list } from './groups.ts';
import {
  address,
  duration,
  type Files,
  file,
  flag,
  integer,
  oneOf,
  optional,
  optionalOrOff,
  secret,
  size,
  text,
} from './kinds.ts';

/**
 * Every setting of pgweir, declared once. From here derive {@link Config}, validation, `config/schema.json` and
 * `config/README.md`. In the file, names are snake_case and durations and sizes are written with their unit.
 */
export type Config = z.output<ReturnType<typeof declareSettings>>;

const MAX_COUNT = 1_000_000;
const MIB = 1024 * 1024;

/** A SCRAM verifier or an md5 hash as `pg_authid.rolpassword` holds it. Source: src/backend/libpq/crypt.c. */
const VERIFIER = /^(SCRAM-SHA-256\$\d{1,10}:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+|md5[0-9a-f]{32})$/;

/** @param files reads secrets and finds the files that are named in the configuration. */
export function declareSettings(files: Files) {
  return group(
    {
      listen: listenSettings(),
      backends: backendsSettings(),
      backendTls: backendTlsSettings(files),
      tls: optionalOrOff(tlsSettings(files)),
      monitor: monitorSettings(files),
      auth: authSettings(files),
      routing: routingSettings(),
      pool: poolSettings(),
      limits: limitsSettings(),
      http: group(
        {
          address: address(
            { description: 'Where /metrics, /healthz and /readyz are served.', default: '127.0.0.1:9187' },
            { usual: null, min: 0 },
          ),
        },
        { description: 'The HTTP listener.', restart: true, shorthand: 'address' },
      )
        .transform(({ address: { host, port } }) => ({ host, port }))
        .prefault({}),
      shutdown: group(
        {
          drainTimeoutMs: duration({
            description: 'How long SIGTERM and SIGINT wait for open transactions before connections are closed.',
            default: '30s',
          }),
        },
        { description: 'What happens at the end.' },
      ).prefault({}),
      workers: integer(
        {
          description:
            'Processes that serve clients; each can use one core. With more than one there is a supervisor beside them, and each has its part of `pool.max_per_backend`, `pool.min_idle`, `pool.max_waiters`, `limits.clients`, `limits.clients_per_user` and `limits.statement_bytes`.',
          default: 1,
          restart: true,
        },
        { min: 1, max: 256 },
      ),
      log: group(
        {
          level: oneOf(['debug', 'info', 'warn', 'error'], {
            description: 'Events below it are not logged. Logs are JSON lines on the standard output.',
            default: 'info',
          }),
        },
        { description: 'The log.' },
      ).prefault({}),
    },
    { description: 'The configuration of pgweir.' },
    checkAll,
  );
}

function listenSettings() {
  const entry = group(
    {
      address: address(
        { description: 'Address and port to listen on; port 0 takes a free one.', default: '0.0.0.0:6432' },
        { usual: 6432, min: 0 },
      ),
      mode: oneOf(['split', 'read-only'], {
        description:
          '`split` sends reads to replicas and all else to the primary. `read-only` serves replicas only and tells clients so (`in_hot_standby`, `default_transaction_read_only`), for drivers with `target_session_attrs`.',
        default: 'split',
      }),
    },
    { description: 'One listener; a text stands for its address.', shorthand: 'address' },
  ).transform(({ address: { host, port }, mode }) => ({ host, port, mode }));
  return list(
    entry,
    { description: 'Where clients connect.', min: 1, restart: true, fallback: ['0.0.0.0:6432'] },
    unique((listen) => (listen.port === 0 ? null : formatAddress(listen)), 'listens where an earlier listener does'),
  );
}

function backendsSettings() {
  const entry = group(
    {
      address: address({ description: 'Host name or address and port (usually 5432).' }, { usual: 5432, min: 1 }),
      name: optional(text({ description: 'Its name in logs, in metrics and on the page; its address when left out.' })),
      weight: integer(
        { description: 'Its share of reads among the replicas, relative to the others.', default: 1 },
        { min: 1, max: 1000 },
      ),
    },
    { description: 'One PostgreSQL node; a text stands for its address.', shorthand: 'address' },
  ).transform(({ address: { host, port }, name, weight }) => ({
    host,
    port,
    name: name ?? formatAddress({ host, port }),
    weight,
  }));
  const uniqueAddress = unique(formatAddress, 'has the address of an earlier backend');
  const uniqueName = unique((backend: { name: string }) => backend.name, 'has the name of an earlier backend');
  return list(
    entry,
    {
      description: 'The nodes of one PostgreSQL cluster, in any order: which of them is the primary is found out.',
      min: 1,
      restart: true,
    },
    function* (backends) {
      const sameAddress = [...uniqueAddress(backends)];
      yield* sameAddress;
      if (sameAddress.length === 0) yield* uniqueName(backends);
    },
  );
}

function backendTlsSettings(files: Files) {
  return group(
    {
      mode: oneOf(['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'], {
        description: "As libpq's `sslmode`.",
        default: 'prefer',
      }),
      caFile: optional(
        file({ description: 'PEM certificates to verify backends by; the well-known authorities when left out.' }, files),
      ),
      certFile: optional(file({ description: 'PEM certificate that pgweir shows to backends.' }, files)),
      keyFile: optional(file({ description: 'PEM private key of that certificate.' }, files)),
    },
    { description: 'TLS from pgweir to backends.' },
    function* ({ certFile, keyFile }) {
      if (certFile !== null && keyFile === null) yield { path: ['key_file'], message: 'is required with cert_file' };
      if (keyFile !== null && certFile === null) yield { path: ['cert_file'], message: 'is required with key_file' };
    },
  ).prefault({});
}

function tlsSettings(files: Files) {
  return group(
    {
      certFile: file({ description: 'PEM certificate shown to clients, with its intermediates.' }, files),
      keyFile: file({ description: 'PEM private key of that certificate.' }, files),
      caFile: optional(file({ description: 'PEM certificates that client certificates are verified by.' }, files)),
      mode: oneOf(['allow', 'require', 'verify-client'], {
        description:
          '`allow` takes clients with and without TLS, `require` only with, `verify-client` only with a certificate signed by `ca_file`.',
        default: 'allow',
      }),
    },
    { description: 'TLS from clients to pgweir. Left out: clients are told that there is none.' },
    function* ({ mode, caFile }) {
      if (mode === 'verify-client' && caFile === null) {
        yield { path: ['ca_file'], message: 'is required with mode: verify-client' };
      }
    },
  );
}

function monitorSettings(files: Files) {
  return group(
    {
      user: text({ description: 'The role that looks after the backends. Any role that may log in will do.', restart: true }),
      password: secret({ description: 'Its password; left out when backends ask for none.', restart: true }, files),
      database: text({ description: 'The database it connects to.', default: 'postgres', restart: true }),
      intervalMs: duration(
        { description: 'Time between two probes of a backend while there is traffic.', default: '100ms' },
        { minMs: 10, maxMs: 60_000 },
      ),
      idleIntervalMs: duration(
        { description: 'Time between two probes of a backend while there is none.', default: '1s' },
        { minMs: 10, maxMs: 60_000 },
      ),
      timeoutMs: duration(
        { description: 'A probe without an answer for this long has failed.', default: '1s', restart: true },
        { minMs: 10, maxMs: 60_000 },
      ),
      observationLifeMs: duration(
        {
          description:
            'A replica whose last good probe is older is not read from. At least `idle_interval` and `timeout` together.',
          default: '3s',
        },
        { minMs: 20, maxMs: 600_000 },
      ),
    },
    { description: 'How backends are watched.' },
    function* ({ observationLifeMs, idleIntervalMs, intervalMs, timeoutMs }) {
      if (idleIntervalMs < intervalMs) yield { path: ['idle_interval'], message: 'must not be shorter than interval' };
      if (observationLifeMs < idleIntervalMs + timeoutMs) {
        yield { path: ['observation_life'], message: 'must be at least idle_interval and timeout together' };
      }
    },
  );
}

function authSettings(files: Files) {
  const rule = group(
    {
      from: optional(text({ description: 'Address or network, as `10.0.0.0/8` or `::1`; any when left out.' }, checkNetwork)),
      database: optional(text({ description: 'Database; any when left out.' })),
      user: optional(text({ description: 'User; any when left out.' })),
      tls: optional(flag({ description: 'Only with TLS (`true`), only without (`false`); either when left out.' })),
      method: oneOf(['scram-sha-256', 'md5', 'password', 'trust', 'reject'], {
        description: 'How the client proves who it is. `password` sends it readable: use it with TLS only.',
      }),
    },
    { description: 'One rule. All of its conditions must hold.' },
  );
  const user = group(
    {
      name: text({ description: 'The role.' }),
      password: secret({ description: 'Its password.' }, files),
      verifier: secret({ description: 'Its SCRAM verifier or md5 hash, as `pg_authid.rolpassword` holds it.' }, files, (value) =>
        VERIFIER.test(value) ? null : 'must be SCRAM-SHA-256$... or md5..., as in pg_authid.rolpassword',
      ),
    },
    { description: 'One user, with a password or a verifier.' },
    function* ({ password, verifier }) {
      if (password === null && verifier === null) yield { path: ['password'], message: 'is required, or a verifier' };
      if (password !== null && verifier !== null) {
        yield { path: ['verifier'], message: 'cannot be given together with a password: remove one of them' };
      }
    },
  );
  const query = group(
    {
      user: optional(text({ description: 'The role that asks; the user of the monitor when left out.' })),
      password: secret({ description: "Its password; the monitor's when both are left out." }, files),
      database: optional(text({ description: "The database it asks in; the monitor's when left out." })),
      statement: optional(
        text({
          description:
            'Asks for the role $1: one row with its name, its verifier, and if you like whether it may log in (boolean) and for how many milliseconds its password is good. When left out, `pg_authid` is read, which superusers may, and roles with SELECT on its columns rolname, rolpassword, rolcanlogin and rolvaliduntil in that database.',
        }),
      ),
    },
    {
      description: 'How verifiers of users that are not listed are looked up in the cluster; `off` switches it off.',
      restart: true,
    },
    function* ({ user: asks, password }) {
      if (asks === null && password !== null) yield { path: ['user'], message: 'is required with a password' };
    },
  );
  return group(
    {
      rules: list(rule, {
        description: 'As pg_hba.conf: the first rule that fits a client decides, and without one it is refused.',
        min: 1,
        fallback: [{ method: 'scram-sha-256' }],
      }),
      users: list(
        user,
        { description: 'Users known here. All others are looked up with `query`.', min: 0, fallback: [] },
        unique(({ name }) => name, 'is the name of an earlier user', 'name'),
      ),
      query: optionalOrOff(query).prefault({}),
    },
    { description: 'Who may log in, and how.' },
  ).prefault({});
}

function routingSettings() {
  const rule = group(
    {
      user: optional(text({ description: 'User; any when left out.' })),
      database: optional(text({ description: 'Database; any when left out.' })),
      route: oneOf(['primary', 'replica'], {
        description: 'Where their statements go. `replica` is for reads only: a write never goes there.',
      }),
    },
    { description: 'One rule. All of its conditions must hold.' },
    function* ({ user, database }) {
      if (user === null && database === null) yield { path: [], message: 'needs a user or a database' };
    },
  );
  return group(
    {
      maxLagMs: duration({ description: 'A replica that is further behind is not read from.', default: '5s' }, { minMs: 1 }),
      maxLagBytes: optionalOrOff(
        size(
          { description: 'A replica with more of the WAL still to replay is not read from.' },
          { minBytes: 1, maxBytes: Number.MAX_SAFE_INTEGER },
        ),
      ),
      consistency: oneOf(['eventual', 'session'], {
        description:
          '`session`: a session sees its own writes, and never an older state than it saw before. `eventual`: a session may read from any replica within `max_lag`.',
        default: 'session',
      }),
      fenceWaitMs: duration(
        {
          description:
            'How long a read waits for a replica to contain what it must see, before it goes to the primary. Where that is in vain most of the time, only one read in a while waits.',
          default: '10ms',
        },
        { maxMs: 60_000 },
      ),
      whenNoReplica: oneOf(['primary', 'error'], {
        description: 'What becomes of a read while no replica is fit for it.',
        default: 'primary',
      }),
      transactions: oneOf(['declared', 'optimistic'], {
        description:
          '`declared`: a transaction goes to a replica when it is declared read-only. `optimistic`: a READ COMMITTED transaction that begins with reads runs on a replica until a statement needs the primary, and goes on there, unnoticed: for ORMs that wrap reads in BEGIN.',
        default: 'declared',
      }),
      rules: list(rule, { description: 'The first rule that fits decides. Hints come before them.', min: 0, fallback: [] }),
    },
    { description: 'Where statements go.' },
  ).prefault({});
}

function poolSettings() {
  return group(
    {
      mode: oneOf(['transaction', 'session'], {
        description:
          '`transaction` lends a backend connection for one transaction, `session` lends one of the primary for the life of the client. Reads are split in both.',
        default: 'transaction',
      }),
      maxPerBackend: integer(
        { description: 'Connections to one backend at most, of all users and databases.', default: 50 },
        { min: 1, max: 10_000 },
      ),
      sharedReads: flag({
        description:
          'Small reads of many clients, of shapes that are known to be quick, are pipelined over few connections, which costs both sides less. Off: each has a connection to itself while it runs.',
        default: true,
      }),
      preparedReads: flag({
        description:
          'Reads of one row by its key (`WHERE id = 7`, of a primary key or unique constraint) that may be shared and come as simple queries are sent as one prepared statement for all integers, so that PostgreSQL parses and plans them once. Its logs and pg_stat_activity show `$1` in place of the value. Off: all are sent as they came.',
        default: true,
      }),
      minIdle: integer(
        { description: 'Idle connections kept open for each user, database and backend that was used.', default: 0 },
        { min: 0, max: 10_000 },
      ),
      idleTimeoutMs: duration(
        { description: 'A connection that nobody used for this long is closed.', default: '5m' },
        { off: true },
      ),
      maxLifetimeMs: duration(
        { description: 'A connection older than this is closed when it is next idle.', default: '1h' },
        { off: true },
      ),
      waitTimeoutMs: duration(
        { description: 'How long work waits for a connection before it fails.', default: '10s' },
        { minMs: 1 },
      ),
      maxWaiters: integer(
        { description: 'How many may wait for a connection to one backend; more fail at once.', default: 10_000 },
        { min: 0, max: MAX_COUNT },
      ),
      statementsPerConnection: integer(
        { description: 'Prepared statements kept on one connection; the one used longest ago goes first.', default: 500 },
        { min: 1, max: 100_000 },
      ),
    },
    { description: 'Connections to backends.' },
    function* ({ minIdle, maxPerBackend }) {
      if (minIdle > maxPerBackend) yield { path: ['min_idle'], message: 'must not be more than max_per_backend' };
    },
  ).prefault({});
}

function limitsSettings() {
  return group(
    {
      clients: integer({ description: 'Clients connected at the same time.', default: 10_000 }, { min: 1, max: MAX_COUNT }),
      clientsPerUser: optionalOrOff(
        integer({ description: 'Clients of one user connected at the same time.' }, { min: 1, max: MAX_COUNT }),
      ),
      loginTimeoutMs: duration({ description: 'A client must have logged in within this time.', default: '60s' }, { minMs: 100 }),
      idleInTransactionTimeoutMs: duration(
        { description: 'A client that is idle in a transaction for this long is disconnected.', default: 'off' },
        { off: true },
      ),
      clientIdleTimeoutMs: duration(
        { description: 'A client that is idle outside a transaction for this long is disconnected.', default: 'off' },
        { off: true },
      ),
      queryTimeoutMs: duration(
        { description: 'A statement that runs for this long is cancelled.', default: 'off' },
        { off: true },
      ),
      statementsPerClient: integer(
        { description: 'Prepared statements that one client may have.', default: 10_000 },
        { min: 1, max: MAX_COUNT },
      ),
      statementBytes: size(
        {
          description: 'Text of all prepared statements of all clients; equal texts count once.',
          default: '256MiB',
          restart: true,
        },
        { minBytes: MIB, maxBytes: 64 * 1024 * MIB },
      ),
      maxParseBytes: size(
        { description: 'A longer statement is not looked at: it goes to the primary.', default: '64KiB' },
        { minBytes: 1024, maxBytes: MIB / 4 },
      ),
      batchBytes: size(
        {
          description: 'How much of a batch is kept until it is clear where it goes; a longer one goes to the primary.',
          default: '64KiB',
        },
        { minBytes: 1024, maxBytes: 16 * MIB },
      ),
      heldReplyBytes: size(
        {
          description: 'How much of the reply to a read is held back, so that it can be run again unseen if a replica fails.',
          default: '64KiB',
        },
        { minBytes: 0, maxBytes: 16 * MIB },
      ),
    },
    { description: 'Bounds. Whoever exceeds one gets an error; nobody else notices.' },
  ).prefault({});
}

interface Checked {
  readonly tls: unknown;
  readonly auth: { readonly rules: readonly { readonly tls: boolean | null }[] };
  readonly pool: { readonly maxPerBackend: number };
  readonly limits: { readonly clients: number; readonly clientsPerUser: number | null };
  readonly workers: number;
}

const checkAll: Check<Checked> = function* ({ tls, auth, pool, limits, workers }) {
  for (const [index, rule] of auth.rules.entries()) {
    if (rule.tls === true && tls === null) {
      yield { path: ['auth', 'rules', index, 'tls'], message: 'never holds: there is no tls in this configuration' };
    }
  }
  const shared = [
    { path: ['pool', 'max_per_backend'], total: pool.maxPerBackend },
    { path: ['limits', 'clients'], total: limits.clients },
    { path: ['limits', 'clients_per_user'], total: limits.clientsPerUser ?? workers },
  ];
  for (const { path, total } of shared) {
    if (total < workers) yield { path, message: 'must be at least workers: each of them needs one' };
  }
};

/** Complains about each entry whose key an earlier one has; a null key is never equal. */
function unique<T>(key: (entry: T) => string | null, message: string, field?: string): Check<readonly T[]> {
  return function* (entries) {
    const seen = new Set<string>();
    for (const [index, entry] of entries.entries()) {
      const value = key(entry);
      if (value === null) continue;
      if (seen.has(value)) yield { path: field === undefined ? [index] : [index, field], message };
      seen.add(value);
    }
  };
}
