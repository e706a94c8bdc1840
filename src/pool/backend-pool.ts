import { BackendConnection } from '../backend/connection.ts';
import { dialBackend } from '../backend/dial.ts';
import { isLeft } from '../backend/lease.ts';
import type { BackendTls } from '../backend/tls.ts';
import type { Clock } from '../util/clock.ts';
import { errorOf, OperationalError } from '../util/errors.ts';
import type { Measures } from '../util/measures.ts';
import type { Telemetry } from '../util/telemetry.ts';
import type { Turn } from '../util/turn.ts';
import type { Partition } from './partition.ts';
import { MOST_SUITABLE, Pool, type PoolLimits, type PoolMember } from './pool.ts';
import { SharedReads, type SharedReadsSource } from './shared-reads.ts';

/** Opening a connection may take this long in all. Ours: as libpq's users usually set connect_timeout. */
const DIAL_TIMEOUT_MS = 10_000;

/** A connection as a member of its backend's pool. */
export class PooledConnection implements PoolMember<Partition> {
  readonly kind: Partition;
  readonly connection: BackendConnection;
  idleSinceMs: number;
  /** Its backend changed its role, or it was left in a state that cannot be cleaned: not to be lent again. */
  retired = false;
  lent = false;

  constructor(kind: Partition, connection: BackendConnection) {
    this.kind = kind;
    this.connection = connection;
    this.idleSinceMs = connection.openedAtMs;
  }

  get usable(): boolean {
    return !this.retired && !this.connection.closed;
  }

  get openedAtMs(): number {
    return this.connection.openedAtMs;
  }
}

export interface BackendPoolOptions {
  readonly backend: { readonly index: number; readonly name: string; readonly host: string; readonly port: number };
  readonly limits: PoolLimits & { readonly statementsPerConnection: number };
  /** Read at each login: certificates are reloaded. */
  readonly tls: () => BackendTls;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly measures: Measures;
  readonly telemetry: Telemetry;
}

/** All connections to one backend. */
export class BackendPool {
  readonly #options: BackendPoolOptions;
  readonly #pool: Pool<Partition, PooledConnection>;
  readonly #members = new Map<BackendConnection, PooledConnection>();
  /** Shared connections by partition, of those that have any. */
  readonly shared = new Map<Partition, SharedReads>();

  constructor(options: BackendPoolOptions) {
    this.#options = options;
    const { turn } = options;
    this.#pool = new Pool({
      name: options.backend.name,
      limits: options.limits,
      clock: options.clock,
      open: (partition) => this.#open(partition),
      close: (member) => this.#close(member),
      turn: (work) => turn.run(work),
    });
  }

  get pool(): Pool<Partition, PooledConnection> {
    return this.#pool;
  }

  /** Work under way here, for balancing. */
  get load(): number {
    let load = this.#pool.load;
    for (const shared of this.shared.values()) load += shared.underWay - shared.count;
    return load;
  }

  /** The member that holds this connection; null when the pool has let go of it. */
  memberOf(connection: BackendConnection): PooledConnection | null {
    return this.#members.get(connection) ?? null;
  }

  /** Whether any connection belongs to the partition. */
  serves(partition: Partition): boolean {
    for (const member of this.#members.values()) if (member.kind === partition) return true;
    return false;
  }

  limitsChanged(limits: PoolLimits): void {
    this.#pool.limitsChanged(limits);
  }

  /** Begins to share connections of a partition. */
  startSharing(partition: Partition, ends: Pick<SharedReadsSource, 'giveBack' | 'lost'>): SharedReads {
    const { clock, turn, measures } = this.#options;
    const pool = this.#pool;
    const source: SharedReadsSource = {
      ...ends,
      take: (settings) => {
        if (pool.waiting > 0) return null;
        const member = pool.take(partition, ({ connection }) => {
          if (connection.settings !== settings) return 0;
          return isLeft(connection) ? MOST_SUITABLE : 1;
        });
        return member === null ? null : member.connection;
      },
      isOutworn: (connection) => {
        const member = this.memberOf(connection);
        return member === null || pool.isOutworn(member);
      },
      isStarved: () => pool.isStarved,
      waiting: () => pool.waiting,
      leased: () => pool.lent,
      limit: () => Math.ceil(pool.limit / 2),
      unshared: (cause) => measures.unshared.inc(cause),
      ended: () => {
        if (this.shared.get(partition) === shared) this.shared.delete(partition);
      },
      turn: (work) => turn.run(work),
    };
    const shared = new SharedReads(source, clock);
    this.shared.set(partition, shared);
    return shared;
  }

  /** For metrics. */
  stats() {
    const { idle, lent, opening, waiting } = this.#pool.counts;
    let quarantined = 0;
    for (const { connection } of this.#lent()) if (connection.cancelsInFlight > 0) quarantined++;
    return {
      backend: this.#options.backend.name,
      connections: { connecting: opening, idle, active: lent - quarantined, quarantined },
      waiters: waiting,
      limit: this.#pool.limit,
    };
  }

  /** Ends every connection, those in use too: what they would do from now on would be wrong. */
  endAll(): void {
    this.#turnAway();
    for (const { connection } of this.#lent()) connection.end();
  }

  /**
   * The backend answers nobody. Whoever waits for a connection is refused, and whoever can do elsewhere what hangs here is
   * told. The rest stays as on a direct connection: the backend may come back.
   */
  hangs(): void {
    this.#turnAway();
    for (const { connection } of this.#lent()) connection.backendHangs();
  }

  /** Closes what is idle and lets nothing that is lent come back: the backend is another than it was. */
  retireAll(): void {
    for (const member of this.#members.values()) member.retired = true;
    this.#pool.closeIdle();
  }

  #lent(): PooledConnection[] {
    return [...this.#members.values()].filter(({ lent }) => lent);
  }

  #turnAway(): void {
    const { name } = this.#options.backend;
    this.retireAll();
    this.#pool.refuseWaiters(new OperationalError('backend_unreachable', `backend ${name} is not available`));
  }

  async #open(partition: Partition): Promise<PooledConnection> {
    const { backend, tls, clock, turn, measures, limits, telemetry } = this.#options;
    const { parameters, settings } = partition.startup();
    const dialed = await dialBackend({
      host: backend.host,
      port: backend.port,
      user: partition.user,
      database: partition.database,
      parameters,
      credential: partition.credential,
      tls: tls(),
      timeoutMs: DIAL_TIMEOUT_MS,
      clock,
    });
    partition.reported = new Map(dialed.parameters);
    const connection = new BackendConnection({
      socket: dialed.socket,
      backend: backend.index,
      processId: dialed.processId,
      secretKey: dialed.secretKey,
      tls: dialed.tls,
      parameters: dialed.parameters,
      settings,
      maxStatements: limits.statementsPerConnection,
      turn,
      measures,
      openedAtMs: clock.now(),
      onBug: (error) => telemetry.log('error', 'bug', { backend: backend.name, error: errorOf(error) }),
    });
    const member = new PooledConnection(partition, connection);
    this.#members.set(connection, member);
    connection.onIdleLoss = () => this.#lost(member);
    dialed.socket.resume();
    return member;
  }

  #close(member: PooledConnection): void {
    this.#forget(member);
    member.connection.close();
  }

  /** It ended while nobody held it. */
  #lost(member: PooledConnection): void {
    this.#forget(member);
    this.#pool.lost(member);
  }

  /** With its last connection a partition may be gone for good, whether it ever shared one or not. */
  #forget(member: PooledConnection): void {
    this.#members.delete(member.connection);
    if (!this.serves(member.kind)) this.shared.delete(member.kind);
  }
}
