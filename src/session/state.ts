import type { BackendConnection } from '../backend/connection.ts';
import type { Lessee } from '../backend/lease.ts';
import type { Residue } from '../backend/residue.ts';
import type { TransactionModes } from '../sql/facts.ts';
import type { OperationalError } from '../util/errors.ts';
import type { SettingsSet } from '../util/settings-set.ts';
import type { SharedPort } from './ports.ts';
import type { SessionStatements } from './prepared-statements.ts';
import type { Begun } from './relocation.ts';
import type { Work } from './work.ts';

/**
 * Where a session stands between the client's transactions and the backends.
 *   idle      outside a transaction
 *   deferred  BEGIN was answered by us; no backend knows of it yet
 *   open      in a transaction on the active connection
 *   failed    in a failed transaction, on the active connection or, when that was lost, on none
 */
export type TransactionState = 'idle' | 'deferred' | 'open' | 'failed';

/**
 * Why a session keeps its connection between transactions. `activity counters`: it looks at what PostgreSQL counts (pg_stat_*
 * views), which is counted process by process, so that its own activity would be missing. `sequence value`: clients like it
 * ask for currval() and lastval(); of all reasons it alone does not keep reads from replicas. `unnamed setting`: a function may
 * have made up the name of a setting, so that nobody can ask for it. `process state` is what can neither be asked for nor taken away
 * (LOAD, setseed, replication origins): it lasts until the client leaves, and then the connection is closed.
 */
export type PinReason = Residue | 'sequence value' | 'activity counters' | 'unnamed setting' | 'state unknown' | 'process state';

export type ListenMode = 'split' | 'read-only';

/** A transaction that the client began, and that its backend has not heard of. */
export interface DeferredTransaction {
  /** What is to be run ahead of the first real statement, each by `encodeUnsynced`: BEGIN, SET TRANSACTION, SET LOCAL, SET. */
  readonly preamble: Buffer[];
  modes: TransactionModes;
  /** Something in it changes what statements may mean. */
  bearsOnPlans: boolean;
  /** Session-level settings made in it, by name: they hold after COMMIT. */
  readonly settings: Map<string, string>;
  /** It has failed elsewhere, which the client knows: it is to be in that state. */
  failed: boolean;
}

/** What the parts of a session share. Changed only by them. */
export class SessionState {
  readonly mode: ListenMode;
  readonly statements: SessionStatements;
  /** Settings that the session began with; RESET returns to them. */
  readonly baseSettings: SettingsSet;
  settings: SettingsSet;
  transaction: TransactionState = 'idle';
  deferred: DeferredTransaction | null = null;
  /** The open transaction runs on a replica on trust, and can be begun anew with this: see `optimism.ts`. */
  optimistic: DeferredTransaction | null = null;
  /** What is known of the open transaction, when it runs on a replica otherwise: see `relocation.ts`. */
  begun: Begun | null = null;
  /** What the transaction state will be when all works under way are done, as far as their texts tell. */
  expectsTransaction = false;

  /** The connection that works are sent to now, and its role. */
  active: BackendConnection | null = null;
  activeIsPrimary = false;
  /** The connection, shared with other sessions, on which its works are under way; `active` is null then. */
  shared: SharedPort | null = null;
  /** The connection of the primary that the session keeps: pinned, or by `pool.mode: session`. */
  home: BackendConnection | null = null;
  /** The home is one of a replica, for a client that came through the read-only listener. */
  homeIsPrimary = true;
  /** Something was left on the active connection that is of no use to anybody: it is not to be handed on. */
  spoilt = false;
  readonly pins = new Set<PinReason>();
  /** As whom it takes leases. */
  readonly lessee: Lessee = { gone: false };

  /** Something has run that its process may remember for good: code that we do not know, or what made a temporary schema. */
  hasLeftTraces = false;

  /** Where the session last advanced a sequence, in which lease: `currval` is answered there, or nowhere. */
  lastSequence: { readonly connection: BackendConnection; readonly lease: number } | null = null;

  /** Works that were sent and not answered, oldest first. */
  readonly works: Work[] = [];
  /** The newest of them while its Sync has not been sent. */
  open: Work | null = null;
  /** Works that change what names of prepared statements mean, until they are done. */
  readonly namedBy: Work[] = [];
  /** The newest work that changes the unnamed statement. */
  unnamedBy: Work | null = null;
  /** A question of our own about the state of the active connection is under way. */
  settling = false;

  /** When the last reply of the primary came: replicas must contain everything up to then (ms of the clock). */
  lastPrimaryMs = Number.NEGATIVE_INFINITY;
  /** The replica that served last and when its last reply came: another must contain everything up to then. */
  lastReplica = -1;
  lastReplicaMs = Number.NEGATIVE_INFINITY;
  /** Its incarnation then: what was seen there says nothing about a later one. */
  lastReplicaIncarnation = -1;

  /** The connection of the open transaction was lost and the client has not been told. */
  untoldLoss: OperationalError | null = null;

  closed = false;

  constructor(mode: ListenMode, statements: SessionStatements, baseSettings: SettingsSet) {
    this.mode = mode;
    this.statements = statements;
    this.baseSettings = baseSettings;
    this.settings = baseSettings;
  }

  /** The session must stay on its connection, whatever a statement would allow. */
  get pinned(): boolean {
    return this.pins.size > (this.keepsSequences ? 1 : 0);
  }

  /** The session keeps its connection of the primary for what it asks there, and reads elsewhere. */
  get keepsSequences(): boolean {
    return this.pins.has('sequence value');
  }
}
