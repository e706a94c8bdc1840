import type { EventClock } from '../util/clock.ts';
import type { Measures } from '../util/measures.ts';
import type { SettingsSet } from '../util/settings-set.ts';
import type { LiftedReads } from './lifted-reads.ts';
import type { ClientPort, LeasePort, StatementPort, TopologyPort } from './ports.ts';
import type { StatementRegistry } from './prepared-statements.ts';
import type { SessionPolicy } from './router.ts';
import type { ShapeSpeeds } from './shape-speeds.ts';
import type { ListenMode } from './state.ts';

/** Everything a session is made of. */
export interface SessionParts {
  readonly client: ClientPort;
  readonly leases: LeasePort;
  readonly topology: TopologyPort;
  readonly statements: StatementPort;
  readonly registry: StatementRegistry;
  readonly clock: EventClock;
  readonly measures: Measures;
  readonly speeds: ShapeSpeeds;
  readonly lifts: LiftedReads;
  readonly policy: SessionPolicy;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** A defect of ours has left the session in an unknown state: it is to end. */
  readonly onBug: (error: unknown) => void;
}

/**
 * Where clients come from that are likely to act for each other: one host and database. A client that connects anew goes on
 * where it, or its neighbour in the same application, was.
 */
export interface Origin {
  /** When the last reply of the primary came to one of them (ms of the clock). */
  lastPrimaryMs: number;
}

export interface SessionOptions {
  readonly origin: Origin;
  readonly mode: ListenMode;
  /** Settings that the session begins with beyond its pool's startup parameters. */
  readonly baseSettings: SettingsSet;
  /** Settings as the server reported them at login. */
  readonly reported: ReadonlyMap<string, string>;
  /** Startup parameters that are pgweir's own. */
  readonly own: ReadonlyMap<string, string>;
  readonly sessionPool: boolean;
  readonly sharedReads: boolean;
  readonly preparedReads: boolean;
  readonly limits: SessionLimits;
}

export interface SessionLimits {
  readonly maxParseBytes: number;
  readonly batchBytes: number;
  readonly heldReplyBytes: number;
  readonly statementsPerClient: number;
}
