import { chooseReplica } from '../routing/balance.ts';
import { newSession, type SessionContext } from '../routing/context.ts';
import { intentOf, OPTIMISTIC_TRANSACTION, withAvailability } from '../routing/decide.ts';
import { isEligible } from '../routing/eligibility.ts';
import { moveFenceMs, strictestStaleness } from '../routing/fence.ts';
import type { RoutingPolicy } from '../routing/policy.ts';
import type { Route } from '../routing/route.ts';
import { routeTo, type Target } from '../routing/routes.ts';
import type { View } from '../topology/view.ts';
import type { Clock } from '../util/clock.ts';
import type { SettingsSet } from '../util/settings-set.ts';
import { mayBeginOnReplica } from './optimism.ts';
import type { OwnSettings } from './own-settings.ts';
import type { LeasePort, ScanMode } from './ports.ts';
import { isOff } from './scan-mode.ts';
import type { SessionState } from './state.ts';
import type { Work } from './work.ts';

/** What of the configuration a session's routing depends on. */
export interface SessionPolicy extends RoutingPolicy {
  readonly fenceWaitMs: number;
  /** What the first fitting rule says about this session's user and database; null without one. */
  readonly rule: Target | null;
}

/**
 * Asks `routing` where a work goes, in the name of one session: keeps the context that decisions are made in, one object
 * for the life of the session, so that a decision allocates nothing.
 */
export class Router {
  readonly #state: SessionState;
  readonly #policy: SessionPolicy;
  readonly #own: OwnSettings;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #scanMode: () => ScanMode;
  readonly #reported: ReadonlyMap<string, string>;
  readonly #context: Mutable<SessionContext>;
  /** The settings that the context was last made from. */
  #seen: SettingsSet | null = null;

  constructor(
    state: SessionState,
    parts: {
      readonly policy: SessionPolicy;
      readonly own: OwnSettings;
      readonly clock: Clock;
      readonly random: () => number;
      readonly scanMode: () => ScanMode;
      /** Settings as the server reported them at login, which startup options, roles and databases may have changed. */
      readonly reported: ReadonlyMap<string, string>;
    },
  ) {
    this.#state = state;
    this.#policy = parts.policy;
    this.#own = parts.own;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#scanMode = parts.scanMode;
    this.#reported = parts.reported;
    this.#context = { ...newSession, mode: state.mode, rule: parts.policy.rule };
  }

  /** Where the work belongs, whether or not a replica is fit for it now. */
  intent(work: Work): Route {
    const context = this.#contextFor(work);
    const route = this.#special(work) ?? intentOf(work.facts, context, this.#policy);
    return route === OPTIMISTIC_TRANSACTION && !mayBeginOnReplica(work) ? READ_WRITE_TRANSACTION : route;
  }

  /** What becomes of a route to a replica when none is fit for it. */
  withoutWaiting(intent: Route, work: Work, view: View): Route {
    return withAvailability(intent, this.#contextFor(work), view, this.#policy);
  }

  /** The replica that is to serve the work, -1 when none is fit. To be asked in the turn in which `intent` was. */
  pick(view: View, leases: LeasePort): number {
    return chooseReplica(view, this.#context, this.#policy, leases, this.#random);
  }

  /** Whether the work may be read from this replica. As `pick`. */
  mayRead(view: View, backend: number): boolean {
    const candidate = view.backends[backend];
    return candidate !== undefined && isEligible(candidate, this.#context, this.#policy);
  }

  /** The instant that a replica must be fresh through for the work. */
  fenceMs(work: Work): number {
    return moveFenceMs(this.#contextFor(work), this.#policy);
  }

  #special(work: Work): Route | null {
    if (work.kind === 'call') return routeTo(this.#state.mode === 'read-only' ? 'replica' : 'primary', 'function call');
    if (this.#state.mode === 'split') {
      if (work.primaryOnly) return routeTo('primary', 'learned');
      if (!work.complete) return routeTo('primary', 'batch not complete');
    }
    return null;
  }

  #contextFor(work: Work): SessionContext {
    const state = this.#state;
    const context = this.#context;
    context.beginning = (state.deferred ?? work.begins)?.modes ?? null;
    if (state.settings !== this.#seen) this.#see(state.settings);
    context.scanSafe =
      this.#scanMode() === 'standard' || work.facts.every(({ reason }) => reason !== 'encoding not safe to scan');
    context.routeSetting = this.#own.route;
    context.nowMs = this.#clock.now();
    context.lastPrimaryMs = state.lastPrimaryMs;
    context.lastReplicaMs = state.lastReplicaMs;
    context.lastReplica = state.lastReplica;
    context.lastReplicaIncarnation = state.lastReplicaIncarnation;
    context.maxStalenessMs = strictestStaleness(work.facts, this.#own.maxStalenessMs);
    context.failedOn = work.failedOn;
    return context;
  }

  #see(settings: SettingsSet): void {
    this.#seen = settings;
    const name = 'default_transaction_read_only';
    const readOnly = settings.entries.get(name) ?? this.#reported.get(name);
    this.#context.defaultReadOnly = readOnly !== undefined && !isOff(readOnly);
    this.#context.defaultIsolation = settings.entries.get('default_transaction_isolation')?.toLowerCase() ?? null;
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const READ_WRITE_TRANSACTION = routeTo('primary', 'read-write transaction');
