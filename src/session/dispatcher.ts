import type { BackendConnection, ConnectionHolder } from '../backend/connection.ts';
import type { Segment, SegmentSink } from '../backend/exchange.ts';
import type { LeaseWaiter, Sharer } from '../backend/lease.ts';
import { Question } from '../backend/question.ts';
import { settingsPrelude } from '../backend/settings-prelude.ts';
import { OPTIMISTIC_TRANSACTION } from '../routing/decide.ts';
import type { Route } from '../routing/route.ts';
import { routeTo } from '../routing/routes.ts';
import type { Clock } from '../util/clock.ts';
import { OperationalError } from '../util/errors.ts';
import type { Measures } from '../util/measures.ts';
import type { SettingsSet } from '../util/settings-set.ts';
import { endsOrBegins, expectTransaction, isRead, mayEndTransaction } from './expectation.ts';
import { leavesHomeFor, wishFor } from './lease-wish.ts';
import type { LiftedReads } from './lifted-reads.ts';
import { mayRestoreElsewhere, resetsSetting, stateLostError } from './losses.ts';
import { beginningOf, HAS_QUERIED, leaveReplica, mayStayOnReplica } from './optimism.ts';
import type { LeasePort, SharedPort, StatementPort, TopologyPort } from './ports.ts';
import { needsPrimary, relocated } from './relocation.ts';
import type { Router } from './router.ts';
import { Sender } from './sender.ts';
import { asksForSequence, meetsSequencesOfOthers } from './sequence-values.ts';
import type { ShapeSpeeds } from './shape-speeds.ts';
import type { SessionState } from './state.ts';
import { isUnreachable, noPrimary, noReplica, noSequenceValue } from './unavailable.ts';
import type { ClientMessage, Work } from './work.ts';

/** What the dispatcher needs of the session above it. */
export interface DispatcherOwner {
  /** The work cannot run: the client gets the error, and the session goes on. */
  workRefused(work: Work, error: Error): void;
  /** A stalled work was sent, or refused: the client's next messages may be looked at. */
  resumed(): void;
  /** The active connection was made ready for a work that is not wanted any more. */
  abandoned(): void;
  /** The connection that the session was pinned to is gone: the session ends with this error. */
  stateLost(error: OperationalError): void;
  /** What came from elsewhere than the session's own events has failed by a defect of ours. */
  broken(error: unknown): void;
}

export interface DispatcherOptions {
  readonly heldReplyBytes: number;
  readonly sessionPool: boolean;
  readonly fenceWaitMs: number;
  readonly sharedReads: boolean;
  readonly preparedReads: boolean;
}

/** Reads of one session that are under way on a shared connection at most: a long pipeline is better off by itself. Ours. */
const MAX_SHARED_WORKS = 4;

/**
 * Brings works to backend connections: decides where, gets a lease, sends. At most one work is *stalled*, waiting for a
 * lease, for a replica to be fresh enough, or for the replies of what is under way elsewhere; meanwhile the client's later
 * messages are not looked at, so replies always come in order.
 */
export class Dispatcher {
  readonly #state: SessionState;
  readonly #router: Router;
  readonly #leases: LeasePort;
  readonly #topology: TopologyPort;
  readonly #clock: Clock;
  readonly #measures: Measures;
  readonly #holder: ConnectionHolder & Sharer;
  readonly #speeds: ShapeSpeeds;
  readonly #lifts: LiftedReads;
  readonly #statements: StatementPort;
  readonly #options: DispatcherOptions;
  readonly #owner: DispatcherOwner;
  readonly #sender: Sender;
  #stalled: Work | null = null;
  #giveUp: (() => void) | null = null;
  /** The segment of the work that is still being sent. */
  #segment: Segment | null = null;

  constructor(
    parts: {
      readonly state: SessionState;
      readonly router: Router;
      readonly leases: LeasePort;
      readonly topology: TopologyPort;
      readonly clock: Clock;
      readonly measures: Measures;
      /** Hears of what happens to connections while they are held. */
      readonly holder: ConnectionHolder & Sharer;
      readonly speeds: ShapeSpeeds;
      readonly lifts: LiftedReads;
      readonly statements: StatementPort;
    },
    options: DispatcherOptions,
    owner: DispatcherOwner,
    sink: SegmentSink,
  ) {
    this.#state = parts.state;
    this.#router = parts.router;
    this.#leases = parts.leases;
    this.#topology = parts.topology;
    this.#clock = parts.clock;
    this.#measures = parts.measures;
    this.#holder = parts.holder;
    this.#speeds = parts.speeds;
    this.#lifts = parts.lifts;
    this.#statements = parts.statements;
    this.#options = options;
    this.#owner = owner;
    this.#sender = new Sender(sink, () => owner.resumed());
  }

  /** A part of a work waits to be sent: what comes behind it must wait, too. */
  get holds(): boolean {
    return this.#sender.holds;
  }

  get stalled(): Work | null {
    return this.#stalled;
  }

  /** Sends the work now, or stalls it. */
  submit(work: Work): void {
    const { active, home, shared } = this.#state;
    if (shared !== null) this.#onShared(work, shared);
    else if (active !== null) this.#onActive(work, active);
    else if (home !== null && (this.#state.pinned || this.#state.transaction === 'open')) {
      work.route = routeTo(this.#state.homeIsPrimary ? 'primary' : 'replica', 'pinned');
      this.#activate(home, this.#state.homeIsPrimary);
      this.#send(work, home);
    } else this.#choose(work, false);
  }

  /** Sends a further message of the open work. */
  append(work: Work, message: ClientMessage): void {
    const connection = this.#state.active;
    if (connection === null || this.#segment === null) return;
    this.#sender.noteSettings(connection, work, work.factsCounted);
    this.#sender.message(connection, work, this.#segment, message);
    expectTransaction(this.#state, work);
    if (work.complete) this.#finish(work, connection);
  }

  /** Bytes that follow a message whose first piece was sent, or that belong to a COPY. */
  continue(slice: Buffer, start: number, end: number): void {
    this.#state.active?.write(slice, start, end);
  }

  /** The work's Sync was taken by a COPY that began before it: another will come. */
  reopen(work: Work, segment: Segment): void {
    work.complete = false;
    this.#state.open = work;
    this.#segment = segment;
  }

  /** What was under way is done, and the lease given back: the stalled work may go. */
  retry(): void {
    const work = this.#stalled;
    if (work === null || this.#giveUp !== null) return;
    this.#stalled = null;
    this.submit(work);
  }

  /** The connection that the stalled work waited behind is gone: takes it out, to be submitted again. */
  takeStalledBehind(): Work | null {
    if (this.#giveUp !== null) return null;
    const work = this.#stalled;
    this.#stalled = null;
    return work;
  }

  /** The client asks to cancel, or is gone: nobody waits any more. Returns the work that was stalled. */
  abandonStalled(): Work | null {
    const work = this.#stalled;
    this.#stalled = null;
    this.#giveUp?.();
    this.#giveUp = null;
    return work;
  }

  /** The session keeps the active connection when it is not needed any more. */
  get keeps(): boolean {
    const { pinned, activeIsPrimary, keepsSequences } = this.#state;
    return pinned || (activeIsPrimary && (this.#options.sessionPool || keepsSequences));
  }

  /** Gives the active connection back, to the pool or to the session's keeping. */
  release(): void {
    const state = this.#state;
    const connection = state.active;
    if (connection === null) return;
    state.active = null;
    this.#segment = null;
    if (state.spoilt) {
      state.spoilt = false;
      this.#leases.discard(connection);
      return;
    }
    if (connection === state.home) return;
    if (this.keeps) {
      state.home = connection;
      state.homeIsPrimary = state.activeIsPrimary;
      return;
    }
    connection.holder = null;
    this.#leases.give(connection);
  }

  /** Lets go of the pinned connection after its last pin was lifted. */
  releaseHome(): void {
    const state = this.#state;
    const home = state.home;
    if (home === null || state.pinned || state.keepsSequences || this.#options.sessionPool) return;
    state.home = null;
    if (home === state.active) return;
    home.holder = null;
    this.#leases.give(home);
  }

  #onActive(work: Work, active: BackendConnection): void {
    const state = this.#state;
    const last = state.works.at(-1);
    // Behind a preamble that may yet fail nothing else is sent: if it fails, only what is refused by the server itself may
    // already be on its way.
    if (last !== undefined && (last.guard !== null || this.#resetsToAnother(last, active))) {
      this.#stall(work);
      return;
    }
    if (last !== undefined && meetsSequencesOfOthers(work, active, state, this.#leases.sequenceValuesAsked)) {
      this.#stall(work);
      return;
    }
    // Behind what may have to be run again only what may be, too.
    if (last !== undefined && state.works.some(({ lifted }) => lifted !== null) && this.#sharedCost(work) === null) {
      this.#stall(work);
      return;
    }
    // What is under way ends the transaction on the replica: what comes behind it is for the replica only by chance.
    if (last !== undefined && !state.activeIsPrimary && !state.expectsTransaction && state.transaction !== 'idle') {
      this.#stall(work);
      return;
    }
    // A transaction that is only expected may not come about: then a write has no business on a replica.
    const expected = state.expectsTransaction && (state.activeIsPrimary || (isRead(work) && !endsOrBegins(work)));
    const inTransaction = expected || state.transaction === 'open' || state.transaction === 'failed';
    const pinned = state.pinned && active === state.home;
    if (state.optimistic !== null && inTransaction && !mayStayOnReplica(work, state.transaction === 'failed')) {
      if (state.works.length > 0) this.#stall(work);
      else this.#moveToPrimary(work, active);
      return;
    }
    if (inTransaction && !state.activeIsPrimary && state.mode === 'split' && this.#relocates(work, active)) return;
    if (inTransaction || pinned) {
      work.route = routeTo(state.activeIsPrimary ? 'primary' : 'replica', inTransaction ? 'in transaction' : 'pinned');
      this.#send(work, active);
      return;
    }
    // The lease is still held, for replies or for questions of ours, but the session is between transactions.
    const isAny = wishFor(work, state.settings, state.activeIsPrimary) === 'any';
    const route = isAny ? this.#goesOnAt(active.backend, work) : null;
    if (route === null) {
      this.#stall(work);
      return;
    }
    work.route = route;
    this.#send(work, active);
  }

  /** How a work outside of transactions goes where the session is already; null when it does not belong there. */
  #goesOnAt(backend: number, work: Work): Route | null {
    const { activeIsPrimary, works } = this.#state;
    const route = this.#router.intent(work);
    if (!activeIsPrimary) {
      return route.target === 'replica' && this.#router.mayRead(this.#topology.view(), backend) ? route : null;
    }
    if (route.target === 'primary') return route;
    // A pipeline that is under way on the primary goes on there: waiting to move would cost a round trip.
    return works.length > 0 ? PIPELINED : null;
  }

  /** Takes the work to the primary with its transaction if it is one for that; false when it stays. */
  #relocates(work: Work, active: BackendConnection): boolean {
    const state = this.#state;
    const beginning = relocated(state, work);
    if (state.works.length > 0) {
      // What is under way may be the first query, or fail.
      if (beginning === null && (state.begun !== null || !needsPrimary(work))) return false;
      this.#stall(work);
      return true;
    }
    if (beginning === null) return false;
    state.optimistic = beginning;
    this.#beginAnew(work, active, beginning.failed);
    return true;
  }

  /** The transaction was tried on a replica, and cannot go on there. */
  #moveToPrimary(work: Work, active: BackendConnection): void {
    this.#state.optimistic?.preamble.push(HAS_QUERIED);
    this.#beginAnew(work, active, this.#state.transaction === 'failed');
  }

  #beginAnew(work: Work, active: BackendConnection, failed: boolean): void {
    const state = this.#state;
    state.active = null;
    state.begun = null;
    this.#leases.rollBack(active);
    leaveReplica(state, [], failed);
    work.begins = state.deferred;
    this.#toPrimary(work, routeTo('primary', 'moved to the primary'));
  }

  /** Behind the work the connection has settings that it was opened with, which are not those that the session began with. */
  #resetsToAnother(work: Work, active: BackendConnection): boolean {
    const { entries } = this.#state.baseSettings;
    if (active.loginSettings.equals(this.#state.baseSettings)) return false;
    for (const [name, value] of entries) {
      if (active.loginSettings.entries.get(name) !== value && resetsSetting(work, name)) return true;
    }
    return false;
  }

  #choose(work: Work, waited: boolean): void {
    const intent = this.#router.intent(work);
    if (intent.target === 'primary') this.#toPrimary(work, intent);
    else this.#toReplica(work, intent, waited);
  }

  #toPrimary(work: Work, route: Route): void {
    work.route = route;
    if (leavesHomeFor(work, this.#state)) this.#leaveHome();
    const { home } = this.#state;
    const { primary } = this.#topology.view();
    if (home !== null) {
      this.#activate(home, true);
      this.#send(work, home);
    } else if (primary === null) this.#refuse(work, noPrimary());
    else if (asksForSequence(work)) this.#whereSequencesAre(work, primary);
    else this.#lease(work, primary, true);
  }

  /** Unless there would be no other in its place. */
  #leaveHome(): void {
    const { home } = this.#state;
    if (home === null || this.#topology.view().primary === null || this.#leases.areWaiting(home.backend)) return;
    this.#state.home = null;
    // Not given back: where the pool is full, the new one takes its place.
    this.#leases.discard(home);
  }

  /** Where the session advanced a sequence; if it never did, PostgreSQL is to say so. */
  #whereSequencesAre(work: Work, primary: number): void {
    this.#leases.noteSequenceValuesAsked();
    const { lastSequence } = this.#state;
    if (lastSequence === null) this.#lease(work, primary, true);
    else if (this.#leases.takeAgain(lastSequence.connection, lastSequence.lease)) {
      this.#activate(lastSequence.connection, true);
      this.#send(work, lastSequence.connection);
    } else this.#refuse(work, noSequenceValue());
  }

  #toReplica(work: Work, intent: Route, waited: boolean): void {
    const view = this.#topology.view();
    const chosen = this.#router.pick(view, this.#leases);
    if (chosen >= 0) {
      work.route = intent;
      this.#lease(work, chosen, false);
      return;
    }
    const route = this.#router.withoutWaiting(intent, work, view);
    const orPrimary = route.target === 'primary' && view.primary !== null;
    if (!waited && this.#options.fenceWaitMs > 0 && this.#awaitFresh(work, orPrimary)) return;
    if (route.target === 'primary') this.#toPrimary(work, route);
    else {
      work.route = route;
      this.#refuse(work, noReplica(route.reason));
    }
  }

  /** Waits for some replica to be fresh enough; false when it does not. */
  #awaitFresh(work: Work, orPrimary: boolean): boolean {
    const wait = this.#topology.awaitFresh(
      this.#router.fenceMs(work),
      { ms: this.#options.fenceWaitMs, orPrimary },
      this.#kept((reached) => {
        this.#giveUp = null;
        if (this.#stalled !== work) return;
        this.#stalled = null;
        this.#measures.fenceWaits.inc(reached ? 'reached' : 'timeout');
        this.#choose(work, true);
        if (this.#stalled === null) this.#owner.resumed();
      }),
    );
    if (typeof wait === 'string') {
      this.#measures.fenceWaits.inc(wait);
      return false;
    }
    this.#stall(work);
    this.#giveUp = wait;
    return true;
  }

  /** Reads of the session are under way on a shared connection: what is no such read waits for their replies. */
  #onShared(work: Work, shared: SharedPort): void {
    const state = this.#state;
    const { connection } = shared;
    const fits = shared.open && connection.settings === state.settings && state.works.length < MAX_SHARED_WORKS;
    if (fits && this.#sharedCost(work) !== null) {
      const route = this.#goesOnAt(connection.backend, work);
      if (route !== null) {
        work.route = route;
        this.#sendShared(work, shared);
        return;
      }
    }
    this.#stall(work);
  }

  /** What a work costs that may be pipelined with those of others, in ms; null when it may not. */
  #sharedCost(work: Work): number | null {
    const facts = work.facts[0];
    if (!this.#options.sharedReads || facts === undefined || work.facts.length > 1 || !standsAlone(work)) return null;
    const { transaction, expectsTransaction, pinned } = this.#state;
    return transaction === 'idle' && !expectsTransaction && !pinned ? this.#speeds.sharedCost(facts) : null;
  }

  /** Sends the work on a connection that others use at the same time; false when there is none. */
  #share(work: Work, backend: number, primary: boolean): boolean {
    const costMs = this.#sharedCost(work);
    work.mayLift = false;
    if (costMs === null) return false;
    const shared = this.#leases.share(backend, this.#state.settings, costMs);
    if (shared === null) {
      // By itself, it is the same read.
      work.mayLift = this.#mayLift(work);
      return false;
    }
    shared.join(this.#sender.sink, this.#holder);
    this.#state.shared = shared;
    this.#state.activeIsPrimary = primary;
    this.#sendShared(work, shared);
    return true;
  }

  #sendShared(work: Work, shared: SharedPort): void {
    const { connection } = shared;
    work.shared = true;
    this.#measures.sharedReads++;
    work.mayLift = this.#mayLift(work);
    this.#put(work, connection, null);
  }

  /**
   * To be asked of what may be shared: if it fails as a prepared statement, it is run again as it is. Of functions that are
   * declared immutable and yet ask who acts (in a view, a policy) a plan would keep the answer.
   */
  #mayLift(work: Work): boolean {
    return this.#options.preparedReads && work.kind === 'query' && !work.failedLifted && this.#state.settings.isAnonymous;
  }

  #lease(work: Work, backend: number, primary: boolean): void {
    if (this.#share(work, backend, primary)) return;
    const wish = wishFor(work, this.#state.settings, primary);
    const connection = this.#leases.take(backend, this.#state.settings, wish, this.#state.lessee);
    if (connection !== null) {
      this.#activate(connection, primary);
      this.#send(work, connection);
      return;
    }
    this.#stall(work);
    const since = this.#clock.now();
    const waiter: LeaseWaiter = {
      granted: this.#kept((granted) => {
        this.#giveUp = null;
        this.#stalled = null;
        work.sentMs = this.#clock.now();
        this.#measures.waitTime.observe((work.sentMs - since) / 1000);
        this.#activate(granted, primary);
        this.#send(work, granted);
        if (this.#stalled === null) this.#owner.resumed();
      }),
      refused: this.#kept((error) => this.#leaseRefused(work, backend, primary, error)),
    };
    const giveUp = this.#leases.wait(backend, waiter, wish);
    // It may have been refused before `wait` returned.
    if (this.#stalled === work && this.#giveUp === null) this.#giveUp = giveUp;
  }

  /** Calls that come in the middle of what others do: an error in them is kept from those. */
  #kept<T>(call: (value: T) => void): (value: T) => void {
    return (value) => {
      try {
        call(value);
      } catch (error) {
        this.#owner.broken(error);
      }
    };
  }

  /** A replica that cannot be had is not the end: another is asked, then the primary. */
  #leaseRefused(work: Work, backend: number, primary: boolean, error: Error): void {
    this.#giveUp = null;
    this.#stalled = null;
    this.#topology.suspect(backend, 'no connection');
    const { primary: now, backends } = this.#topology.view();
    if (primary && now !== null && now !== backend) this.#toPrimary(work, work.route ?? routeTo('primary', 'pinned'));
    else if (primary) this.#refuse(work, isUnreachable(error) ? noPrimary(error.message) : error);
    else if (work.failedOn.length >= backends.length) this.#refuse(work, error);
    else {
      this.#measures.retries.inc('no connection');
      work.failedOn.push(backend);
      this.#choose(work, true);
    }
    if (this.#stalled === null) this.#owner.resumed();
  }

  #activate(connection: BackendConnection, primary: boolean): void {
    this.#state.active = connection;
    this.#state.activeIsPrimary = primary;
    this.#state.begun = null;
    this.#state.spoilt = false;
    connection.lessee = this.#state.lessee;
    connection.holder = this.#holder;
  }

  #send(work: Work, connection: BackendConnection): void {
    const state = this.#state;
    let settings: SettingsSet | null = state.settings;
    if (connection.settings.equals(settings)) settings = null;
    else if (state.works.length > 0) {
      // What is under way may leave a transaction open, in which they could not be brought over.
      this.#stall(work);
      return;
    } else if (state.transaction === 'open' || state.transaction === 'failed') settings = null;
    else if (!work.whole || work.borrowed !== null || mayEndTransaction(work)) {
      this.#settingsFirst(work, connection, settings);
      return;
    }
    this.#put(work, connection, settings);
  }

  #put(work: Work, connection: BackendConnection, settings: SettingsSet | null): void {
    const state = this.#state;
    this.#prepare(work, connection);
    const facts = work.facts[0];
    if (work.mayLift && settings === null && facts !== undefined) {
      work.lifted = this.#lifts.lift(facts, work.text, this.#statements.catalog());
    }
    const route = work.route;
    if (route !== null) this.#measures.routed.inc(route.target, route.reason);
    const discards = meetsSequencesOfOthers(work, connection, state, this.#leases.sequenceValuesAsked);
    const where = state.transaction === 'open' && work.begins === null ? 'inside' : 'outside';
    const segment = this.#sender.begin(connection, work, settings, discards ? where : null);
    this.#segment = segment;
    state.works.push(work);
    state.open = work.complete ? null : work;
    if (work.lifted !== null) {
      this.#measures.preparedReads++;
      this.#sender.lifted(connection, work, segment, work.lifted);
    } else for (const message of work.messages) this.#sender.message(connection, work, segment, message);
    if (work.complete) this.#finish(work, connection);
    else if (!work.retryable) work.messages.length = 0;
    this.#topology.noteTraffic();
  }

  /** Settles, before the work is sent, how its reply will be treated and what it does to the session. */
  #prepare(work: Work, connection: BackendConnection): void {
    const state = this.#state;
    const outside = state.transaction === 'idle' && !state.expectsTransaction;
    work.backend = connection.backend;
    const beginsOptimistic = work.route === OPTIMISTIC_TRANSACTION;
    if (beginsOptimistic) state.optimistic = beginningOf(work);
    work.beginsOnTrust = beginsOptimistic && state.optimistic?.modes.isolation === undefined;
    if (state.transaction === 'deferred') {
      state.transaction = state.deferred?.failed === true ? 'failed' : 'open';
      state.deferred = null;
      state.expectsTransaction = true;
    }
    work.autocommit = outside && !state.pinned;
    work.optimistic = state.optimistic !== null && state.transaction !== 'failed';
    const alone = work.optimistic || (work.autocommit && work.complete && !work.endsInQuery && !endsOrBegins(work));
    work.retryable = alone && (work.optimistic || !work.ran || isRead(work));
    work.refusable = alone && !state.activeIsPrimary;
    work.holding = (work.retryable || work.refusable) && !work.flushed && this.#options.heldReplyBytes > 0;
    if (!state.activeIsPrimary) {
      state.lastReplicaIncarnation = this.#topology.view().backends[connection.backend]?.incarnation ?? -1;
    }
    if (!work.complete || work.ran) expectTransaction(state, work);
  }

  /**
   * A work that may end a transaction block by itself, of which not all is known, or before which others must be sent that end
   * in a Sync, must not travel behind settings that may fail (see `settings-prelude.ts`): they are sent alone, and the work
   * when they hold.
   */
  #settingsFirst(work: Work, connection: BackendConnection, settings: SettingsSet): void {
    this.#stall(work);
    this.#giveUp = () => undefined;
    Question.ask(connection, [...settingsPrelude(connection.settings, settings), 'COMMIT'].join(';'), (answer, status) => {
      if (answer !== null) connection.settings = settings;
      // Otherwise its client has cancelled it meanwhile.
      const isWanted = this.#stalled === work;
      if (isWanted) this.#giveUp = null;
      const isOurs = this.#state.active === connection && this.#state.works.length === 0;
      if (status === 0 || !isOurs) return;
      if (answer === null) this.#dropActive(connection);
      if (!isWanted) {
        this.#owner.abandoned();
        return;
      }
      this.#stalled = null;
      if (answer !== null) this.#send(work, connection);
      else this.#settingsFailed(work);
      if (this.#stalled === null) this.#owner.resumed();
    });
  }

  /** The connection is left in a failed transaction block. */
  #dropActive(connection: BackendConnection): void {
    const state = this.#state;
    state.active = null;
    if (state.home === connection) state.home = null;
    this.#leases.discard(connection);
  }

  /** Nothing of the work was sent. */
  #settingsFailed(work: Work): void {
    const { mode, activeIsPrimary, pinned, pins } = this.#state;
    if (pinned) this.#owner.stateLost(stateLostError(pins));
    else if (mayRestoreElsewhere(work, mode === 'split' && !activeIsPrimary)) {
      this.#measures.retries.inc('settings');
      this.#choose(work, true);
    } else this.#refuse(work, new OperationalError('session_settings', 'could not restore the settings of the session'));
  }

  #finish(work: Work, connection: BackendConnection): void {
    this.#sender.end(connection, work);
    this.#segment = null;
    if (this.#state.open === work) this.#state.open = null;
    // Only a work that may be run again needs its messages any longer.
    if (!work.retryable && work.streamed) work.messages.length = 0;
  }

  #stall(work: Work): void {
    this.#stalled = work;
  }

  #refuse(work: Work, error: Error): void {
    this.#owner.workRefused(work, error);
  }
}

const PIPELINED = routeTo('primary', 'pipelined');

/** Nothing goes ahead of the work, nothing behind it, and its messages are what any session could have sent. */
function standsAlone(work: Work): boolean {
  if (!work.complete || work.kind === 'call' || work.endsInQuery || work.flushed || work.executes > 1) return false;
  if (work.begins !== null || work.borrowed !== null || work.wantsNew || work.attempts > 1) return false;
  for (const { duplicate, contested } of work.messages) if (duplicate || contested) return false;
  return true;
}
