import type { TransactionModes } from '../sql/facts.ts';
import type { Target } from './routes.ts';

/**
 * What a session says of itself for one decision. The session keeps such an object and changes it; nothing here is kept
 * beyond the call.
 */
export interface SessionContext extends Reads {
  /** The listener that the client came through. */
  readonly mode: 'split' | 'read-only';
  /** Role of the backend that the session is pinned to; null when it is free. */
  readonly pinnedTo: Target | null;
  /** Role of the backend on which its transaction runs; null while none does. */
  readonly transactionOn: Target | null;
  /** Modes of a transaction that the client began and no backend knows of yet; null outside of that. */
  readonly beginning: TransactionModes | null;
  /** That transaction takes over the snapshot of another (SET TRANSACTION SNAPSHOT). */
  readonly importsSnapshot: boolean;
  /** `default_transaction_read_only` of the session. */
  readonly defaultReadOnly: boolean;
  /** `default_transaction_isolation`, if the session has set it. */
  readonly defaultIsolation: string | null;
  /** False when the client's encoding or string settings keep us from reading its texts. */
  readonly scanSafe: boolean;
  /** `SET pgweir.route`, by statement or by startup option; null when not set. */
  readonly routeSetting: Target | null;
  /** What the first fitting rule of the configuration says; null without one. */
  readonly rule: Target | null;
}

/** What one read needs of a replica. Times are of the local monotonic clock (ms); -Infinity for never. */
export interface Reads {
  /** The time of the decision. */
  readonly nowMs: number;
  /** When the last reply of the primary came, to a write or a read: the session must go on seeing all of it. */
  readonly lastPrimaryMs: number;
  /** When the last reply of a replica came. */
  readonly lastReplicaMs: number;
  /** Which replica that was, by index, and its incarnation then; -1 without one. */
  readonly lastReplica: number;
  readonly lastReplicaIncarnation: number;
  /** The strictest bound on staleness of settings and hints (see `strictestStaleness`); null without one. */
  readonly maxStalenessMs: number | null;
  /** Replicas, by index, that failed this read already. */
  readonly failedOn: readonly number[];
}

/** A client that has just connected and has neither set, written nor read anything. */
export const newSession: SessionContext = {
  mode: 'split',
  pinnedTo: null,
  transactionOn: null,
  beginning: null,
  importsSnapshot: false,
  defaultReadOnly: false,
  defaultIsolation: null,
  scanSafe: true,
  routeSetting: null,
  rule: null,
  nowMs: 0,
  lastPrimaryMs: -Infinity,
  lastReplicaMs: -Infinity,
  lastReplica: -1,
  lastReplicaIncarnation: -1,
  maxStalenessMs: null,
  failedOn: [],
};
