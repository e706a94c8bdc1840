import type { BackendConnection, ConnectionHolder } from '../backend/connection.ts';
import type { Segment } from '../backend/exchange.ts';
import type { Sharer } from '../backend/lease.ts';
import { encodeParameterStatus } from '../protocol/backend-encoders.ts';
import { TRANSACTION_STATUS } from '../protocol/codes.ts';
import { errorResponseFor, type ReportableError } from '../protocol/error-response.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { assert } from '../util/assert.ts';
import { OperationalError } from '../util/errors.ts';
import { Aftermath } from './aftermath.ts';
import { Dispatcher } from './dispatcher.ts';
import { divided } from './division.ts';
import { Here } from './here.ts';
import { Intake, type IntakeOwner } from './intake.ts';
import { readyFor } from './local-answers.ts';
import { resetsAll, rollsBack, stateLostError } from './losses.ts';
import { Names } from './names.ts';
import { changesNames, isAnswerDue } from './order.ts';
import { Outbox } from './outbox.ts';
import { OwnSettings } from './own-settings.ts';
import type { Origin, SessionOptions, SessionParts } from './parts.ts';
import type { SharedPort } from './ports.ts';
import { SessionStatements } from './prepared-statements.ts';
import { Recovery } from './recovery.ts';
import { begunBehind } from './relocation.ts';
import { isIdle, MAX_ATTEMPTS, Replies, type RepliesOwner } from './replies.ts';
import { Router } from './router.ts';
import { Settling } from './settling.ts';
import { SessionState } from './state.ts';
import type { Work } from './work.ts';

/** What a client may send ahead while it waits for a connection. Ours. */
const MAX_AHEAD_BYTES = 64 * 1024;

/**
 * One client: bytes in, decisions out. Everything happens in calls of `receive` and of the connections that serve it, inside
 * a turn; nothing here waits.
 *
 * The client's messages become works (`work.ts`), works go to a backend through the dispatcher, replies come back through
 * `replies.ts`, what statements leave behind is settled by `aftermath.ts` before a connection is given back.
 */
export class Session implements ConnectionHolder, Sharer {
  readonly #parts: SessionParts;
  /** Settings as the server reported them at login. */
  readonly #reported: ReadonlyMap<string, string>;
  readonly #state: SessionState;
  readonly #intake: Intake;
  readonly #dispatcher: Dispatcher;
  readonly #aftermath: Aftermath;
  readonly #own: OwnSettings;
  readonly #names: Names;
  readonly #origin: Origin;
  readonly #outbox: Outbox;
  readonly #replies: Replies;
  readonly #here: Here;
  readonly #recovery: Recovery;
  readonly #settling: Settling;
  /** A work that is answered here, once everything before it is. */
  #waiting: Work | null = null;
  /** DDL ran in the transaction that is open. */
  #changesCatalog = false;
  /** The client's stream cannot be followed from here on; said when what came before is answered. */
  #broken: ProtocolError | null = null;
  #reading = true;
  #pumping = false;
  #congested = false;
  /** When the work that is under way was received; null while the client is to act. For timeouts. */
  busySinceMs: number | null = null;
  idleSinceMs: number;

  constructor(parts: SessionParts, options: SessionOptions) {
    const { client, leases, topology, statements, clock, measures, policy, random, speeds, lifts } = parts;
    const { mode, limits, reported } = options;
    const own = new OwnSettings(options.own);
    const ofClient = new SessionStatements(parts.registry, limits.statementsPerClient);
    const state = new SessionState(mode, ofClient, options.baseSettings);
    state.lastPrimaryMs = options.origin.lastPrimaryMs;
    const aftermath = new Aftermath(state, statements, measures, clock);
    const names = new Names(state, statements, aftermath, reported);
    const router = new Router(state, { policy, own, clock, random, scanMode: () => names.scanMode(), reported });
    const replies = new Replies(state, client, this.#replied(), measures, limits.heldReplyBytes);
    const dispatcher = new Dispatcher(
      { state, router, leases, topology, clock, measures, holder: this, speeds, lifts, statements },
      {
        heldReplyBytes: limits.heldReplyBytes,
        sessionPool: options.sessionPool,
        fenceWaitMs: policy.fenceWaitMs,
        sharedReads: options.sharedReads,
        preparedReads: options.preparedReads,
      },
      {
        workRefused: (work, error) => this.#refused(work, error),
        resumed: () => this.#pump(),
        abandoned: () => this.#settling.proceed(),
        stateLost: (error) => this.fail(error),
        broken: (error) => this.broken(error),
      },
      replies,
    );
    const intake = new Intake({ state, names, dispatcher }, limits, this.#received());
    const outbox = new Outbox(client, state, measures, {
      answered: () => this.#becameIdle(),
      skipToSync: () => intake.skipToSync(),
    });
    const refuse = (work: Work, error: OperationalError) => this.#refused(work, error);
    this.#parts = parts;
    this.#replies = replies;
    this.#origin = options.origin;
    this.#reported = reported;
    this.#state = state;
    this.#intake = intake;
    this.#dispatcher = dispatcher;
    this.#aftermath = aftermath;
    this.#own = own;
    this.#names = names;
    this.#outbox = outbox;
    this.#here = new Here({ state, own, names, outbox, reported, refuse });
    this.#recovery = new Recovery({ state, names, aftermath, dispatcher, own, outbox, leases, statements, measures, clock });
    this.#settling = new Settling({ state, aftermath, dispatcher, intake, leases, onAnswer: () => this.#pump() });
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

  /** The client has closed its half of the connection. PostgreSQL answers what it said before, and so do we. */
  clientEnded(): void {
    if (this.#state.closed) return;
    this.#intake.end();
    this.#pump();
  }

  /**
   * Finds out about a client that has closed its half whether it still listens: it is told again what it knows, which is
   * allowed at any time, and the system refuses that of one that is gone.
   */
  probeEnded(): void {
    const [oldest] = this.#state.works;
    if (!this.#intake.ended || this.#state.closed || oldest?.streamed === true) return;
    this.#outbox.say(encodeParameterStatus('server_version', this.#reported.get('server_version') ?? ''));
  }

  /** What a cancel request of the client is to reach: the connection that works for it, or null. */
  cancel(): BackendConnection | null {
    if (this.#state.shared !== null) return this.#cancelShared(this.#state.shared);
    if (this.#state.works.length > 0) return this.#state.active;
    const stalled = this.#dispatcher.abandonStalled();
    if (stalled !== null) {
      this.#refused(stalled, new OperationalError('query_canceled', 'canceling statement due to user request'));
      this.#pump();
    }
    return null;
  }

  /**
   * A read that runs has its connection to itself from now on, so that the request finds no other. One that waits for others
   * is not begun: it is answered at once, those behind it elsewhere.
   */
  #cancelShared(shared: SharedPort): BackendConnection | null {
    if (shared.serves(this.#replies)) {
      shared.leaveToHead('cancel');
      return this.#state.active;
    }
    shared.drop(this.#replies);
    this.#moved(new OperationalError('query_canceled', 'canceling statement due to user request'));
    return null;
  }

  /** The client is gone, or is to go: everything it held is given back or closed. */
  close(): void {
    const state = this.#state;
    if (state.closed) return;
    state.closed = true;
    state.lessee.gone = true;
    this.#dispatcher.abandonStalled();
    const [running] = state.works;
    if (running !== undefined && state.shared?.serves(this.#replies)) this.#learnSpeed(running, this.#parts.clock.now(), true);
    state.shared?.drop(this.#replies);
    state.shared = null;
    const { active, home } = state;
    state.active = null;
    state.home = null;
    state.statements.clear();
    this.#settling.leave({ active, home }, this.#congested);
  }

  /** Reports an error of ours and ends the connection. */
  fail(error: ReportableError): void {
    if (this.#state.closed) return;
    this.#outbox.say(errorResponseFor(error));
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
    if (this.#state.shared?.serves(this.#replies)) this.#state.shared.leaveToHead('slow client');
    this.#state.active?.pause();
    this.#steerReading();
  }

  notification(connection: BackendConnection, slice: Buffer, start: number, end: number): void {
    const { active, works } = this.#state;
    if (works.length === 0 || connection === active) this.#parts.client.send(slice, start, end);
    else if (!this.#outbox.keep(slice, start, end))
      this.fail(new OperationalError('too_many_waiters', 'too many notifications wait for the client to read'));
  }

  connectionLost(connection: BackendConnection, farewell: Buffer | null): void {
    const state = this.#state;
    const wasActive = connection === state.active;
    if (wasActive && this.#aftermath.lost(state.transaction === 'open' || state.transaction === 'failed')) {
      state.pins.add('state unknown');
    }
    if (connection === state.home || wasActive) this.#aftermath.letGo();
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
    const lost = this.#recovery.takeLost();
    const ended = lost.some((work) => work.ended);
    if (ended || (lost.some((work) => work.streamed) && connection.cutInside)) {
      if (ended && farewell !== null) this.#outbox.say(farewell);
      this.close();
      this.#parts.client.end();
      return;
    }
    if (wasPinned) {
      this.fail(stateLostError(state.pins));
      return;
    }
    this.#recovery.settleLost(lost, farewell);
    this.#pump();
  }

  sharedLost(connection: BackendConnection, farewell: Buffer | null): void {
    const state = this.#state;
    if (state.activeIsPrimary) state.lastPrimaryMs = this.#parts.clock.now();
    this.#parts.topology.suspect(connection.backend, 'connection lost');
    state.shared = null;
    state.works.length = 0;
    const lost = this.#recovery.takeLost();
    if (lost.some((work) => work.streamed) && connection.cutInside) {
      this.close();
      this.#parts.client.end();
      return;
    }
    this.#recovery.settleLost(lost, farewell);
    this.#pump();
  }

  sharedMoved(): void {
    this.#moved(null);
  }

  sharedBecameLease(connection: BackendConnection): void {
    const state = this.#state;
    state.shared = null;
    state.active = connection;
    state.spoilt = false;
    connection.holder = this;
    if (this.#congested) connection.pause();
  }

  /** What was under way on a shared connection is run elsewhere; the first fails if `error` says how. */
  #moved(error: OperationalError | null): void {
    const state = this.#state;
    state.shared = null;
    this.#recovery.moved(state.works.splice(0), error);
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
    if (connection === this.#state.active && this.#state.works.length === 0) this.#settling.proceed();
  }

  // The client's messages.

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#mayRead()) {
        if (this.#recovery.pending) this.#submitNext(this.#recovery.next());
        else if (this.#waiting !== null) this.#submitNext(this.#takeWaiting());
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
    if (state.closed || this.#congested || this.#dispatcher.stalled !== null || this.#dispatcher.holds) return false;
    if ((this.#recovery.pending || this.#waiting !== null) && state.works.length > 0) return false;
    if (this.#intake.mustWait) return false;
    if (this.#broken !== null && isAnswerDue(state)) return false;
    const connection = state.active ?? state.shared?.connection ?? null;
    return connection === null || !connection.congested;
  }

  /** Who waits for a connection is read on, a little, so that it is noticed when it leaves. */
  #mayReadAhead(): boolean {
    const waits = this.#dispatcher.stalled !== null && this.#state.works.length === 0;
    return waits && !this.#state.closed && !this.#congested && this.#intake.pending < MAX_AHEAD_BYTES;
  }

  #steerReading(): void {
    const reading = this.#mayRead() || this.#mayReadAhead();
    if (reading === this.#reading || this.#state.closed) return;
    this.#reading = reading;
    if (reading) this.#parts.client.resumeReading();
    else this.#parts.client.pauseReading();
  }

  /** The COPY may have failed meanwhile, and its connection waited to be given back. */
  #copyMessageEnded(): void {
    const { works, expectsTransaction } = this.#state;
    if (works.length === 0 && !expectsTransaction) this.#settling.proceed();
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

  #received(): IntakeOwner {
    return {
      workReceived: (work) => this.#submit(work),
      workBroken: (work, error) => this.#failBatch(work, error),
      skippedToSync: () => this.#outbox.answer(readyFor(this.#state.transaction)),
      nothing: () => this.#becameIdle(),
      copyMessageEnded: () => this.#copyMessageEnded(),
      left: () => {
        this.close();
        this.#parts.client.end();
      },
      busy: () => {
        this.busySinceMs ??= this.#parts.clock.now();
        return this.busySinceMs;
      },
    };
  }

  #replied(): RepliesOwner {
    return {
      workDone: (work, status, failed) => this.#done(work, status, failed),
      workAgain: (work) => this.#again(work),
      preludeFailed: (work, refused) => this.#preludeFailed(work, refused),
      swallowed: () => this.#settling.proceed(),
      copyBegan: (work, segment) => this.#copyBegan(work, segment),
      batchBroken: (work, segment) => this.#batchBroken(work, segment),
      replyIsLong: () => this.#state.shared?.leaveToHead('long reply'),
      workLost: (work) => this.#recovery.lost(work),
    };
  }

  // Works.

  #submit(work: Work): void {
    const head = divided(work, this.#state, this.#names);
    if (head !== null) {
      this.#waiting = head.rest;
      this.#toBackend(head);
      return;
    }
    const here = this.#here.mayAnswer(work);
    if (here || work.borrowed !== null) {
      if (this.#state.works.length > 0 && work.complete) {
        this.#waiting = work;
        return;
      }
      if (here && this.#here.answer(work)) return;
    }
    this.#toBackend(work);
  }

  #toBackend(work: Work): void {
    const { deferred, transaction } = this.#state;
    if (transaction === 'deferred' && deferred !== null) {
      work.begins = deferred;
      this.#aftermath.touch(deferred.settings.keys());
    }
    if (changesNames(work)) this.#names.changesNamed(work);
    this.#names.settleBorrowed(work);
    this.#dispatcher.submit(work);
  }

  #takeWaiting(): Work | null {
    const work = this.#waiting;
    this.#waiting = null;
    return work?.isRestOf?.succeeded === false ? null : work;
  }

  #submitNext(work: Work | null): void {
    if (work !== null) this.#submit(work);
  }

  #done(work: Work, status: number, failed: boolean): void {
    const state = this.#state;
    const connection = state.active;
    const now = this.#parts.clock.now();
    const idle = isIdle(status);
    if (failed) this.#names.takeBack(work);
    else this.#names.confirm(work);
    if (failed && work.endsInFlush) this.#intake.skipToSync();
    work.succeeded = !failed;
    if (connection !== null) {
      this.#aftermath.note(work, connection, failed, work.autocommit && idle);
      if (state.activeIsPrimary) this.#aftermath.noteSequence(work, connection, this.#parts.leases);
    }
    this.#account(work, now, failed);
    if (work.retryable) this.#learnSpeed(work, now, failed);
    if (work.failedLifted && !failed && work.facts[0] !== undefined) this.#parts.lifts.leave(work.facts[0]);
    if (!failed && work.ran && work.facts.some(resetsAll)) this.#own.resetAll(state.transaction !== 'idle');
    if (
      idle &&
      state.transaction !== 'idle' &&
      work.onlyStatement !== null &&
      (state.transaction === 'failed' || rollsBack(work))
    ) {
      this.#aftermath.rolledBack();
    }
    if (idle && this.#own.followsTransaction) {
      this.#own.transactionEnded(!failed && state.transaction !== 'failed' && !rollsBack(work));
    }
    state.transaction = idle ? 'idle' : status === TRANSACTION_STATUS.failed ? 'failed' : 'open';
    state.begun = state.activeIsPrimary || state.optimistic !== null ? null : begunBehind(state.begun, work, failed, !idle);
    if (idle) {
      state.optimistic = null;
      this.#transactionEnded();
    }
    if (failed && work.rest !== null) this.#outbox.say(readyFor(state.transaction));
    if (state.works.length > 0) {
      // What is next runs from now on.
      this.busySinceMs = now;
      for (const next of state.works) next.sentMs = now;
      if (this.#intake.holdsBack || this.#broken !== null) this.#pump();
      return;
    }
    state.expectsTransaction = !idle;
    this.#leaveShared();
    this.#outbox.sendKept();
    this.#becameIdle();
    if (idle) this.#settling.proceed();
    else this.#dispatcher.retry();
    this.#pump();
  }

  #account(work: Work, now: number, failed: boolean): void {
    const state = this.#state;
    const { measures, statements } = this.#parts;
    const seconds = (now - work.startedMs) / 1000;
    if (state.activeIsPrimary) {
      state.lastPrimaryMs = now;
      this.#origin.lastPrimaryMs = now;
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

  #learnSpeed(work: Work, now: number, failed: boolean): void {
    const { shared } = this.#state;
    const facts = work.facts[0];
    if (facts === undefined || work.facts.length > 1) return;
    const { speeds, leases, clock } = this.#parts;
    const { sentMs, backend, replyBytes: bytes } = work;
    const arrivedAfterMs = clock.arrivedAfter();
    const atLeastMs = shared?.answered({ sentMs, arrivedAfterMs, nowMs: now }) ?? Math.max(0, arrivedAfterMs - sentMs);
    if (failed) speeds.noteFailed(facts, atLeastMs);
    else if (shared !== null) speeds.noteShared(facts, atLeastMs, bytes);
    else speeds.noteLeased(facts, { backend, ms: now - sentMs, atLeastMs, bytes, underWay: leases.load(backend) });
  }

  #leaveShared(): void {
    this.#state.shared?.leave(this.#replies);
    this.#state.shared = null;
  }

  #again(work: Work): void {
    if (!this.#recovery.again(work)) return;
    this.#leaveShared();
    this.#settling.proceed();
    this.#pump();
  }

  #preludeFailed(work: Work, refused: boolean): void {
    const state = this.#state;
    const connection = state.active;
    const first = state.works.shift();
    // One with a preamble is sent only where nothing is under way.
    assert(first === work, 'a work went ahead of one with a preamble');
    if (state.open === work) state.open = null;
    this.#intake.dropPieces();
    if (this.#aftermath.lost(state.transaction !== 'idle' || work.begins !== null)) state.pins.add('state unknown');
    this.#aftermath.letGo();
    const wasPinned = state.pinned && (state.home === null || connection === state.home);
    state.active = null;
    if (connection !== null) {
      if (connection === state.home) state.home = null;
      this.#parts.leases.discard(connection);
    }
    if (wasPinned) {
      this.fail(stateLostError(state.pins));
      return;
    }
    this.#recovery.preludeFailed(work, refused, !state.activeIsPrimary);
    this.#pump();
  }

  /** The work could not be brought to a backend. */
  #refused(work: Work, error: Error): void {
    this.#intake.dropPieces();
    this.#recovery.refused(work, error);
  }

  /** A batch that breaks a limit of ours. */
  #failBatch(work: Work, error: OperationalError): void {
    if (work.sent) this.fail(error);
    else this.#refused(work, error);
  }

  #becameIdle(): void {
    if (this.#state.works.length > 0 || this.#intake.insideBatch) return;
    this.busySinceMs = null;
    this.idleSinceMs = this.#parts.clock.now();
  }
}
