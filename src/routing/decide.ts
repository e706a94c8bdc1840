import type { EffectReason, Facts } from '../sql/facts.ts';
import type { View } from '../topology/view.ts';
import type { SessionContext } from './context.ts';
import { BEGINS, declaredBy, IMPORTS_SNAPSHOT, READ_ONLY, REPEATABLE, SAYS_ACCESS, SERIALIZABLE, UNCLEAR } from './declared.ts';
import { hasEligible, whyNoneEligible } from './eligibility.ts';
import type { RoutingPolicy } from './policy.ts';
import type { Route, RouteReason } from './route.ts';
import { routeTo, type Target } from './routes.ts';

/*
 * Where would this query go? Strongest first: pinned or in an open transaction, where it is; a read-only listener, to a
 * replica; hint or SET pgweir.route; rules of the configuration; facts; fence and staleness; availability of a replica.
 *
 * A batch is decided as one, by the union of its facts: the strongest effect in it decides, and one hint for the primary
 * is a hint for all of it.
 *
 * No hint, setting, rule or declaration makes a write go to a replica, nor what differs there silently. They do speak for
 * what is merely not proven: a function that may write. A standby refuses the write if there is one, and then the statement
 * is run on the primary. Text that could not be read is not such a case: nobody knows what it contains.
 *
 * Transactions are decided at their first real statement. Declared read-only they go to a replica, unless they are
 * serializable, take over a snapshot of the primary, or begin with a statement that a replica would refuse or answer
 * differently (an advisory lock, pg_stat_activity, nextval): then they run on the primary, where it is right and just as
 * read-only. Such a statement later in the transaction meets the replica on which the transaction is by then. All other
 * transactions go to the primary; with `routing.transactions: optimistic` those that may be READ COMMITTED and begin with a
 * read are tried on a replica.
 */

/** Decides one text. */
export function decide(facts: Facts, context: SessionContext, view: View, policy: RoutingPolicy): Route {
  return withAvailability(intentOf([facts], context, policy), context, view, policy);
}

/** Decides everything up to one ReadyForQuery: facts of each statement that the batch runs, in order. */
export function decideBatch(batch: readonly Facts[], context: SessionContext, view: View, policy: RoutingPolicy): Route {
  return withAvailability(intentOf(batch, context, policy), context, view, policy);
}

/**
 * What a route to a replica becomes with the replicas there are. The target stays a replica when the client is to get an
 * error rather than the primary; the reason says which.
 */
export function withAvailability(intent: Route, context: SessionContext, view: View, policy: RoutingPolicy): Route {
  const isFree = context.pinnedTo === null && context.transactionOn === null;
  if (intent.target === 'primary' || !isFree || hasEligible(view, context, policy)) return intent;
  const mustRead = policy.whenNoReplica === 'error' && intent !== OPTIMISTIC_TRANSACTION;
  const target = context.mode === 'read-only' || mustRead ? 'replica' : 'primary';
  return routeTo(target, whyNoneEligible(view, context));
}

/** Where a batch belongs, whatever the state of the topology. */
export function intentOf(batch: readonly Facts[], context: SessionContext, policy: RoutingPolicy): Route {
  if (context.transactionOn !== null) return routeTo(context.transactionOn, 'in transaction');
  if (context.pinnedTo !== null) return routeTo(context.pinnedTo, 'pinned');
  if (context.mode === 'read-only') return routeTo('replica', 'read-only listener');
  if (!context.scanSafe) return routeTo('primary', 'encoding not safe to scan');

  const wish = wishOf(batch, context);
  if (wish !== null && wish.target === 'primary') return wish;
  const declared = declaredBy(batch, context);
  const forbidden = forbiddenBy(declared);
  const { effect, reason } = strongestOf(batch);
  if (forbidden !== null) {
    const isWorthATry = forbidden === 'read-write transaction' && policy.transactions === 'optimistic' && effect === 'read';
    return isWorthATry && (declared & (SAYS_ACCESS | REPEATABLE)) === 0 ? OPTIMISTIC_TRANSACTION : routeTo('primary', forbidden);
  }

  const readOnly = (declared & READ_ONLY) !== 0 ? READ_ONLY_TRANSACTION : null;
  if (effect === 'read') return (declared & BEGINS) !== 0 ? READ_ONLY_TRANSACTION : (wish ?? routeTo('replica', reason));
  if (effect === 'unknown' && UNPROVEN.has(reason)) return readOnly ?? wish ?? routeTo('primary', reason);
  return routeTo('primary', reason);
}

const READ_ONLY_TRANSACTION = routeTo('replica', 'read-only transaction');
/** May yet have to move to the primary. */
export const OPTIMISTIC_TRANSACTION = routeTo('replica', 'optimistic transaction');

/** Not proven a read, but what is known of it speaks for one: it only calls something whose inside nobody knows. */
const UNPROVEN: ReadonlySet<EffectReason> = new Set(['volatile function', 'unknown function', 'catalog not loaded']);

const EMPTY = { effect: 'read', reason: 'empty query' } as const;

/** Why what was declared about the transaction keeps it from a replica; null when it does not. */
function forbiddenBy(declared: number): RouteReason | null {
  if ((declared & SERIALIZABLE) !== 0) return 'serializable transaction';
  if ((declared & IMPORTS_SNAPSHOT) !== 0) return 'differs on a standby';
  if ((declared & UNCLEAR) !== 0) return 'not proven a read';
  return (declared & BEGINS) !== 0 && (declared & READ_ONLY) === 0 ? 'read-write transaction' : null;
}

/** What the client or the configuration asks for; null when nobody does. */
function wishOf(batch: readonly Facts[], context: SessionContext): Route | null {
  let hinted: Target | null = null;
  for (const { hint } of batch) if (hint?.route !== undefined && hinted !== 'primary') hinted = hint.route;
  if (hinted !== null) return routeTo(hinted, 'hint');
  if (context.routeSetting !== null) return routeTo(context.routeSetting, 'setting');
  return context.rule === null ? null : routeTo(context.rule, 'rule');
}

/** The first of those facts that speak most strongly against a replica. */
function strongestOf(batch: readonly Facts[]): Pick<Facts, 'effect' | 'reason'> {
  let strongest: Pick<Facts, 'effect' | 'reason'> = EMPTY;
  let strength = 0;
  for (const facts of batch) {
    const strengthHere = strengthOf(facts);
    if (strengthHere <= strength) continue;
    strongest = facts;
    strength = strengthHere;
  }
  return strongest;
}

function strengthOf({ effect, reason }: Facts): number {
  switch (effect) {
    case 'write':
      return 5;
    case 'unknown':
      return UNPROVEN.has(reason) ? 3 : 4;
    default:
      return isControl(reason) ? 1 : 2;
  }
}

function isControl(reason: EffectReason): boolean {
  return reason === 'empty query' || reason === 'transaction control' || reason === 'session control';
}
