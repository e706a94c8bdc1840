import type { BackendConnection, ConnectionHolder } from '../backend/connection.ts';
import type { Segment } from '../backend/exchange.ts';
import { Question } from '../backend/question.ts';
import { TRANSACTION_STATUS } from '../protocol/codes.ts';
import { decodeErrorFields, errorResponseFor, type ReportableError } from '../protocol/error-response.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import type { StatementFacts } from '../sql/facts.ts';
import type { Clock } from '../util/clock.ts';
import { OperationalError } from '../util/errors.ts';
import type { Measures } from '../util/measures.ts';
import type { SettingsSet } from '../util/settings-set.ts';
import { Aftermath } from './aftermath.ts';
import { deferredAnswer } from './deferral.ts';
import { Dispatcher } from './dispatcher.ts';
import { Intake } from './intake.ts';
import { isPlainRun, type LocalResult, localReply, readyFor } from './local-answers.ts';
import {
  asError,
  connectionLostError,
  endsTransaction,
  IN_FAILED_TRANSACTION,
  lossOf,
  reportable,
  resetsAll,
  rollsBack,
} from './losses.ts';
import { Names } from './names.ts';
import { changesNames, isAnswerDue } from './order.ts';
import { isOwnSetting, OwnSettings } from './own-settings.ts';
import type { ClientPort, LeasePort, StatementPort, TopologyPort } from './ports.ts';
import { SessionStatements, type StatementRegistry } from './prepared-statements.ts';
import { isIdle, MAX_ATTEMPTS, REFUSED_BY_STANDBY, Replies, STALE_PLAN } from './replies.ts';
import { Router, type SessionPolicy } from './router.ts';
import { type ListenMode, SessionState } from './state.ts';
import type { Work } from './work.ts';

/** Everything a session is made of. */
export interface SessionParts {
  readonly client: ClientPort;
  readonly leases: LeasePort;
  readonly topology: TopologyPort;
  readonly statements: StatementPort;
  readonly registry: StatementRegistry;
  readonly clock: Clock;
  readonly measures: Measures;
  readonly policy: SessionPolicy;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** A defect of ours has left the session in an unknown state: it is to end. */
  readonly onBug: (error: unknown) => void;
}

export interface SessionOptions {
  readonly mode: ListenMode;
  /** Settings that the session begins with beyond its pool's startup parameters. */
  readonly baseSettings: SettingsSet;
  /** Settings as the server reported them at login. */
  readonly reported: ReadonlyMap<string, string>;
  /** Startup parameters that are pgweir's own. */
  readonly own: ReadonlyMap<string, string>;
  readonly sessionPool: boolean;
  readonly limits: SessionLimits;
}

export interface SessionLimits {
  readonly maxParseBytes: number;
  readonly batchBytes: number;
  readonly heldReplyBytes: number;
  readonly statementsPerClient: number;
}

/** Notifications that wait until the client is between messages; more end the connection. Ours. */
const MAX_WAITING_NOTIFICATIONS = 1000;

/**
 * One client: bytes in, decisions out. Everything happens in calls of `receive` and of the connections that serve it, inside
 * a turn; nothing here waits.
 *
 * The client's messages become works (`work.ts`), works go to a backend through the dispatcher, replies come back through
 * `replies.ts`, what statements leave behind is settled by `aftermath.ts` before a connection is given back.
 */
export class Session implements ConnectionHolder {
  readonly #parts: SessionParts;
  readonly #options: SessionOptions;
  readonly #state: SessionState;
  readonly #intake: Intake;
  readonly #dispatcher: Dispatcher;
  readonly #aftermath: Aftermath;
  readonly #own: OwnSettings;
  readonly #names: Names;
  /** A work that is answered here, once everything before it is. */
  #waiting: Work | null = null;
  /** Works to be run again, or to be answered with an error, before anything else; in order. */
  readonly #redo: { readonly work: Work; readonly error: ReportableError | Buffer | null }[] = [];
  /** Those that are still to be put in front of `#redo`, until it is known of all that were under way. */
  readonly #comeBack: { readonly work: Work; readonly error: ReportableError | Buffer | null }[] = [];
  /** Works that a lost connection has left unanswered. */
  readonly #lost: Work[] = [];
  /** The connection of the open transaction was lost and the client has not been told. */
  #transactionLost: OperationalError | null = null;
  /** DDL ran in the transaction that is open. */
  #changesCatalog = false;
  /** The client's stream cannot be followed from here on; said when what came before is answered. */
  #broken: ProtocolError | null = null;
  #reading = true;
  #pumping = false;
  #congested = false;
  readonly #notifications: Buffer[] = [];
  /** When the work that is under way was received; null while the client is to act. For timeouts. */
  busySinceMs: number | null = null;
  idleSinceMs: number;

  constructor(parts: SessionParts, options: SessionOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#own = new OwnSettings(options.own);
    this.#state = new SessionState(
      options.mode,
      new SessionStatements(parts.registry, options.limits.statementsPerClient),
      options.baseSettings,
    );
    this.#aftermath = new Aftermath(this.#state, parts.measures);
    this.#names = new Names(this.#state, parts.statements, this.#aftermath, options.reported);
    const { client, leases, topology, clock, measures, policy, random } = parts;
    const router = new Router(this.#state, { policy, own: this.#own, clock, random, scanMode: () => this.#names.scanMode() });
    const { heldReplyBytes } = options.limits;
    this.#dispatcher = new Dispatcher(
      { state: this.#state, router, leases, topology, clock, measures, holder: this },
      { heldReplyBytes, sessionPool: options.sessionPool, fenceWaitMs: parts.policy.fenceWaitMs },
      {
        workRefused: (work, error) => this.#refused(work, error),
        resumed: () => this.#pump(),
        abandoned: () => this.#drained(),
        broken: (error) => this.broken(error),
      },
      new Replies(
        this.#state,
        client,
        {
          workDone: (work, status, failed) => this.#done(work, status, failed),
          workAgain: (work) => this.#again(work),
          preludeFailed: (work, error) => this.#preludeFailed(work, error),
          swallowed: () => this.#drained(),
          copyBegan: (work, segment) => this.#copyBegan(work, segment),
          batchBroken: (work, segment) => this.#batchBroken(work, segment),
          workLost: (work) => this.#lost.push(work),
        },
        measures,
        heldReplyBytes,
      ),
    );
    this.#intake = new Intake({ state: this.#state, names: this.#names, dispatcher: this.#dispatcher }, options.limits, {
      workReceived: (work) => this.#submit(work),
      workBroken: (work, error) => this.#failBatch(work, error),
      skippedToSync: () => {
        this.#answer(readyFor(this.#state.transaction));
        this.#becameIdle();
      },
      nothing: () => this.#becameIdle(),
      copyMessageEnded: () => this.#copyMessageEnded(),
      left: () => {
        this.close();
        this.#parts.client.end();
      },
      busy: () => {
        this.busySinceMs ??= clock.now();
        return this.busySinceMs;
      },
    });
    this.idleSinceMs = clock.now();
  }

  get inTransaction(): boolean {
    return this.#state.transaction !== 'idle';
  }

  /** The client is to act: nothing of it is under way. */
  get idle(): boolean {
    return this.#state.works.length === 0 && this.#dispatcher.stalled === null && !this.#intake.insideBatch;
  }

  /** What the session is doing, for metrics. */
  get activity(): 'idle' | 'active' | 'waiting' | 'idle in transaction' {
    if (this.#dispatcher.stalled !== null && this.#state.works.length === 0) return 'waiting';
    if (!this.idle) return 'active';
    return this.inTransaction ? 'idle in transaction' : 'idle';
  }

  get pins(): ReadonlySet<string> {
    return this.#state.pins;
  }

  /** Takes a chunk of the client's stream, which belongs to the session from now on. Inside a turn. */
  receive(chunk: Buffer): void {
    if (this.#state.closed) return;
    this.#intake.push(chunk);
    this.#pump();
  }

  /** What a cancel request of the client is to reach: the connection that works for it, or null. */
  cancel(): BackendConnection | null {
    if (this.#state.works.length > 0) return this.#state.active;
    const stalled = this.#dispatcher.abandonStalled();
    if (stalled !== null) {
      this.#refused(stalled, new OperationalError('query_canceled', 'canceling statement due to user request'));
      this.#pump();
    }
    return null;
  }

  /** The client is gone, or is to go: everything it held is given back or closed. */
  close(): void {
    const state = this.#state;
    if (state.closed) return;
    state.closed = true;
    this.#dispatcher.abandonStalled();
    const { active, home } = state;
    state.active = null;
    state.home = null;
    state.statements.clear();
    const clean = state.works.length === 0 && state.transaction === 'idle' && !state.settling && !this.#aftermath.due;
    for (const connection of new Set([active, home])) {
      if (connection === null) continue;
      connection.holder = null;
      const plain = connection.owed === 0 && !connection.congested && !connection.mayHideSettings;
      const quiet = plain && !connection.cancelled && connection.cancelsInFlight === 0;
      const cut = connection === active && (this.#intake.insideCopy || this.#congested);
      if (cut || state.pins.has('process state')) this.#parts.leases.discard(connection);
      else if (clean && quiet && !state.pinned) this.#parts.leases.give(connection);
      else this.#parts.leases.abandon(connection);
    }
  }

  /** Reports an error of ours and ends the connection. */
  fail(error: ReportableError): void {
    if (this.#state.closed) return;
    this.#answer(errorResponseFor(error));
    this.close();
    this.#parts.client.end();
  }

  /** The client's socket takes bytes again. */
  clientWritable(): void {
    if (!this.#congested) return;
    this.#congested = false;
    this.#state.active?.resume();
    this.#pump();
  }

  /** More bytes have piled up for the client than it should be sent: its backend waits, and so do its next messages. */
  clientCongested(): void {
    this.#congested = true;
    this.#state.active?.pause();
    this.#steerReading();
  }

  notification(connection: BackendConnection, slice: Buffer, start: number, end: number): void {
    const { active, works } = this.#state;
    if (works.length === 0 || connection === active) this.#parts.client.send(slice, start, end);
    else if (this.#notifications.length < MAX_WAITING_NOTIFICATIONS) {
      this.#notifications.push(Buffer.from(slice.subarray(start, end)));
    } else this.fail(new OperationalError('too_many_waiters', 'too many notifications wait for the client to read'));
  }

  connectionLost(connection: BackendConnection, farewell: Buffer | null): void {
    const state = this.#state;
    const wasActive = connection === state.active;
    if (wasActive && this.#aftermath.lost(state.transaction === 'open' || state.transaction === 'failed')) {
      state.pins.add('state unknown');
    }
    const wasPinned = state.pinned && (connection === state.home || wasActive);
    // What was under way there may have been committed: whatever is read from now on must not be older.
    if (wasActive && state.activeIsPrimary) state.lastPrimaryMs = this.#parts.clock.now();
    this.#parts.leases.discard(connection);
    this.#parts.topology.suspect(connection.backend, 'connection lost');
    if (connection === state.home) state.home = null;
    if (!wasActive && !wasPinned) return;
    state.active = null;
    state.settling = false;
    state.open = null;
    this.#congested = false;
    this.#intake.dropPieces();
    this.#intake.insideCopy = false;
    state.works.length = 0;
    const lost = this.#lost.splice(0);
    const ended = lost.some((work) => work.ended);
    if (ended || (lost.some((work) => work.streamed) && connection.cutInside)) {
      if (ended && farewell !== null) this.#answer(farewell);
      this.close();
      this.#parts.client.end();
      return;
    }
    if (wasPinned) {
      const why = [...state.pins].join(', ');
      this.fail(
        new OperationalError('session_state_lost', 'the connection to the server was lost, and with it state of the session', {
          detail: `The session depended on its connection: ${why}.`,
        }),
      );
      return;
    }
    this.#redoLost(lost, farewell);
    this.#putInFront();
    this.#pump();
  }

  backendHangs(connection: BackendConnection): void {
    const { active, works } = this.#state;
    const movable = (work: Work) => work.retryable && !work.streamed && work.attempts < MAX_ATTEMPTS;
    if (connection === active && !this.#state.activeIsPrimary && works.length > 0 && works.every(movable)) connection.end();
  }

  broken(error: unknown): void {
    this.#parts.onBug(error);
  }

  writable(): void {
    this.#pump();
  }

  /** The cancel request for this connection has been delivered, or could not be. */
  cancelFinished(connection: BackendConnection): void {
    if (connection === this.#state.active && this.#state.works.length === 0) this.#drained();
  }

  // The client's messages.

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#mayRead()) {
        if (this.#redo.length > 0) this.#runAgain();
        else if (this.#waiting !== null) this.#runWaiting();
        else if (this.#broken !== null) this.fail(this.#broken);
        else if (!this.#intake.next()) break;
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (isAnswerDue(this.#state)) this.#broken = error;
      else this.fail(error);
    } finally {
      this.#pumping = false;
    }
    this.#steerReading();
  }

  /** Whether the next message may be looked at now. */
  #mayRead(): boolean {
    const state = this.#state;
    if (state.closed || this.#congested || this.#dispatcher.stalled !== null) return false;
    if ((this.#redo.length > 0 || this.#waiting !== null) && state.works.length > 0) return false;
    if (this.#intake.mustWait) return false;
    if (this.#broken !== null && isAnswerDue(state)) return false;
    return state.active === null || !state.active.congested;
  }

  #steerReading(): void {
    const reading = this.#mayRead();
    if (reading === this.#reading || this.#state.closed) return;
    this.#reading = reading;
    if (reading) this.#parts.client.resumeReading();
    else this.#parts.client.pauseReading();
  }

  /** The COPY may have failed meanwhile, and its connection waited to be given back. */
  #copyMessageEnded(): void {
    const { works, expectsTransaction } = this.#state;
    if (works.length === 0 && !expectsTransaction) this.#drained();
  }

  #copyBegan(work: Work, segment: Segment): void {
    work.copied = true;
    if (work.copyEndsBeforeSync > 0) {
      work.copyEndsBeforeSync--;
      return;
    }
    // A Sync behind the Execute was taken by the COPY: the one that ends the batch is still to come.
    if (work.kind === 'batch' && work.complete) this.#dispatcher.reopen(work, segment);
    if (work.copyEndsAhead > 0) work.copyEndsAhead--;
    else work.copyOpen = true;
    this.#pump();
  }

  #batchBroken(work: Work, segment: Segment): void {
    this.#dispatcher.reopen(work, segment);
    this.#pump();
  }

  // Works.

  #submit(work: Work): void {
    const only = loneControl(work);
    const ours = this.#mayBeOurs(work, only);
    if (ours || work.borrowed !== null) {
      if (this.#state.works.length > 0 && work.complete) {
        this.#waiting = work;
        return;
      }
      if (ours && this.#answerHere(work, only)) return;
    }
    this.#toBackend(work);
  }

  /** Whether the statement is one that pgweir may have to answer by itself. */
  #mayBeOurs(work: Work, only: StatementFacts | null): boolean {
    const state = this.#state;
    if (state.transaction === 'failed' && state.active === null) return true;
    if (isLoneSync(work)) return state.active === null;
    if (only === null) return false;
    if (isOwnSetting(only)) return true;
    if (only.kind === 'deallocate' && state.transaction !== 'failed')
      return only.name !== null && state.statements.get(only.name) !== null;
    if (state.transaction === 'deferred') return true;
    const pipelined = state.works.length > 0 && state.activeIsPrimary;
    return only.kind === 'begin' && state.transaction === 'idle' && !state.pinned && !pipelined && !state.expectsTransaction;
  }

  /** Answers the work without a backend; false when it needs one. Nothing is under way. */
  #answerHere(work: Work, only: StatementFacts | null): boolean {
    const state = this.#state;
    if (isLoneSync(work)) {
      this.#answer(readyFor(state.transaction));
      this.#becameIdle();
      return true;
    }
    if (state.transaction === 'failed' && state.active === null) {
      this.#answerInLostTransaction(work, only);
      return true;
    }
    if (only === null) return false;
    let result: LocalResult | null;
    try {
      result = this.#own.answer(only, state.transaction !== 'idle');
    } catch (error) {
      if (!(error instanceof OperationalError)) throw error;
      this.#refused(work, error);
      return true;
    }
    if (result === null && only.kind === 'deallocate' && only.name !== null && state.statements.get(only.name) !== null) {
      state.statements.remove(only.name);
      result = { tag: 'DEALLOCATE' };
    }
    result ??= deferredAnswer(state, only, work.text, this.#options.reported);
    if (result === null) return false;
    if (state.transaction === 'idle') this.#own.transactionEnded(only.kind === 'commit');
    this.#answer(localReply(work, result, state.transaction));
    this.#becameIdle();
    return true;
  }

  /** The connection of the open transaction was lost: only its end is left. */
  #answerInLostTransaction(work: Work, only: StatementFacts | null): void {
    const state = this.#state;
    const lost = this.#transactionLost;
    this.#transactionLost = null;
    if (only?.kind === 'rollback' || (only?.kind === 'commit' && lost === null)) {
      state.transaction = 'idle';
      this.#own.transactionEnded(false);
      this.#answer(localReply(work, { tag: 'ROLLBACK' }, 'idle'));
      this.#becameIdle();
      return;
    }
    if (only?.kind === 'commit') {
      state.transaction = 'idle';
      this.#own.transactionEnded(false);
    }
    this.#answerError(work, lost ?? new OperationalError('in_failed_transaction', IN_FAILED_TRANSACTION));
  }

  #toBackend(work: Work): void {
    const { deferred, transaction } = this.#state;
    if (transaction === 'deferred' && deferred !== null) {
      work.preamble = deferred.preamble;
      this.#aftermath.touch(deferred.settings.keys());
    }
    if (changesNames(work)) this.#names.changesNamed(work);
    this.#names.settleBorrowed(work);
    this.#dispatcher.submit(work);
  }

  #runWaiting(): void {
    const work = this.#waiting;
    this.#waiting = null;
    if (work !== null) this.#submit(work);
  }

  #runAgain(): void {
    const next = this.#redo.shift();
    if (next === undefined) return;
    if (next.error === null) this.#submit(next.work);
    else {
      if (this.#state.transaction === 'failed' && endsTransaction(next.work)) {
        this.#state.transaction = 'idle';
        this.#own.transactionEnded(false);
      }
      this.#answerError(next.work, next.error);
    }
  }

  /**
   * What was under way comes again, then the work that waited behind it, then what was to come again already: a work may be
   * lost a second time while its successors wait for it.
   */
  #putInFront(): void {
    const behind = this.#dispatcher.takeStalledBehind();
    if (behind !== null) this.#comeBack.push({ work: behind, error: null });
    this.#redo.unshift(...this.#comeBack.splice(0));
  }

  #done(work: Work, status: number, failed: boolean): void {
    const state = this.#state;
    const connection = state.active;
    const now = this.#parts.clock.now();
    const idle = isIdle(status);
    if (failed) this.#names.takeBack(work);
    else this.#names.confirm(work);
    if (connection !== null) this.#aftermath.note(work, connection, failed, work.autocommit && idle);
    this.#account(work, now, failed);
    if (!failed && work.ran && work.facts.some(resetsAll)) this.#own.resetAll(state.transaction !== 'idle');
    if (idle && this.#own.followsTransaction) {
      this.#own.transactionEnded(!failed && state.transaction !== 'failed' && !rollsBack(work));
    }
    state.transaction = idle ? 'idle' : status === TRANSACTION_STATUS.failed ? 'failed' : 'open';
    if (idle) this.#transactionEnded();
    if (state.works.length > 0) {
      // What is next runs from now on.
      this.busySinceMs = now;
      if (this.#intake.holdsBack || this.#broken !== null) this.#pump();
      return;
    }
    state.expectsTransaction = !idle;
    this.#flushNotifications();
    this.#becameIdle();
    if (idle) this.#drained();
    else this.#dispatcher.retry();
    this.#pump();
  }

  #account(work: Work, now: number, failed: boolean): void {
    const state = this.#state;
    const { measures, statements } = this.#parts;
    const seconds = (now - work.startedMs) / 1000;
    if (state.activeIsPrimary) {
      state.lastPrimaryMs = now;
      measures.queryTimePrimary.observe(seconds);
    } else {
      state.lastReplica = work.backend;
      state.lastReplicaMs = now;
      measures.queryTimeReplica.observe(seconds);
    }
    if (!failed && work.facts.some((facts) => facts.changesCatalog)) {
      this.#changesCatalog = true;
      statements.catalogChanged();
    }
  }

  #transactionEnded(): void {
    this.#parts.measures.transactions++;
    // What DDL changed inside the transaction is only now there for others to see.
    if (this.#changesCatalog) this.#parts.statements.catalogChanged();
    this.#changesCatalog = false;
  }

  /** Every reply came and no transaction is open: the connection is given back, once it is known what was left on it. */
  #drained(): void {
    const state = this.#state;
    const connection = state.active;
    if (connection === null || state.settling || state.works.length > 0 || state.expectsTransaction || connection.owed > 0)
      return;
    if (this.#intake.insideCopy || connection.cancelsInFlight > 0) return;
    if (connection.cancelled) {
      connection.cancelled = false;
      this.#settle((done) => Question.ask(connection, ';', (_answer, status) => status !== 0 && done()));
    } else if (this.#aftermath.due) this.#settle((done) => this.#aftermath.ask(connection, done));
    else if (connection.mayHideSettings && !this.#dispatcher.keeps) this.#settle((done) => Aftermath.uncover(connection, done));
    else {
      this.#dispatcher.release();
      this.#dispatcher.releaseHome();
      this.#dispatcher.retry();
    }
  }

  #settle(ask: (done: () => void) => void): void {
    this.#state.settling = true;
    ask(() => {
      this.#state.settling = false;
      if (!this.#state.expectsTransaction) this.#drained();
      this.#pump();
    });
  }

  #again(work: Work): void {
    const state = this.#state;
    const cause = work.retryCause;
    if (cause === STALE_PLAN) {
      for (const { statement } of work.messages) {
        if (statement !== null) state.active?.retireStatement(statement.id, statement.backendName);
      }
    } else if (cause !== null && REFUSED_BY_STANDBY.has(cause)) {
      work.primaryOnly = true;
      for (const text of work.texts()) this.#parts.statements.learn(text, cause);
    } else if (cause !== null) work.failedOn.push(work.backend);
    // One that stood behind the failing one has run, and may have left something.
    if (state.active !== null) this.#aftermath.note(work, state.active, true, false);
    work.startAgain();
    this.#comeBack.push({ work, error: null });
    if (state.works.length > 0) return;
    this.#putInFront();
    state.transaction = 'idle';
    state.expectsTransaction = false;
    this.#drained();
    this.#pump();
  }

  #preludeFailed(work: Work, error: Buffer): void {
    const state = this.#state;
    const connection = state.active;
    const onReplica = !state.activeIsPrimary;
    state.active = null;
    if (connection !== null) {
      if (connection === state.home) state.home = null;
      this.#parts.leases.discard(connection);
    }
    if (onReplica && state.mode === 'split' && !work.primaryOnly) {
      this.#parts.measures.retries.inc('settings');
      work.primaryOnly = true;
      work.startAgain();
      this.#comeBack.push({ work, error: null });
    } else {
      state.transaction = work.preamble === null ? 'idle' : 'failed';
      state.expectsTransaction = false;
      this.#answerError(work, error);
    }
    this.#putInFront();
    this.#pump();
  }

  #redoLost(lost: readonly Work[], farewell: Buffer | null): void {
    const state = this.#state;
    let inside = state.transaction === 'open' || state.transaction === 'failed' || state.expectsTransaction;
    state.expectsTransaction = false;
    const detail = farewell === null ? undefined : decodeErrorFields(farewell, 0, farewell.length).message;
    if (inside) {
      state.transaction = 'failed';
      if (lost.length === 0) this.#transactionLost = connectionLostError(detail);
    }
    const unanswered: Work[] = [];
    for (const work of lost) {
      if ((work.again || (work.retryable && !work.streamed)) && work.attempts < MAX_ATTEMPTS) {
        this.#parts.measures.retries.inc(work.retryCause ?? 'connection lost');
        work.failedOn.push(work.backend);
        work.startAgain();
        this.#comeBack.push({ work, error: null });
      } else {
        this.#comeBack.push({ work, error: lossOf(work, inside, detail) });
        unanswered.push(work);
      }
      if (endsTransaction(work)) inside = false;
    }
    for (const work of unanswered.toReversed()) {
      if (work.streamed) this.#names.takeBack(work);
      else this.#names.takeBackAll(work);
    }
  }

  /** The work could not be brought to a backend. */
  #refused(work: Work, error: Error): void {
    const state = this.#state;
    if (work.preamble !== null || state.transaction === 'deferred') {
      state.transaction = 'failed';
      state.deferred = null;
    }
    this.#names.takeBackAll(work);
    this.#intake.dropPieces();
    // The replies to what is under way come first.
    if (state.works.length > 0) this.#redo.push({ work, error: reportable(error) });
    else this.#answerError(work, reportable(error));
  }

  /** Ends a work with an error: the ReadyForQuery behind it now, or at the Sync that is still to come. */
  #answerError(work: Work, error: ReportableError | Buffer): void {
    if (error instanceof OperationalError) this.#parts.measures.errors.inc(error.kind);
    const message = Buffer.isBuffer(error) ? asError(error) : errorResponseFor(error);
    if (work.complete) {
      this.#answer(Buffer.concat([message, readyFor(this.#state.transaction)]));
      this.#becameIdle();
      return;
    }
    this.#answer(message);
    this.#intake.skipToSync();
  }

  /** A batch that breaks a limit of ours. */
  #failBatch(work: Work, error: OperationalError): void {
    if (work.sent) this.fail(error);
    else this.#refused(work, error);
  }

  #flushNotifications(): void {
    for (const message of this.#notifications.splice(0)) this.#parts.client.send(message, 0, message.length);
  }

  #answer(bytes: Buffer): void {
    this.#parts.client.send(bytes, 0, bytes.length);
  }

  #becameIdle(): void {
    if (this.#state.works.length > 0 || this.#intake.insideBatch) return;
    this.busySinceMs = null;
    this.idleSinceMs = this.#parts.clock.now();
  }
}

const HEADER_BYTES = 5;

/** The work's only statement, unless it is a query or stands among messages that PostgreSQL may refuse. */
function loneControl(work: Work): StatementFacts | null {
  const only = work.complete ? work.onlyStatement : null;
  return only === null || only.kind === 'query' || (work.kind === 'batch' && !isPlainRun(work)) ? null : only;
}

/** A Sync with nothing to end, and nothing in it that PostgreSQL would complain of. */
function isLoneSync(work: Work): boolean {
  return work.kind === 'batch' && work.complete && work.messages.length === 1 && work.messages[0]?.length === HEADER_BYTES;
}
