import type { Clock, Timer } from '../util/clock.ts';
import { errorOf, OperationalError } from '../util/errors.ts';

/**
 * A bounded pool that knows no PostgreSQL: of members that cost something to open, belong to a *kind* (they are
 * interchangeable within it), and are lent to one borrower at a time. One pool per backend, so that the bound is on what
 * the backend has to bear, whoever asks.
 *
 * Order of service: whoever gives a member back serves the longest waiter of the same kind, unless a waiter of another kind
 * has waited longer than `FAIRNESS_MS`; then the member is closed to make room for that one. A full pool with idle members
 * of other kinds closes the one idle longest. Members are lent last in, first out, so that those not needed grow old.
 */
export interface PoolMember<K> {
  readonly kind: K;
  /** False once it is beyond use; the pool never lends such a one. */
  readonly usable: boolean;
  readonly openedAtMs: number;
  idleSinceMs: number;
  /** Kept by the pool: somebody has it. */
  lent: boolean;
}

export interface PoolOptions<K, M extends PoolMember<K>> {
  readonly name: string;
  readonly limits: PoolLimits;
  readonly clock: Clock;
  /** Opens one. Rejections are passed to the waiter on whose behalf it was opened. */
  readonly open: (kind: K) => Promise<M>;
  /** Ends one that the pool has let go of. */
  readonly close: (member: M) => void;
  /** Every call into waiters that does not come from a borrower runs inside this. */
  readonly turn: (work: () => void) => void;
}

export interface PoolLimits {
  readonly maxPerBackend: number;
  readonly maxWaiters: number;
  readonly waitTimeoutMs: number;
  /** 0: never. */
  readonly idleTimeoutMs: number;
  readonly maxLifetimeMs: number;
  readonly minIdle: number;
}

/** Somebody who waits for a member. Exactly one of the two is called, unless the wait is given up. */
export interface Waiter<M> {
  granted(member: M): void;
  refused(error: Error): void;
}

interface Waiting<K, M> {
  readonly kind: K;
  readonly waiter: Waiter<M>;
  readonly sinceMs: number;
  readonly timer: Timer;
  ended: boolean;
}

/** None suits better who asks for one; 0: not at all. */
export const MOST_SUITABLE = 16;

/** How long another kind's waiter may be passed by. Ours: about ten times what opening a connection takes. */
const FAIRNESS_MS = 100;
/** How often idle members are looked over. */
const SWEEP_MS = 1000;

export interface PoolCounts {
  readonly idle: number;
  readonly lent: number;
  readonly opening: number;
  readonly waiting: number;
}

export class Pool<K, M extends PoolMember<K>> {
  readonly #options: PoolOptions<K, M>;
  #limits: PoolLimits;
  readonly #idle: M[] = [];
  #lent = 0;
  readonly #waiting: Waiting<K, M>[] = [];
  /** Kinds being opened, one entry each. */
  readonly #opening: K[] = [];
  /** Those for whom one is being opened because they want no other, also when they wait no longer. */
  readonly #openingNew = new Set<Waiting<K, M>>();
  #sweeper: Timer | null = null;
  #closed = false;

  constructor(options: PoolOptions<K, M>) {
    this.#options = options;
    this.#limits = options.limits;
    this.#sweepLater();
  }

  get counts(): PoolCounts {
    return {
      idle: this.#idle.length,
      lent: this.#lent,
      opening: this.#opening.length + this.#openingNew.size,
      waiting: this.#waiting.length,
    };
  }

  /** Members that are lent, or have somebody on the way to them: what balancing weighs. */
  get load(): number {
    return this.#lent + this.#waiting.length;
  }

  get lent(): number {
    return this.#lent;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** No room for another, and somebody has waited for longer than may be. */
  get isStarved(): boolean {
    const longest = this.#waiting[0];
    if (longest === undefined || this.#size() < this.#limits.maxPerBackend) return false;
    return this.#options.clock.now() - longest.sinceMs > FAIRNESS_MS;
  }

  /** Whether the lent member is closed when it comes back. */
  isOutworn(member: M): boolean {
    return !member.usable || this.#closed || this.#tooOld(member, this.#options.clock.now());
  }

  /** The most members. */
  get limit(): number {
    return this.#limits.maxPerBackend;
  }

  /** New bounds, for a reload; what is over them goes when it is next idle. */
  limitsChanged(limits: PoolLimits): void {
    this.#limits = limits;
  }

  /**
   * Lends the idle member of the kind that suits best, up to {@link MOST_SUITABLE}, of equals the one given back last; null
   * when none suits.
   */
  take(kind: K, suits: (member: M) => number): M | null {
    const idle = this.#idle;
    let found = -1;
    let best = 0;
    for (let index = idle.length - 1; index >= 0; index--) {
      const member = idle[index] as M;
      if (member.kind !== kind || !member.usable) continue;
      const here = suits(member);
      if (here <= best) continue;
      best = here;
      found = index;
      if (here === MOST_SUITABLE) break;
    }
    if (found === -1) return null;
    const member = idle[found] as M;
    if (found === idle.length - 1) idle.pop();
    else idle.splice(found, 1);
    this.#lend(member);
    return member;
  }

  /** Lends this very member if it is idle. */
  takeThis(member: M): boolean {
    const index = member.usable ? this.#idle.indexOf(member) : -1;
    if (index === -1) return false;
    this.#idle.splice(index, 1);
    this.#lend(member);
    return true;
  }

  /**
   * Waits for a member of the kind. Returns how to give up waiting.
   * Refuses through the waiter: `too_many_waiters`, `pool_wait_timeout`, or what opening failed with.
   */
  wait(kind: K, waiter: Waiter<M>): () => void {
    if (this.#closed || this.#waiting.length >= this.#limits.maxWaiters) {
      waiter.refused(
        this.#closed
          ? new OperationalError('shutting_down', 'terminating connection due to administrator command')
          : new OperationalError('too_many_waiters', `too many clients wait for a connection to ${this.#options.name}`),
      );
      return () => undefined;
    }
    const waiting = this.#newWait(kind, waiter);
    this.#waiting.push(waiting);
    this.#openFor(kind);
    return () => this.#endWait(waiting);
  }

  /** Waits for a member that nobody had before or, where there is no room for another, as `wait`. */
  waitForNew(kind: K, waiter: Waiter<M>): () => void {
    if (this.#closed || (this.#size() >= this.#limits.maxPerBackend && !this.#evict(() => true))) return this.wait(kind, waiter);
    const waiting = this.#newWait(kind, waiter);
    this.#openingNew.add(waiting);
    const opened = (end: () => void) =>
      this.#options.turn(() => {
        this.#openingNew.delete(waiting);
        end();
      });
    this.#options.open(kind).then(
      (member) =>
        opened(() => {
          if (!waiting.ended && member.usable) this.#grant(waiting, member);
          else {
            this.#refuse(
              waiting,
              new OperationalError('backend_unreachable', `the connection to ${this.#options.name} was lost`),
            );
            this.#lendAndTakeBack(member);
          }
        }),
      (error: unknown) =>
        opened(() => {
          this.#refuse(waiting, errorOf(error));
          this.#serveNext();
        }),
    );
    return () => this.#endWait(waiting);
  }

  /** Takes a lent member back. An unusable one is closed. */
  give(member: M): void {
    if (!this.#takeBack(member)) return;
    const now = this.#options.clock.now();
    member.idleSinceMs = now;
    if (this.isOutworn(member) || this.#size() >= this.#limits.maxPerBackend) {
      this.#options.close(member);
      this.#serveNext();
      return;
    }
    const oldest = this.#waiting[0];
    if (oldest === undefined) {
      this.#idle.push(member);
      return;
    }
    const same = oldest.kind === member.kind ? oldest : this.#waiting.find((waiting) => waiting.kind === member.kind);
    if (same === undefined || (same !== oldest && now - oldest.sinceMs > FAIRNESS_MS)) {
      this.#options.close(member);
      this.#serveNext();
      return;
    }
    this.#grant(same, member);
  }

  /** Forgets a member that ended by itself, lent or idle. */
  lost(member: M): void {
    if (!this.#takeBack(member)) {
      const index = this.#idle.indexOf(member);
      if (index === -1) return;
      this.#idle.splice(index, 1);
    }
    this.#serveNext();
  }

  /** Closes idle members, all or those that the filter names; lent ones go when they are given back unusable. */
  closeIdle(which: (member: M) => boolean = () => true): void {
    for (let index = this.#idle.length - 1; index >= 0; index--) {
      const member = this.#idle[index] as M;
      if (!which(member)) continue;
      this.#idle.splice(index, 1);
      this.#options.close(member);
    }
  }

  /** Refuses everybody who waits, for instance because the backend is gone and another should be asked. */
  refuseWaiters(error: Error): void {
    for (const waiting of [...this.#waiting.splice(0), ...this.#openingNew]) this.#refuse(waiting, error);
  }

  /** Ends the pool: idle members are closed, lent ones when they come back, waiters refused. */
  close(): void {
    this.#closed = true;
    this.#sweeper?.cancel();
    this.closeIdle();
    this.refuseWaiters(new OperationalError('shutting_down', 'terminating connection due to administrator command'));
  }

  #lend(member: M): void {
    member.lent = true;
    this.#lent++;
  }

  /** False when the member was not lent. */
  #takeBack(member: M): boolean {
    if (!member.lent) return false;
    member.lent = false;
    this.#lent--;
    return true;
  }

  #newWait(kind: K, waiter: Waiter<M>): Waiting<K, M> {
    const waiting: Waiting<K, M> = {
      kind,
      waiter,
      sinceMs: this.#options.clock.now(),
      timer: this.#options.clock.after(this.#limits.waitTimeoutMs, () => this.#timedOut(waiting)),
      ended: false,
    };
    return waiting;
  }

  #size(): number {
    return this.#idle.length + this.#lent + this.#opening.length + this.#openingNew.size;
  }

  #tooOld(member: M, now: number): boolean {
    return this.#limits.maxLifetimeMs > 0 && now - member.openedAtMs > this.#limits.maxLifetimeMs;
  }

  /** There is room: opens for each kind that lacks, those who wait longest first. */
  #serveNext(): void {
    const kinds = new Set<K>();
    for (const { kind } of this.#waiting) kinds.add(kind);
    for (const kind of kinds) this.#openFor(kind);
  }

  /** Opens a member of the kind if more of it wait than are being opened and there is room. */
  #openFor(kind: K): void {
    const waiting = this.#waiting.reduce((count, entry) => count + (entry.kind === kind ? 1 : 0), 0);
    const opening = this.#opening.reduce((count, entry) => count + (entry === kind ? 1 : 0), 0);
    if (opening >= waiting || this.#closed) return;
    if (this.#size() >= this.#limits.maxPerBackend && !this.#evict((member) => member.kind !== kind)) return;
    this.#opening.push(kind);
    this.#options.open(kind).then(
      (member) => this.#options.turn(() => this.#opened(kind, member)),
      (error: unknown) => this.#options.turn(() => this.#openFailed(kind, error)),
    );
  }

  /** Closes one idle member, of those that may go the one idle longest. */
  #evict(mayGo: (member: M) => boolean): boolean {
    const index = this.#idle.findIndex(mayGo);
    if (index === -1) return false;
    const [member] = this.#idle.splice(index, 1);
    if (member !== undefined) this.#options.close(member);
    return true;
  }

  #opened(kind: K, member: M): void {
    this.#opening.splice(this.#opening.indexOf(kind), 1);
    this.#lendAndTakeBack(member);
  }

  /** Serves whoever waits with a new member. */
  #lendAndTakeBack(member: M): void {
    this.#lend(member);
    this.give(member);
  }

  #openFailed(kind: K, error: unknown): void {
    this.#opening.splice(this.#opening.indexOf(kind), 1);
    const waiting = this.#waiting.find((entry) => entry.kind === kind);
    if (waiting !== undefined) {
      this.#remove(waiting);
      this.#refuse(waiting, errorOf(error));
    }
    this.#serveNext();
  }

  #grant(waiting: Waiting<K, M>, member: M): void {
    this.#remove(waiting);
    waiting.ended = true;
    waiting.timer.cancel();
    this.#lend(member);
    waiting.waiter.granted(member);
  }

  #refuse(waiting: Waiting<K, M>, error: Error): void {
    if (waiting.ended) return;
    waiting.ended = true;
    waiting.timer.cancel();
    waiting.waiter.refused(error);
  }

  #timedOut(waiting: Waiting<K, M>): void {
    this.#remove(waiting);
    this.#options.turn(() =>
      this.#refuse(
        waiting,
        new OperationalError(
          'pool_wait_timeout',
          `no connection to ${this.#options.name} became free within ${this.#limits.waitTimeoutMs} ms`,
          { hint: 'Raise pool.max_per_backend or pool.wait_timeout, or look for long transactions.' },
        ),
      ),
    );
  }

  #endWait(waiting: Waiting<K, M>): void {
    if (waiting.ended) return;
    waiting.ended = true;
    waiting.timer.cancel();
    this.#remove(waiting);
  }

  #remove(waiting: Waiting<K, M>): void {
    const index = this.#waiting.indexOf(waiting);
    if (index !== -1) this.#waiting.splice(index, 1);
  }

  #sweepLater(): void {
    this.#sweeper = this.#options.clock.after(SWEEP_MS, () => {
      if (this.#closed) return;
      this.#options.turn(() => this.#sweep());
      this.#sweepLater();
    });
  }

  /** Closes what is too old or was idle too long, oldest first, down to `minIdle` of each kind. */
  #sweep(): void {
    const now = this.#options.clock.now();
    const ofKind = new Map<K, number>();
    for (const member of this.#idle) ofKind.set(member.kind, (ofKind.get(member.kind) ?? 0) + 1);
    this.closeIdle((member) => {
      const others = (ofKind.get(member.kind) ?? 0) - 1;
      const stale = this.#limits.idleTimeoutMs > 0 && now - member.idleSinceMs > this.#limits.idleTimeoutMs;
      const goes = this.#tooOld(member, now) || (stale && others >= this.#limits.minIdle);
      if (goes) ofKind.set(member.kind, others);
      return goes;
    });
  }
}
