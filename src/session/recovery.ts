import { decodeErrorFields, type ReportableError } from '../protocol/error-response.ts';
import { assert } from '../util/assert.ts';
import type { Clock } from '../util/clock.ts';
import type { OperationalError } from '../util/errors.ts';
import type { Measures } from '../util/measures.ts';
import type { Aftermath } from './aftermath.ts';
import type { Dispatcher } from './dispatcher.ts';
import { isRead } from './expectation.ts';
import { connectionLostError, endsTransaction, lossOf, mayRestoreElsewhere, reportable } from './losses.ts';
import type { Names } from './names.ts';
import { leaveReplica } from './optimism.ts';
import type { Outbox } from './outbox.ts';
import type { OwnSettings } from './own-settings.ts';
import type { LeasePort, StatementPort } from './ports.ts';
import { FAILED_LIFTED, MAX_ATTEMPTS, QUERY_CANCELED, REFUSED_BY_STANDBY, STALE_PLAN } from './replies.ts';
import type { SessionState } from './state.ts';
import type { Work } from './work.ts';

export interface RecoveryParts {
  readonly state: SessionState;
  readonly names: Names;
  readonly aftermath: Aftermath;
  readonly dispatcher: Dispatcher;
  readonly own: OwnSettings;
  readonly outbox: Outbox;
  readonly leases: LeasePort;
  readonly statements: StatementPort;
  readonly measures: Measures;
  readonly clock: Clock;
}

/** A work and what becomes of it: it is run again, or answered with this error. */
interface Due {
  readonly work: Work;
  readonly error: ReportableError | Buffer | null;
}

/**
 * Works that did not get their answer: refused by a standby, lost with their connection, never sent. They are run again or
 * answered with an error, in the order in which the client sent them, before anything that came later.
 */
export class Recovery {
  readonly #parts: RecoveryParts;
  readonly #due: Due[] = [];
  /** Those that go in front of all that is due, once it is known of every work that was under way. */
  readonly #comeBack: Due[] = [];
  /** Left unanswered by a lost connection. */
  readonly #lost: Work[] = [];

  constructor(parts: RecoveryParts) {
    this.#parts = parts;
  }

  get pending(): boolean {
    return this.#due.length > 0;
  }

  /** Takes the next one that is to be run again; answers one that is to be answered. */
  next(): Work | null {
    const due = this.#due.shift();
    if (due === undefined) return null;
    if (due.error === null) return due.work;
    const { state, own, outbox } = this.#parts;
    if (state.transaction === 'failed' && endsTransaction(due.work)) {
      state.transaction = 'idle';
      own.transactionEnded(false);
    }
    outbox.error(due.work, due.error);
    return null;
  }

  /** The work could not be brought to a backend. */
  refused(work: Work, error: Error): void {
    const { state, names, outbox } = this.#parts;
    if (work.begins !== null || state.transaction === 'deferred') {
      state.transaction = 'failed';
      state.deferred = null;
    }
    names.takeBackAll(work);
    // The replies to what is under way come first.
    if (state.works.length > 0) this.#due.push({ work, error: reportable(error) });
    else outbox.error(work, reportable(error));
  }

  /** The work failed in a way that allows another attempt. Returns whether it was the last of those under way. */
  again(work: Work): boolean {
    const { state, statements, aftermath } = this.#parts;
    const cause = work.retryCause;
    if (cause !== null && REFUSED_BY_STANDBY.has(cause)) {
      work.primaryOnly = true;
      for (const text of work.texts()) statements.learn(text, cause);
    } else if (cause !== null && cause !== STALE_PLAN && cause !== FAILED_LIFTED) work.failedOn.push(work.backend);
    // One that stood behind the failing one has run, and may have left something.
    if (state.active !== null) aftermath.note(work, state.active, true, false);
    if (work.optimistic) work.primaryOnly = true;
    this.#runAgain(work);
    if (state.works.length > 0) return false;
    if (state.optimistic === null) {
      state.transaction = 'idle';
      state.expectsTransaction = false;
    } else this.#leaveReplica();
    this.#putInFront();
    return true;
  }

  /** Works that will not be answered where they were sent: they are run elsewhere; the first fails if `error` says how. */
  moved(works: readonly Work[], error: OperationalError | null): void {
    const { names } = this.#parts;
    for (const work of works) {
      if (error !== null && work === works[0]) {
        names.takeBackAll(work);
        this.#comeBack.push({ work, error });
      } else {
        // Not an attempt that failed.
        work.attempts--;
        this.#runAgain(work);
      }
    }
    this.#putInFront();
  }

  /** What was to go ahead of the work failed. `refused`: so that the work cannot run. Nobody has its connection any more. */
  preludeFailed(work: Work, refused: boolean, onReplica: boolean): void {
    const { state, names, measures, outbox } = this.#parts;
    const { begins } = work;
    const error = work.guard?.failure ?? null;
    assert(error !== null, 'a preamble failed without an error');
    state.optimistic = null;
    state.expectsTransaction = false;
    const isInside = begins === null && state.transaction === 'open';
    const isHarmless = refused || isRead(work);
    if (!isInside && isHarmless && isForAnother(work, error) && mayRestoreElsewhere(work, onReplica && state.mode === 'split')) {
      measures.retries.inc('settings');
      this.#runAgain(work);
      state.deferred = begins;
      state.transaction = begins === null ? 'idle' : 'deferred';
    } else {
      state.transaction = begins === null && !isInside ? 'idle' : 'failed';
      names.takeBackAll(work);
      const answer = isHarmless ? error : lossOf(work, false, undefined);
      // What came before it and is to be run again is answered first.
      if (this.#comeBack.length > 0) this.#comeBack.push({ work, error: answer });
      else outbox.error(work, answer);
    }
    this.#putInFront();
  }

  /** The connection was lost with this work unanswered; `connectionLost` follows. */
  lost(work: Work): void {
    this.#lost.push(work);
  }

  /** The works that were lost, oldest first, to be handed to `settleLost` or forgotten. */
  takeLost(): Work[] {
    return this.#lost.splice(0);
  }

  /** Settles what becomes of the works that a connection has left unanswered. `farewell`: its last ErrorResponse. */
  settleLost(lost: readonly Work[], farewell: Buffer | null): void {
    const { state, names, measures } = this.#parts;
    if (state.optimistic !== null && state.transaction !== 'failed') leaveReplica(state, lost, false);
    state.optimistic = null;
    let inside = state.transaction === 'open' || state.transaction === 'failed' || state.expectsTransaction;
    state.expectsTransaction = false;
    const detail = farewell === null ? undefined : decodeErrorFields(farewell, 0, farewell.length).message;
    if (inside) {
      state.transaction = 'failed';
      if (lost.length === 0) state.untoldLoss = connectionLostError(detail);
    }
    const unanswered: Work[] = [];
    for (const work of lost) {
      if ((work.again || (work.retryable && !work.streamed)) && work.attempts < MAX_ATTEMPTS) {
        measures.retries.inc(work.retryCause ?? 'connection lost');
        work.failedOn.push(work.backend);
        this.#runAgain(work);
      } else {
        this.#comeBack.push({ work, error: lossOf(work, inside, detail) });
        unanswered.push(work);
      }
      if (endsTransaction(work)) inside = false;
    }
    for (const work of unanswered.toReversed()) {
      if (work.streamed) names.takeBack(work);
      else names.takeBackAll(work);
    }
    this.#putInFront();
  }

  /** The connection, in a transaction that the client is not to know of, is given back. */
  #leaveReplica(): void {
    const { state, leases } = this.#parts;
    if (state.active !== null) leases.rollBack(state.active);
    state.active = null;
    leaveReplica(
      state,
      this.#comeBack.map(({ work }) => work),
      false,
    );
  }

  #runAgain(work: Work): void {
    work.startAgain();
    work.sentMs = this.#parts.clock.now();
    this.#comeBack.push({ work, error: null });
  }

  /**
   * What was under way comes again, then the work that waited behind it, then what was to come again already: a work may be
   * lost a second time while its successors wait for it.
   */
  #putInFront(): void {
    const behind = this.#parts.dispatcher.takeStalledBehind();
    if (behind !== null) this.#comeBack.push({ work: behind, error: null });
    this.#due.unshift(...this.#comeBack.splice(0));
  }
}

/**
 * Whether another connection is to be tried where what went ahead of the work has failed: not for what the client said itself
 * or cancelled, and not without all that the client has sent.
 */
function isForAnother(work: Work, error: Buffer): boolean {
  if (work.guard?.isClients === true || !work.whole || work.copySent) return false;
  return decodeErrorFields(error, 0, error.length).sqlstate !== QUERY_CANCELED;
}
