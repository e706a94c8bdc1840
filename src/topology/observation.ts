import type { Lsn } from '../util/lsn.ts';
import type { Problem } from './view.ts';

/** What one probe of one node brought. */
export type Observation = Answer | Failure | Break;

/** The node answered. Times are of the local monotonic clock (ms). */
export interface Answer {
  readonly kind: 'answer';
  /** When the request was sent: the only time that a sample may count from. */
  readonly sentAtMs: number;
  /** A standby; false for a primary, also for one that refuses to write. */
  readonly inRecovery: boolean;
  /** `default_transaction_read_only`: what makes a primary one that takes no writes, for libpq's `read-write`. */
  readonly readOnly: boolean;
  /** Insert position of a primary (already replayable), replay position of a standby; null before anything was replayed. */
  readonly lsn: Lsn | null;
  /** Of a primary; null of a standby. */
  readonly flushed: Flushed | null;
  /** Timeline that a primary writes, or that a standby has proven to follow; null when the standby could not tell. */
  readonly timeline: number | null;
  readonly systemIdentifier: string;
  /** `server_version_num`. */
  readonly serverVersion: number;
}

/** How far a primary has flushed its WAL, which is as far as it sends it. */
export interface Flushed {
  readonly lsn: Lsn;
  /** Three times `wal_writer_delay`: the age at which a commit is below, as a rule. No bound, see lsn-clock.ts. */
  readonly usuallyWithinMs: number;
}

/** The node could not be asked, not even on a new connection. */
export interface Failure {
  readonly kind: 'failure';
  readonly problem: Extract<Problem, 'unreachable' | 'login refused' | 'starting up'>;
  /** For the log; holds no secret. */
  readonly detail: string;
}

/** The connection on which the node used to answer is gone; a new one is being tried. Evidence, but no verdict yet. */
export interface Break {
  readonly kind: 'break';
  readonly detail: string;
}
