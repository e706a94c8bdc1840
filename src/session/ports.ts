import type { BackendConnection } from '../backend/connection.ts';
import type { SegmentSink } from '../backend/exchange.ts';
import type { AnsweredRead, HoldUp, LeaseWaiter, LeaseWish, Lessee, Sharer } from '../backend/lease.ts';
import type { Catalog } from '../sql/catalog.ts';
import type { OpaqueReason } from '../sql/classify.ts';
import type { Facts } from '../sql/facts.ts';
import type { SettingCode } from '../sql/setting-code.ts';
import type { View } from '../topology/view.ts';
import type { SettingsSet } from '../util/settings-set.ts';

/** The client's socket, as a session sees it. */
export interface ClientPort {
  /** Gathers bytes for this turn's write; borrowed until the turn ends. */
  send(slice: Buffer, start: number, end: number): void;
  /** Stops and resumes the flow of bytes into `Session.receive`; one chunk may still come after a pause. */
  pauseReading(): void;
  resumeReading(): void;
  /** Ends the connection once what was sent has left. */
  end(): void;
}

/** Leases of the session's user, database and startup parameters. A lease is the exclusive right to a connection. */
export interface LeasePort {
  /** A connection that is free now: the one that this lessee had last, or one with these settings, if there is one. */
  take(backend: number, settings: SettingsSet, wish: LeaseWish, lessee: Lessee): BackendConnection | null;
  /** Lends a connection again if it is idle and nobody has advanced a sequence there since the lease of this number. */
  takeAgain(connection: BackendConnection, lease: number): boolean;
  /** A connection on which a read of this session is pipelined with those of others; null when it had better have a lease. */
  share(backend: number, settings: SettingsSet, costMs: number): SharedPort | null;
  /** Waits for one; returns how to give up waiting. */
  wait(backend: number, waiter: LeaseWaiter, wish: LeaseWish): () => void;
  /** Gives a clean connection back: idle, nothing owed, no residue. Exactly once for each lease. */
  give(connection: BackendConnection): void;
  /** Gives a connection back that is clean once its transaction, in which only reads ran, is rolled back. */
  rollBack(connection: BackendConnection): void;
  /** Gives a connection back whose client has left it in any state, owing nothing but to us: it is cleaned or closed. */
  abandon(connection: BackendConnection): void;
  /** Gives a connection back that must not be used again. */
  discard(connection: BackendConnection): void;
  /** Clients like this one have asked for currval() or lastval(). */
  readonly sequenceValuesAsked: boolean;
  noteSequenceValuesAsked(): void;
  /** Others wait for a connection to the backend. */
  areWaiting(backend: number): boolean;
  /** Work under way on a backend, for balancing. */
  load(backend: number): number;
}

/** A connection that carries reads of many sessions. */
export interface SharedPort {
  readonly connection: BackendConnection;
  /** Takes more reads. */
  readonly open: boolean;
  /** Returns how long the backend had the read in hand at least, in ms. */
  answered(read: AnsweredRead): number;
  /** The session enters, with the sink of its segments; enters no more until it has left. */
  join(sink: SegmentSink, sharer: Sharer): void;
  /** All its reads were answered. */
  leave(sink: SegmentSink): void;
  /** It does not want its answers any more. */
  drop(sink: SegmentSink): void;
  /** Whether the backend works for this session at the moment. */
  serves(sink: SegmentSink): boolean;
  /** Leaves the connection to the session that it works for, as a lease. */
  leaveToHead(cause: HoldUp): void;
}

/** The topology, and what the session tells it. */
export interface TopologyPort {
  view(): View;
  /** Somebody uses the backends: probe at the quick interval. */
  noteTraffic(): void;
  /** An error is evidence that roles or health changed. */
  suspect(backend: number, cause: string): void;
  /**
   * Probes until some replica is fresh through `fenceMs`; calls back inside a turn. Returns how to give up, or why there is no
   * waiting.
   */
  awaitFresh(fenceMs: number, limit: FenceLimit, done: (reached: boolean) => void): (() => void) | NoWait;
}

export interface FenceLimit {
  /** At most for so long. */
  readonly ms: number;
  /** The read need not wait: there is the primary. */
  readonly orPrimary: boolean;
}

/** No replica can be in time; or hardly any has been of late, and the read has another place to go. */
export type NoWait = 'pointless' | 'impatient';

/** Knowledge of statements in the session's database. */
export interface StatementPort {
  catalog(): Catalog;
  /** Grows when something was learned: facts from before must be asked for again. */
  readonly generation: number;
  facts(text: string, catalog: Catalog, scan: ScanMode): Facts;
  /** Facts of something that cannot be looked at. */
  opaque(reason: OpaqueReason): Facts;
  /** A standby refused this text with this SQLSTATE, although it was thought to be a read. */
  learn(text: string, sqlstate: string): void;
  /** DDL passed. */
  catalogChanged(): void;
  /** What the database's code does to settings with a name of their own; null when nobody has asked since it changed. */
  settingCode(): SettingCode | null;
  /** To be called before the database is asked for it; what is returned takes the answer. */
  learnsSettingCode(): (code: SettingCode) => void;
}

export type ScanMode = 'standard' | 'unsafe strings' | 'unsafe encoding';
