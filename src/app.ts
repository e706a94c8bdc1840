import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type net from 'node:net';
import { EventLoopDelay } from './admin/event-loop-delay.ts';
import { type HttpServer, startHttpServer } from './admin/http.ts';
import type { AdminSources } from './admin/ports.ts';
import { Readiness } from './admin/readiness.ts';
import { type Report, reportOf } from './admin/report.ts';
import { clientStats, processUsage } from './admin/usage.ts';
import { Authenticator } from './auth/authentication.ts';
import { authRule } from './auth/rules.ts';
import { UserStore } from './auth/users.ts';
import { RoleVerifiers } from './backend/role-verifiers.ts';
import { type BackendTls, loadBackendTls } from './backend/tls.ts';
import type { Config } from './config/settings.ts';
import { BackendPool } from './pool/backend-pool.ts';
import { Leases } from './pool/leases.ts';
import { Partitions } from './pool/partition.ts';
import { ruleFor } from './routing/rules.ts';
import { ClientAcceptor } from './server/accept.ts';
import { Canceller } from './server/canceller.ts';
import { Gate, type Siblings } from './server/gate.ts';
import { Listener } from './server/listener.ts';
import { readInPlace } from './server/read-in-place.ts';
import { StatementKnowledge } from './server/statement-knowledge.ts';
import { ListenerTls } from './server/tls.ts';
import { followRoles, topologyPort } from './server/topology-port.ts';
import { LiftedReads } from './session/lifted-reads.ts';
import { StatementRegistry } from './session/prepared-statements.ts';
import { ShapeSpeeds } from './session/shape-speeds.ts';
import type { ListenMode } from './session/state.ts';
import { loadParser } from './sql/parser.ts';
import { CatalogLoader } from './topology/catalog-loader.ts';
import { monitorLogin, monitorOf, monitorSettings, type Watch } from './topology/watch.ts';
import { BugError } from './util/assert.ts';
import { Measures } from './util/measures.ts';
import { realClock } from './util/real-clock.ts';
import { Secret } from './util/secret.ts';
import { silentTelemetry, type Telemetry } from './util/telemetry.ts';
import { Turn } from './util/turn.ts';
import { TurnClock } from './util/turn-clock.ts';

interface AppDependencies {
  readonly telemetry?: Telemetry;
  /** Given to a process that is one of several which serve the same clients. */
  readonly membership?: Membership;
}

/** What one of several processes shares with the others, and has through the one that supervises them. */
export interface Membership {
  readonly siblings: Siblings;
  readonly watch: Watch;
  readonly saltSecret: Secret;
  /** DDL passed here, which the others do not see. */
  catalogChanged(database: string): void;
}

/** A running pgweir. */
export interface App extends AsyncDisposable {
  /** Empty in one of several processes: it is given its clients. */
  readonly listenAddresses: readonly { readonly host: string; readonly port: number }[];
  /** Where /metrics is; 0 in one of several processes, which {@link report} instead. */
  readonly httpPort: number;
  /** Puts a configuration in force as a whole, or throws and leaves everything as it was. */
  reload(config: Config): Promise<void>;
  /** Drains: finishes transactions within `shutdown.drain_timeout`, then closes everything. */
  close(): Promise<void>;
  /** Serves a client that another process has accepted. Returns the socket that it has from now on. */
  accept(socket: net.Socket, mode: ListenMode): net.Socket;
  /** All that is measured, as of now. */
  report(): Report;
  /** A cancel request with a key of this process came to another one. */
  cancel(processId: number, secretKey: Buffer): Promise<void>;
  /** DDL passed in another process. */
  catalogChanged(database: string): void;
}

/** How often timeouts of clients are looked at, and everything that nobody uses any more. */
const TICK_MS = 1_000;
/** How often a draining process looks whether its clients have gone. */
const DRAIN_POLL_MS = 20;
/** Logins under way at the same time; each may cost a key derivation. Ours. */
const MAX_LOGINS = 1_000;

/** Constructs and connects everything; resolves when every backend has been asked for its role and clients may come. */
export async function startApp(config: Config, { telemetry = silentTelemetry, membership }: AppDependencies = {}): Promise<App> {
  await loadParser();
  const house = new House(config, telemetry, membership ?? null);
  try {
    await house.open();
    return house;
  } catch (error) {
    await house.close();
    throw error;
  }
}

class House implements App {
  #config: Config;
  readonly #telemetry: Telemetry;
  readonly #clock = realClock;
  readonly #turn = new Turn((work) => setImmediate(work));
  readonly #turnClock = new TurnClock(realClock, this.#turn, (work) => setImmediate(work));
  readonly #speeds = new ShapeSpeeds();
  readonly #measures = new Measures();
  readonly #delay = new EventLoopDelay();
  readonly #registry: StatementRegistry;
  readonly #lifts: LiftedReads;
  readonly #partitions = new Partitions();
  readonly #saltSecret: Secret;
  #backendTls: BackendTls;
  readonly #membership: Membership | null;
  readonly #watch: Watch;
  readonly #catalogs: CatalogLoader;
  readonly #statements: StatementKnowledge;
  readonly #verifiers: RoleVerifiers;
  readonly #pools: readonly BackendPool[];
  readonly #gate: Gate;
  #acceptor: ClientAcceptor;
  #listeners: Listener[] = [];
  #http: HttpServer | null = null;
  #ticker: NodeJS.Timeout | null = null;
  #draining = false;

  constructor(config: Config, telemetry: Telemetry, membership: Membership | null) {
    this.#membership = membership;
    this.#config = config;
    this.#telemetry = telemetry;
    this.#backendTls = loadBackendTls(config.backendTls);
    this.#registry = new StatementRegistry(config.limits.statementBytes);
    this.#lifts = new LiftedReads(this.#registry);
    this.#saltSecret = membership?.saltSecret ?? saltSecret(config);
    const tls = () => this.#backendTls;
    const login = monitorLogin(config, tls);
    this.#watch = membership?.watch ?? monitorOf(config, { clock: this.#clock, telemetry, tls });
    this.#catalogs = new CatalogLoader({
      login: { ...login, timeoutMs: CATALOG_TIMEOUT_MS, applicationName: 'pgweir catalog' },
      topology: this.#watch,
      clock: this.#clock,
      telemetry,
    });
    this.#statements = new StatementKnowledge(this.#catalogs, (database) => membership?.catalogChanged(database));
    this.#verifiers = new RoleVerifiers({
      connection: { ...login, ...verifierLogin(config), applicationName: 'pgweir auth' },
      endpoints: () => endpoints(this.#watch),
      statement: config.auth.query?.statement ?? null,
      clock: this.#clock,
      telemetry,
    });
    this.#pools = config.backends.map(
      (backend, index) =>
        new BackendPool({
          backend: { index, name: backend.name, host: backend.host, port: backend.port },
          limits: config.pool,
          tls: () => this.#backendTls,
          clock: this.#turnClock,
          turn: this.#turn,
          measures: this.#measures,
          telemetry,
        }),
    );
    this.#acceptor = this.#newAcceptor(config);
    this.#gate = this.#newGate();
    this.#watch.onChange((view, previous) => this.#turn.run(() => followRoles(this.#pools, view, previous)));
  }

  get listenAddresses(): readonly { readonly host: string; readonly port: number }[] {
    return this.#listeners.map(({ address }) => address);
  }

  get httpPort(): number {
    return this.#http?.port ?? 0;
  }

  async open(): Promise<void> {
    await this.#watch.start();
    if (this.#membership === null) {
      for (const address of this.#config.listen) {
        this.#listeners.push(await Listener.open(address, (socket, mode) => this.accept(socket, mode)));
      }
      this.#http = await this.#startHttp();
    }
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
  }

  #startHttp(): Promise<HttpServer> {
    const { listen, http } = this.#config;
    return startHttpServer({
      host: http.host,
      port: http.port,
      sources: this.#adminSources(),
      readiness: new Readiness({
        views: this.#watch,
        clock: this.#clock,
        needsPrimary: listen.some(({ mode }) => mode === 'split'),
        draining: () => this.#draining,
      }),
      clock: this.#clock,
      telemetry: this.#telemetry,
    });
  }

  accept(socket: net.Socket, mode: ListenMode): net.Socket {
    const client = readInPlace(socket);
    this.#gate.accept(client, mode);
    return client;
  }

  report(): Report {
    return reportOf(this.#adminSources());
  }

  cancel(processId: number, secretKey: Buffer): Promise<void> {
    return this.#gate.cancel(processId, secretKey);
  }

  catalogChanged(database: string): void {
    this.#catalogs.refresh(database);
  }

  /** Sessions that are there keep the routing and limits they began with; new ones have the new. */
  reload(config: Config): Promise<void> {
    return Promise.try(() => this.#apply(config));
  }

  #apply(config: Config): void {
    const backendTls = loadBackendTls(config.backendTls);
    const acceptor = this.#newAcceptor(config);
    this.#backendTls = backendTls;
    this.#acceptor = acceptor;
    this.#config = config;
    this.#watch.reconfigure(monitorSettings(config));
    for (const pool of this.#pools) pool.limitsChanged(config.pool);
  }

  async close(): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    for (const listener of this.#listeners) listener.stop();
    this.#gate.drain();
    const deadline = this.#clock.now() + this.#config.shutdown.drainTimeoutMs;
    while (this.#gate.clients.size > 0 && this.#clock.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
      this.#gate.drain();
    }
    await this.#closeEverything();
  }

  /** Ends without draining. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#draining = true;
    for (const listener of this.#listeners) listener.stop();
    await this.#closeEverything();
  }

  async #closeEverything(): Promise<void> {
    for (const client of this.#gate.clients) client.terminate();
    if (this.#ticker !== null) clearInterval(this.#ticker);
    this.#turn.run(() => {
      for (const pool of this.#pools) pool.pool.close();
    });
    this.#watch.stop();
    this.#catalogs.close();
    await this.#verifiers.close();
    await this.#http?.close();
    this.#delay[Symbol.dispose]();
  }

  #newAcceptor(config: Config): ClientAcceptor {
    const users = new UserStore({
      users: config.auth.users,
      source: config.auth.query === null ? null : this.#verifiers,
      saltSecret: this.#saltSecret,
      clock: this.#clock,
    });
    return new ClientAcceptor({
      authenticator: new Authenticator({ rules: config.auth.rules.map(authRule), users, random: randomBytes }),
      tls: config.tls === null ? null : new ListenerTls(config.tls),
      clock: this.#clock,
      telemetry: this.#telemetry,
      loginTimeoutMs: config.limits.loginTimeoutMs,
      maxLogins: MAX_LOGINS,
    });
  }

  #newGate(): Gate {
    const endpoint = (index: number) => {
      const backend = this.#config.backends[index];
      if (backend === undefined) throw new BugError(`there is no backend ${index}`);
      return { host: backend.host, port: backend.port };
    };
    const topology = topologyPort({ watch: this.#watch, turn: this.#turn, clock: this.#clock });
    const tls = () => this.#backendTls;
    const common = { clock: this.#turnClock, turn: this.#turn, measures: this.#measures, telemetry: this.#telemetry };
    return new Gate({
      ...common,
      acceptor: () => this.#acceptor,
      rules: () => this.#rules(),
      partitions: this.#partitions,
      leases: (partition) => new Leases(partition, this.#pools),
      view: () => this.#watch.current(),
      canceller: new Canceller({ ...common, endpoint, tls }),
      siblings: this.#membership?.siblings ?? null,
      forDatabase: (database) => ({
        topology,
        statements: this.#statements.of(database),
        registry: this.#registry,
        speeds: this.#speeds,
        lifts: this.#lifts,
        random: Math.random,
      }),
      replication: {
        primary: () => {
          const { primary } = this.#watch.current();
          return primary === null ? null : endpoint(primary);
        },
        tls,
        clock: this.#clock,
        measures: this.#measures,
      },
    });
  }

  #rules() {
    const { limits, pool, routing } = this.#config;
    return {
      limits,
      sessionPool: pool.mode === 'session',
      sharedReads: pool.sharedReads,
      preparedReads: pool.preparedReads,
      policy: (user: string, database: string) => ({
        consistency: routing.consistency,
        transactions: routing.transactions,
        whenNoReplica: routing.whenNoReplica,
        fenceWaitMs: routing.fenceWaitMs,
        rule: ruleFor(routing.rules, { user, database }),
      }),
    };
  }

  #tick(): void {
    this.#gate.tick(this.#clock.now());
    this.#partitions.sweep(
      (partition) =>
        this.#pools.some((pool) => pool.serves(partition)) || [...this.#gate.clients].some((client) => client.uses(partition)),
    );
  }

  #adminSources(): AdminSources {
    return {
      version: VERSION,
      measures: this.#measures,
      views: this.#watch,
      eventLoopDelay: this.#delay.histogram,
      clock: this.#clock,
      pools: () => this.#pools.map((pool) => pool.stats()),
      clients: () => clientStats(this.#gate, this.#config.limits.clients),
      statementCache: () => this.#statements.usage,
      preparedStatements: () => ({ count: this.#registry.size, bytes: this.#registry.bytes }),
      workers: () => [processUsage(this.#membership?.siblings.share.slot ?? 0)],
      lostWorkers: 0,
    };
  }
}

/** A catalog is a few large queries. */
const CATALOG_TIMEOUT_MS = 30_000;

export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

/**
 * Salts of users that do not exist are made from this. Derived from what the configuration keeps secret, so that such a user
 * keeps its salt over restarts, as one that exists does; by chance when there is nothing secret.
 */
export function saltSecret({ monitor: { password } }: Config): Secret {
  const secret = password?.reveal() ?? randomBytes(32).toString('hex');
  return Secret.from(createHmac('sha256', secret).update('pgweir salts').digest('hex'));
}

/** Who asks for verifiers: the role of `auth.query`, or the monitor's. */
function verifierLogin({ auth: { query }, monitor }: Config) {
  return {
    user: query?.user ?? monitor.user,
    password: query?.user === null || query === null ? monitor.password : query.password,
    database: query?.database ?? monitor.database,
  };
}

/** Backends that can be asked, best first. */
function endpoints(watch: Watch): { host: string; port: number }[] {
  const { backends, primary } = watch.current();
  const rank = (index: number, up: boolean) => (index === primary ? 0 : up ? 1 : 2);
  return [...backends].sort((a, b) => rank(a.index, a.up) - rank(b.index, b.up)).map(({ host, port }) => ({ host, port }));
}
