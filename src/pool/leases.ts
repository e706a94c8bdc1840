import type { BackendConnection } from '../backend/connection.ts';
import { isLeft, type LeaseWaiter, type LeaseWish, type Lessee } from '../backend/lease.ts';
import { assert } from '../util/assert.ts';
import type { SettingsSet } from '../util/settings-set.ts';
import type { BackendPool, PooledConnection } from './backend-pool.ts';
import { cleanUp, rollBack } from './clean-up.ts';
import type { Partition } from './partition.ts';
import type { Waiter } from './pool.ts';
import type { SharedConnection } from './shared-connection.ts';

/**
 * The leases of one partition over all backends: the exclusive right to a connection, returned exactly once, by `give`,
 * `abandon` or `discard`.
 */
export class Leases {
  readonly #partition: Partition;
  readonly #pools: readonly BackendPool[];
  readonly #sharedEnds = {
    giveBack: (connection: BackendConnection) => (connection.owed > 0 ? this.discard(connection) : this.give(connection)),
    lost: (connection: BackendConnection) => this.discard(connection),
  };

  constructor(partition: Partition, pools: readonly BackendPool[]) {
    this.#partition = partition;
    this.#pools = pools;
  }

  take(backend: number, settings: SettingsSet, wish: LeaseWish, lessee: Lessee): BackendConnection | null {
    if (wish === 'new') return null;
    const member = this.#pool(backend).pool.take(this.#partition, ({ connection }) => {
      if (wish === 'no temporary schema' && connection.hasTemporarySchema) return 0;
      // Left alone if possible: whoever advanced a sequence there last may ask for currval().
      const isQuiet = connection.sequenceLease !== connection.lease;
      // What only the process knows (what a function in C remembers, its caches) is there for whoever left it.
      // All in all no more than MOST_SUITABLE, which ends the search.
      const place = connection.lessee === lessee ? 12 : isLeft(connection) ? 4 : 0;
      return 1 + place + (isQuiet ? 2 : 0) + (connection.settings === settings ? 1 : 0);
    });
    return member === null ? null : this.#lend(member.connection);
  }

  /** Lends a connection again if it is idle and nobody has advanced a sequence there since the lease of this number. */
  takeAgain(connection: BackendConnection, lease: number): boolean {
    const pool = this.#pool(connection.backend);
    const member = pool.memberOf(connection);
    if (member === null || connection.sequenceLease !== lease || !pool.pool.takeThis(member)) return false;
    this.#lend(connection);
    return true;
  }

  /** A connection on which the read of a session with these settings is pipelined with those of others, or null for a lease. */
  share(backend: number, settings: SettingsSet, costMs: number): SharedConnection | null {
    const pool = this.#pool(backend);
    const shared = pool.shared.get(this.#partition) ?? pool.startSharing(this.#partition, this.#sharedEnds);
    return shared.share(settings, costMs);
  }

  wait(backend: number, waiter: LeaseWaiter, wish: LeaseWish): () => void {
    const { pool } = this.#pool(backend);
    const ofMember: Waiter<PooledConnection> = {
      granted: ({ connection }) => waiter.granted(this.#lend(connection)),
      refused: (error) => waiter.refused(error),
    };
    return wish === 'any' ? pool.wait(this.#partition, ofMember) : pool.waitForNew(this.#partition, ofMember);
  }

  give(connection: BackendConnection): void {
    assert(connection.owed === 0, 'a connection is given back with replies owed');
    connection.holder = null;
    connection.settingsUnsure = false;
    if (this.#pool(connection.backend).shared.get(this.#partition)?.adopt(connection) !== true) this.#return(connection, false);
  }

  abandon(connection: BackendConnection): void {
    if (connection.closed || connection.cancelsInFlight > 0) this.discard(connection);
    else cleanUp(connection, this.#cleaned(connection));
  }

  rollBack(connection: BackendConnection): void {
    connection.holder = null;
    if (connection.closed || connection.cancelled || connection.cancelsInFlight > 0) this.discard(connection);
    else rollBack(connection, this.#cleaned(connection));
  }

  discard(connection: BackendConnection): void {
    this.#return(connection, true);
  }

  /** Somebody of this partition has asked for currval() or lastval(): their values are to be kept from now on. */
  get sequenceValuesAsked(): boolean {
    return this.#partition.sequenceValuesAsked;
  }

  noteSequenceValuesAsked(): void {
    this.#partition.sequenceValuesAsked = true;
  }

  areWaiting(backend: number): boolean {
    return this.#pool(backend).pool.waiting > 0;
  }

  load(backend: number): number {
    return this.#pool(backend).load;
  }

  #cleaned(connection: BackendConnection): (clean: boolean) => void {
    return (clean) => {
      if (clean) this.give(connection);
      else this.discard(connection);
    };
  }

  #lend(connection: BackendConnection): BackendConnection {
    connection.lease++;
    return connection;
  }

  #return(connection: BackendConnection, unusable: boolean): void {
    connection.holder = null;
    const pool = this.#pool(connection.backend);
    const member = pool.memberOf(connection);
    // The pool has let go of a connection that ended while it was cleaned.
    if (member === null) return;
    assert(member.lent, 'a lease cannot be returned twice');
    if (unusable) member.retired = true;
    pool.pool.give(member);
  }

  #pool(backend: number): BackendPool {
    const pool = this.#pools[backend];
    assert(pool !== undefined, `there is no backend ${backend}`);
    return pool;
  }
}
