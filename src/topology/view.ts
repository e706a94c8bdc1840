import type { Lsn } from '../util/lsn.ts';

/**
 * The topology as the monitor last saw it: an immutable snapshot. A new one is published for every change of a role and
 * after every round of probes; whoever decides holds one for one decision. Times are of the local monotonic clock (ms).
 */
export interface View {
  /** Grows by one with each view. */
  readonly version: number;
  /** In the order of the configuration; a backend's index is its identity within one configuration. */
  readonly backends: readonly BackendView[];
  /** Index of the one backend that takes writes, or null while there is none. */
  readonly primary: number | null;
  /** Grows with each change of primary: samples and fences of an earlier epoch mean nothing. */
  readonly epoch: number;
  /** Two or more writable nodes were seen in the last round: the named condition of DESIGN 3.9. */
  readonly splitBrain: boolean;
}

export interface BackendView {
  readonly index: number;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly weight: number;
  readonly role: Role;
  /** The last probe succeeded and is not older than the observation's life. */
  readonly up: boolean;
  /** Why it is not used, null when healthy. */
  readonly problem: Problem | null;
  /** Latest instant whose primary state the replica is known to contain; -Infinity when unknown. Infinity for the primary. */
  readonly freshThroughMs: number;
  /** After this instant the observation says nothing any more, even if no newer view came: decisions compare it with now. */
  readonly expiresAtMs: number;
  /**
   * Grows whenever the continuity of the node was lost (its connection to the monitor broke). A standby that crashed may
   * come back in an older state, so what a session saw there before holds only within one incarnation.
   */
  readonly incarnation: number;
  /**
   * From when the replica was last asked back to what it contained by then, null when unknown; 0 for the primary. For
   * humans and metrics. While the primary holds back WAL of open transactions this is an estimate (lsn-clock.ts), and
   * less than freshThrough says, which is proven.
   */
  readonly lagMs: number | null;
  readonly lagBytes: number | null;
  /** Last known position: insert position of the primary, replay position of a replica. */
  readonly lsn: Lsn | null;
  readonly timeline: number | null;
  /** 0..1: share of its weight during slow start; 1 when warmed up. */
  readonly warmth: number;
  readonly serverVersion: number | null;
}

export type Role = 'primary' | 'replica' | 'unknown';

export type Problem =
  | 'not probed yet'
  | 'unreachable'
  | 'login refused'
  | 'wrong system identifier'
  | 'fenced'
  | 'read-only'
  | 'timeline not proven'
  | 'lag unknown'
  | 'lag over max_lag'
  | 'lag over max_lag_bytes'
  | 'observation expired'
  | 'starting up';

/** Where decisions read the current view. */
export interface ViewSource {
  current(): View;
}

/** What the floors above tell and ask the monitor. Every call is cheap and returns at once. */
export interface Topology extends ViewSource {
  /** There is traffic: keep observing closely. Meant to be called for each batch. */
  noteTraffic(): void;
  /** Evidence that a backend may be gone or has changed its role: all are probed at once. */
  suspect(index: number, cause: string): void;
  /**
   * Waits until some usable replica is fresh through `fenceMs`, and has the topology probed until then. Null when waiting
   * is pointless or too many wait already; the callback is never called then, and never before this returns.
   */
  waitForFence(fenceMs: number, deadlineMs: number, callback: FenceCallback): FenceWait | null;
}

/** Called once: whether a replica reached the fence, which the current view then shows, or the time was over. */
export type FenceCallback = (reached: boolean) => void;

/** A read that waits. */
export interface FenceWait {
  /** Stops waiting: the callback is not called any more. Harmless when it was. */
  cancel(): void;
}
