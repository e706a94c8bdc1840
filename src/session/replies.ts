import type { Segment, SegmentSink } from '../backend/exchange.ts';
import { encodeParameterStatus } from '../protocol/backend-encoders.ts';
import { TRANSACTION_STATUS } from '../protocol/codes.ts';
import { decodeErrorFields } from '../protocol/error-response.ts';
import type { Measures } from '../util/measures.ts';
import { resetsOne, resetsSetting } from './losses.ts';
import type { ClientPort } from './ports.ts';
import { retirePlans } from './stale-plans.ts';
import type { SessionState } from './state.ts';
import type { Work } from './work.ts';

/** What becomes of a work whose reply is complete, decided by the session. */
export interface RepliesOwner {
  /** The reply is complete and was forwarded; `status` is the transaction status. */
  workDone(work: Work, status: number, failed: boolean): void;
  /** The work failed in a way that allows another attempt; nothing of it reached the client. */
  workAgain(work: Work): void;
  /** What was to go ahead of the work failed, as its guard says. `refused`: and so the work cannot run. */
  preludeFailed(work: Work, refused: boolean): void;
  /** Something of ours is complete; it may have been the last that was owed. */
  swallowed(): void;
  /** The backend asks for CopyData. */
  copyBegan(work: Work, segment: Segment): void;
  /** A batch that ends in a Query failed before it: PostgreSQL passes over everything up to a Sync. */
  batchBroken(work: Work, segment: Segment): void;
  /** The reply of a work that shares its connection is too long for the others to wait. */
  replyIsLong(): void;
  /** The connection was lost with this work unanswered. */
  workLost(work: Work): void;
}

/**
 * The replies of a session's works on their way to the client: forwarded as they come, or, for a read that may be run again,
 * held back until it is complete or too long to hold.
 */
export class Replies implements SegmentSink {
  readonly #state: SessionState;
  readonly #client: ClientPort;
  readonly #owner: RepliesOwner;
  readonly #measures: Measures;
  readonly #maxHeldBytes: number;
  /** What the client was told last of settings that connections do not begin with as the session does; at first its own. */
  readonly #told = new Map<string, string>();

  constructor(state: SessionState, client: ClientPort, owner: RepliesOwner, measures: Measures, maxHeldBytes: number) {
    this.#state = state;
    this.#client = client;
    this.#owner = owner;
    this.#measures = measures;
    this.#maxHeldBytes = maxHeldBytes;
  }

  forward(segment: Segment, slice: Buffer, start: number, end: number, final: boolean): void {
    const work = segment.work as Work;
    if (work.again) return;
    work.replyBytes += end - start;
    if (work.shared && !final && work.replyBytes > LONG_REPLY_BYTES) this.#owner.replyIsLong();
    if (work.holding && !final) {
      this.#hold(work, slice, start, end);
      return;
    }
    this.#releaseHeld(work);
    work.streamed = true;
    const untold = final && this.#told.size > 0 && !segment.failed ? this.#untold(work, slice[end - 1]) : null;
    if (untold === null) this.#client.send(slice, start, end);
    else {
      this.#client.send(slice, start, end - READY_BYTES);
      this.#client.send(untold, 0, untold.length);
      this.#client.send(slice, end - READY_BYTES, end);
    }
  }

  error(segment: Segment, slice: Buffer, start: number, end: number): void {
    const work = segment.work as Work;
    work.copyOpen = false;
    if (work.endsInQuery && work.complete && segment.script?.finished === false) this.#owner.batchBroken(work, segment);
    if (work.copied) work.ended = isFatalViolation(slice, start, end);
    // An error of ours is the answer.
    if (segment.mode === 'refused') return;
    const { sqlstate, routine } = decodeErrorFields(slice, start, end);
    const connection = this.#state.active ?? this.#state.shared?.connection ?? null;
    const isStale = sqlstate === '0A000' && routine === 'RevalidateCachedQuery' && connection !== null;
    const fitsAnew = isStale && retirePlans(work, connection);
    if (work.streamed || !(work.autocommit || work.optimistic)) return;
    const cause = isStale ? staleCause(work, fitsAnew) : (this.#retryCause(work, sqlstate) ?? liftedCause(work, sqlstate));
    const behind = this.#state.works.slice(1);
    // What is pipelined behind it must be answered after it, so all of it is run again, or none. It may have run already:
    // what it would have changed for the one before must not be.
    if (
      cause === null ||
      !behind.every((later) => (later.retryable || later.refusable) && !later.streamed && !changesSession(later))
    )
      return;
    this.#measures.retries.inc(cause);
    work.retryCause = cause;
    work.again = true;
    if (cause === FAILED_LIFTED) work.failedLifted = true;
    segment.discarding = true;
    for (const later of behind) later.again = true;
  }

  copyIn(segment: Segment): void {
    this.#owner.copyBegan(segment.work as Work, segment);
  }

  /**
   * `in_hot_standby` is what the listener says, whatever node the session happens to be on. Behind a RESET the connection
   * reports the application's name that it was opened with, which may be another's; the client is told its own, if that is
   * news.
   */
  parameter(segment: Segment, name: string, value: string): boolean | Buffer {
    if (name === 'in_hot_standby') return false;
    const own = this.#state.baseSettings.entries.get(name);
    if (own === undefined) return true;
    const login = this.#state.active?.loginSettings.entries.get(name);
    const present = own !== login && value === login && resetsSetting(segment.work as Work, name) ? own : value;
    const known = this.#told.get(name) ?? own;
    this.#told.set(name, present);
    if (present === value) return true;
    return present !== known && encodeParameterStatus(name, present);
  }

  ready(segment: Segment, status: number): void {
    const work = segment.work as Work;
    if (segment.mode !== 'forward') {
      if (segment.guard === null || segment.guard.failure === null) this.#owner.swallowed();
      else this.#owner.preludeFailed(work, !segment.synced || status === TRANSACTION_STATUS.failed);
      return;
    }
    this.#state.works.shift();
    if (work.again) this.#owner.workAgain(work);
    else this.#owner.workDone(work, status, segment.failed);
  }

  lost(segment: Segment): void {
    if (segment.mode !== 'forward') return;
    segment.script?.undoRest();
    this.#owner.workLost(segment.work as Work);
  }

  /**
   * What the connection does not report because it began with what the session is only now reset from. Inside a transaction
   * nothing is said: the RESET may yet be rolled back.
   */
  #untold(work: Work, status: number | undefined): Buffer | null {
    const statement = work.onlyStatement;
    if (statement === null || status !== TRANSACTION_STATUS.idle) return null;
    for (const [name, told] of this.#told) {
      const own = this.#state.baseSettings.entries.get(name);
      if (own === undefined || own === told || told !== this.#state.active?.loginSettings.entries.get(name)) continue;
      if (!resetsOne(statement, name)) continue;
      this.#told.set(name, own);
      return encodeParameterStatus(name, own);
    }
    return null;
  }

  /** Sends what was held back: the reply has become too long, or will not be repeated. */
  #releaseHeld(work: Work): void {
    work.holding = false;
    if (work.held === null) return;
    for (const piece of work.held) this.#client.send(piece, 0, piece.length);
    work.held = null;
    work.heldBytes = 0;
  }

  #hold(work: Work, slice: Buffer, start: number, end: number): void {
    if (work.heldBytes + (end - start) > this.#maxHeldBytes) {
      this.#releaseHeld(work);
      work.streamed = true;
      work.messages.length = 0;
      this.#client.send(slice, start, end);
      return;
    }
    work.held ??= [];
    work.held.push(Buffer.from(slice.subarray(start, end)));
    work.heldBytes += end - start;
  }

  /** Whether and why the work may be run again after this error. Source: DESIGN of a hot standby's refusals. */
  #retryCause(work: Work, sqlstate: string | undefined): string | null {
    if (sqlstate === undefined || work.messages.length === 0 || work.attempts >= MAX_ATTEMPTS) return null;
    if (work.retryable && ENDS_CONNECTION.has(sqlstate)) return sqlstate;
    if (work.retryable && !this.#state.activeIsPrimary && CONFLICT.has(sqlstate)) return sqlstate;
    // A read-only listener has no other place: there the refusal is the answer.
    return work.refusable && this.#state.mode === 'split' && REFUSED_BY_STANDBY.has(sqlstate) ? sqlstate : null;
  }
}

/** Whether a work that met a stale plan is run again: with a new plan it fits, or is compared. Source: plancache.c. */
function staleCause(work: Work, fitsAnew: boolean): string | null {
  return fitsAnew && work.complete && work.attempts < MAX_ATTEMPTS ? STALE_PLAN : null;
}

/** Whether a read that was not sent as its client wrote it is run again like that: the error is to be the one that draws. */
function liftedCause(work: Work, sqlstate: string | undefined): string | null {
  return work.lifted !== null && sqlstate !== QUERY_CANCELED ? FAILED_LIFTED : null;
}

/** query_canceled: by the client, an administrator, or statement_timeout. */
export const QUERY_CANCELED = '57014';

/** Cause of a retry: a read has failed as the prepared statement that was made of it. */
export const FAILED_LIFTED = 'prepared read';

/** Cause of a retry: a prepared statement's result type has changed since it was planned. */
export const STALE_PLAN = 'stale plan';

/** A read is tried this often in all before its error is shown. Ours. */
export const MAX_ATTEMPTS = 4;

/** The backend goes away, or is not up yet: admin_shutdown, crash_shutdown, cannot_connect_now. */
const ENDS_CONNECTION: ReadonlySet<string> = new Set(['57P01', '57P02', '57P03']);

/** A reply that grows longer than this has its connection to itself. Ours: four times what a quick shape returns. */
const LONG_REPLY_BYTES = 64 * 1024;

/** On a standby these always mean a conflict with recovery: SERIALIZABLE, the other cause, is refused there. */
const CONFLICT: ReadonlySet<string> = new Set(['40001', '40P01']);

/** read_only_sql_transaction; feature_not_supported (unlogged relation, SERIALIZABLE). */
export const REFUSED_BY_STANDBY: ReadonlySet<string> = new Set(['25006', '0A000']);

const CHANGES_SESSION: ReadonlySet<string> = new Set([
  'set',
  'set characteristics',
  'reset',
  'reset all',
  'discard',
  'prepare',
  'deallocate',
]);

function changesSession(work: Work): boolean {
  return work.facts.some(({ statements }) => statements.some(({ kind }) => CHANGES_SESSION.has(kind)));
}

const READY_BYTES = 6;

/** PostgreSQL has lost its place in what the client says: in COPY data it met another message. */
function isFatalViolation(slice: Buffer, start: number, end: number): boolean {
  const { severityNonLocalized, sqlstate } = decodeErrorFields(slice, start, end);
  return severityNonLocalized === 'FATAL' && sqlstate === '08P01';
}

/** Whether a status byte says that no transaction is open. */
export function isIdle(status: number): boolean {
  return status === TRANSACTION_STATUS.idle;
}
