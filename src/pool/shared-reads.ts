import type { BackendConnection } from '../backend/connection.ts';
import type { Clock } from '../util/clock.ts';
import type { SettingsSet } from '../util/settings-set.ts';
import { SharedConnection, type SharedConnectionOwner, type UnsharedCause } from './shared-connection.ts';

/**
 * A further connection is shared only when a read would wait longer than this behind those on the ones there are, as far as
 * is known what such reads cost. More connections mean more processes that the backend has to switch between: 64 clients of
 * point reads on two cores were served 39 k times a second over one connection to each replica, 35 k over two. Ours.
 */
const ENOUGH_QUEUE_MS = 1.5;
/** Whatever they cost, so many fit on one, and no more. Ours; the bound limits what is run again when one is lost. */
const MIN_DEPTH = 8;
const MAX_DEPTH = 64;
/** Less work under way or waiting than this gains nothing by sharing, and waits for nobody on leases. Measured, ours. */
const WORTH_SHARING = 2;
/** Connections that are wanted for sharing go to others before one is shared. Ours. */
const MAX_GIVEN_WAY = 8;
/** How often shared connections are looked over: three times that is how long one may hold up others. */
const TICK_MS = 10;
/** Not used for this long, one is given back. */
const IDLE_TICKS = 50;

/** Where connections come from. */
export interface SharedReadsSource {
  /** A connection that is free now, with these settings; null when there is none, or it is needed for others. */
  take(settings: SettingsSet): BackendConnection | null;
  /** Takes one back; ends it, if what it is at is of no use to anybody. */
  giveBack(connection: BackendConnection): void;
  lost(connection: BackendConnection): void;
  /** It is too old, or its backend is another than it was: it is closed when it comes back. */
  isOutworn(connection: BackendConnection): boolean;
  /** Others have waited too long for connections that are not there. */
  isStarved(): boolean;
  /** How many wait for a connection. */
  waiting(): number;
  /** Leases of this backend at the moment, those that are shared among them. */
  leased(): number;
  /** The most shared connections. */
  limit(): number;
  unshared(cause: UnsharedCause): void;
  /** There are none left. */
  ended(): void;
  turn(work: () => void): void;
}

/**
 * The shared connections of one partition to one backend. How many there are follows the work that is under way; with little
 * of it there are none, and reads run on leases.
 */
export class SharedReads implements SharedConnectionOwner {
  readonly #source: SharedReadsSource;
  readonly #clock: Clock;
  readonly #shared: SharedConnection[] = [];
  /** Settings for which the next connection that comes back is to be shared: all are lent, and others wait. */
  #wanted: SettingsSet | null = null;
  /** So many that are wanted went to those who had waited too long, since one did not. */
  #gaveWay = 0;
  #ticking = false;

  constructor(source: SharedReadsSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  get count(): number {
    return this.#shared.length;
  }

  /** Reads under way on them. */
  get underWay(): number {
    let depth = 0;
    for (const shared of this.#shared) depth += shared.depth;
    return depth;
  }

  /**
   * A connection for the read of a session with these settings, which costs the backend so many ms; null when it had better
   * run on a lease.
   */
  share(settings: SettingsSet, costMs: number): SharedConnection | null {
    let best: SharedConnection | null = null;
    let bestDepth = 2 * MAX_DEPTH;
    let underWay = this.#source.leased() + this.#source.waiting() - this.#shared.length;
    for (const shared of this.#shared) {
      const { depth } = shared;
      underWay += depth;
      if (depth >= bestDepth || !shared.open || shared.connection.settings !== settings) continue;
      best = shared;
      bestDepth = depth;
    }
    if (underWay < WORTH_SHARING) return null;
    this.#wanted = null;
    const enough = Math.min(MAX_DEPTH, Math.max(MIN_DEPTH, ENOUGH_QUEUE_MS / costMs));
    if (bestDepth < enough || this.#shared.length >= this.#source.limit()) return best;
    const connection = this.#source.take(settings);
    if (connection !== null) return this.#begin(connection);
    // Once clients wait for leases none is ever idle: without one that is shared, they would wait for ever.
    if (best === null) this.#wanted = settings;
    return best;
  }

  /**
   * Shares a connection that has come back from a lease, if one like it is wanted; it stays lent then. Those who have waited too
   * long come first, some of them at a time.
   */
  adopt(connection: BackendConnection): boolean {
    if (this.#wanted === null || connection.settings !== this.#wanted) return false;
    if (this.#source.waiting() === 0 || this.#source.isOutworn(connection)) return false;
    if (this.#source.isStarved() && this.#gaveWay < MAX_GIVEN_WAY) {
      this.#gaveWay++;
      return false;
    }
    this.#gaveWay = 0;
    this.#wanted = null;
    this.#begin(connection);
    return true;
  }

  #begin(connection: BackendConnection): SharedConnection {
    connection.lease++;
    const shared = new SharedConnection(connection, this);
    this.#shared.push(shared);
    if (!this.#ticking) this.#tickLater();
    return shared;
  }

  unshared(shared: SharedConnection, cause: UnsharedCause, returned: boolean): void {
    this.#forget(shared);
    this.#source.unshared(cause);
    if (returned) this.#source.giveBack(shared.connection);
  }

  lost(shared: SharedConnection): void {
    this.#forget(shared);
    this.#source.lost(shared.connection);
  }

  #forget(shared: SharedConnection): void {
    const index = this.#shared.indexOf(shared);
    if (index !== -1) this.#shared.splice(index, 1);
  }

  /** What is always under way would never come back by itself. */
  #yieldWanted(): void {
    for (const shared of this.#shared) if (this.#source.isOutworn(shared.connection)) shared.yield();
    if (this.#source.isStarved()) this.#shared[0]?.yield();
  }

  #tickLater(): void {
    this.#ticking = true;
    this.#clock.after(TICK_MS, () => {
      this.#source.turn(() => {
        this.#yieldWanted();
        for (const shared of [...this.#shared]) shared.tick(IDLE_TICKS);
      });
      if (this.#shared.length > 0) this.#tickLater();
      else {
        this.#ticking = false;
        this.#source.ended();
      }
    });
  }
}
