import type { BackendConnection, ConnectionHolder } from '../backend/connection.ts';
import type { Segment, SegmentSink } from '../backend/exchange.ts';
import type { AnsweredRead, HoldUp, Sharer } from '../backend/lease.ts';

/** What a shared connection tells those who keep it. */
export interface SharedConnectionOwner {
  /** It is not shared any more; `returned` when nobody has it as a lease. */
  unshared(shared: SharedConnection, cause: UnsharedCause, returned: boolean): void;
  lost(shared: SharedConnection): void;
}

export type UnsharedCause = HoldUp | 'slow read' | 'idle' | 'wanted';

/** A stuck head is left alone with its connection after this many ticks without an answer. */
const STUCK_TICKS = 3;

/**
 * A backend connection on which reads of many sessions are pipelined, each in a segment of its own that ends in ReadyForQuery,
 * so that one which fails does not touch the next.
 *
 * Whoever holds up the others gets the connection as a lease: a read that takes long, a reply that is long, a client that
 * does not read; and whoever asks to cancel, so that the request cannot find another. The reads behind it are run again
 * elsewhere, which is safe, since they are reads of which nothing was heard; their late answers are swallowed.
 */
export class SharedConnection implements ConnectionHolder {
  readonly connection: BackendConnection;
  readonly #owner: SharedConnectionOwner;
  readonly #sharers = new Map<SegmentSink, Sharer>();
  #open = true;
  #servedAtTick = 0;
  #stuckTicks = 0;
  #idleTicks = 0;
  #lastServedMs = 0;

  constructor(connection: BackendConnection, owner: SharedConnectionOwner) {
    this.connection = connection;
    this.#owner = owner;
    connection.holder = this;
    connection.gatherLate(true);
  }

  /** Takes more reads. */
  get open(): boolean {
    return this.#open && this.#stuckTicks === 0 && !this.connection.congested;
  }

  get depth(): number {
    return this.connection.owed;
  }

  answered({ sentMs, arrivedAfterMs, nowMs }: AnsweredRead): number {
    const ms = Math.max(0, arrivedAfterMs - Math.max(sentMs, this.#lastServedMs));
    this.#lastServedMs = nowMs;
    return ms;
  }

  /** A session enters, with the sink of its segments. */
  join(sink: SegmentSink, sharer: Sharer): void {
    this.#sharers.set(sink, sharer);
  }

  /** All its reads were answered. */
  leave(sink: SegmentSink): void {
    this.#sharers.delete(sink);
  }

  /** The session does not want its answers any more. */
  drop(sink: SegmentSink): void {
    this.#sharers.delete(sink);
    this.connection.reassign((of) => of === sink, NOBODY);
  }

  /** Whether the backend works for this sink at the moment, or will next. */
  serves(sink: SegmentSink): boolean {
    return this.connection.servedSink === sink;
  }

  /** Leaves the connection to the session that it works for: that one holds the others up. */
  leaveToHead(cause: UnsharedCause): void {
    const { connection } = this;
    const sink = connection.servedSink;
    const head = sink === null ? undefined : this.#sharers.get(sink);
    const others = [...this.#sharers].filter(([, sharer]) => sharer !== head);
    this.#sharers.clear();
    this.#open = false;
    connection.gatherLate(false);
    connection.holder = null;
    this.#owner.unshared(this, cause, head === undefined);
    if (sink !== null && head !== undefined) {
      connection.reassign((of) => of !== sink, sink);
      head.sharedBecameLease(connection);
    }
    for (const [, sharer] of others) sharer.sharedMoved();
  }

  /** Called at short intervals: looks for what is stuck or not used. */
  tick(idleTicks: number): void {
    const { owed, served } = this.connection;
    this.#stuckTicks = owed > 0 && served === this.#servedAtTick ? this.#stuckTicks + 1 : 0;
    this.#idleTicks = owed === 0 ? this.#idleTicks + 1 : 0;
    this.#servedAtTick = served;
    if (this.#stuckTicks >= STUCK_TICKS) this.leaveToHead('slow read');
    else if (owed === 0 && !this.#open) this.leaveToHead('wanted');
    else if (this.#idleTicks > idleTicks) this.leaveToHead('idle');
  }

  /** Takes no more reads, and is given back once those under way are answered. */
  yield(): void {
    this.#open = false;
  }

  notification(): void {
    // Nobody listens here: what was a lease has no residue.
  }

  connectionLost(connection: BackendConnection, farewell: Buffer | null): void {
    const sharers = [...this.#sharers.values()];
    this.#sharers.clear();
    this.#open = false;
    this.#owner.lost(this);
    for (const sharer of sharers) sharer.sharedLost(connection, farewell);
  }

  writable(): void {
    for (const sharer of [...this.#sharers.values()]) sharer.writable();
  }

  cancelFinished(): void {
    // What is to be cancelled is not shared any more.
  }

  broken(error: unknown): void {
    for (const sharer of [...this.#sharers.values()]) sharer.broken(error);
  }

  backendHangs(connection: BackendConnection): void {
    connection.end();
  }
}

/** Takes what nobody wants any more. */
const NOBODY: SegmentSink = {
  forward: () => undefined,
  error: (segment: Segment) => {
    segment.discarding = true;
  },
  copyIn: () => undefined,
  ready: () => undefined,
  parameter: () => false,
  lost: () => undefined,
};
