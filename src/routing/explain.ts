import type { Facts } from '../sql/facts.ts';
import type { View } from '../topology/view.ts';
import type { Reads } from './context.ts';
import { isEligible, isUsable } from './eligibility.ts';
import { moveFenceMs } from './fence.ts';
import type { RoutingPolicy } from './policy.ts';
import type { Route, RouteReason } from './route.ts';

/** A decision in words. */
export interface Explanation extends Route {
  /** The function, relation or node that decided; null when it was none. */
  readonly subject: string | null;
  readonly why: string;
}

/** What each reason means, for people. */
export const REASONS: Readonly<Record<RouteReason, string>> = {
  'plain read': 'it only reads, calls nothing that could write, and means the same on a standby',
  'read-only COPY': 'it only copies out what a read gives',
  'EXPLAIN of a read': 'it explains a read',
  SHOW: 'it shows a setting that is the same everywhere',
  'cursor over a read': 'it declares a cursor over a read',
  'session control': 'it changes the session only',
  'transaction control': 'it begins or ends a transaction only',
  'empty query': 'there is nothing to run',
  'data modification': 'it changes data',
  'row lock': 'it locks rows, which a standby refuses',
  'SELECT INTO': 'it creates a table',
  'schema change': 'it changes the schema',
  maintenance: 'it maintains tables or the server',
  'volatile function': 'it calls a function that is declared volatile, so it may write',
  'unknown function': 'it calls a function that is not in the catalog, so it may write',
  'differs on a standby': 'a standby would answer it, but differently',
  'unlogged relation': 'it uses an unlogged relation, which has no data on a standby',
  'temporary relation': 'it uses a temporary relation, which exists on one connection only',
  notification: 'notifications pass through the primary only',
  'explicit lock': 'a lock on a standby would exclude nobody on the primary',
  'procedure or code block': 'it runs a procedure or a code block, which may write',
  sequence: 'it advances or sets a sequence',
  'large object': 'it writes a large object',
  learned: 'a standby has refused a statement of this shape before',
  'text does not parse': 'it does not parse, so the primary is to report the error',
  'text too long to parse': 'it is too long to be parsed',
  'encoding not safe to scan': "it cannot be read safely with the client's encoding or string settings",
  'catalog not loaded': 'it calls a function, and the catalog of its database is not loaded',
  'not proven a read': 'it is not proven to be a read',
  pinned: 'the session must stay on its connection',
  'in transaction': 'a transaction stays where it began',
  'read-only listener': 'the client came through the read-only listener',
  hint: 'a comment in it asks for that',
  setting: 'pgweir.route asks for that',
  rule: 'a rule of the configuration asks for that',
  'read-only transaction': 'its transaction is declared read-only',
  'serializable transaction': 'a standby refuses serializable transactions',
  'read-write transaction': 'its transaction may still write',
  'optimistic transaction': 'the transaction begins with reads: it is tried on a replica, and moves to the primary when it must',
  'moved to the primary': 'the transaction was tried on a replica, and this cannot run there',
  'no replica configured': 'it could be read from a replica, but there is only one backend',
  'no eligible replica': 'it could be read from a replica, but none is usable',
  'fence not reached': 'it could be read from a replica, but none is known to contain all that the session must see',
  'batch not complete': 'it was sent before its batch was complete, so what follows may be a write',
  pipelined: 'it came behind statements that are still under way on the primary',
  replication: 'replication connections belong to the primary',
  'function call': 'what a function call by the protocol does is not known',
};

/** Explains how a batch was decided. */
export function explain(route: Route, batch: readonly Facts[]): Explanation {
  const decisive = batch.find(({ reason }) => reason === route.reason);
  return { ...route, subject: decisive?.subject ?? null, why: REASONS[route.reason] };
}

/** One line: `primary, because volatile function (f): it calls a function that is declared volatile, so it may write`. */
export function toText({ target, reason, subject, why }: Explanation): string {
  return `${target}, because ${reason}${subject === null ? '' : ` (${subject})`}: ${why}`;
}

/** What a read could make of one backend. */
export interface ReplicaExplanation {
  readonly name: string;
  readonly eligible: boolean;
  readonly why: string;
}

/** Explains for each backend whether a read may go to it as a replica. */
export function explainReplicas(view: View, reads: Reads, policy: RoutingPolicy): readonly ReplicaExplanation[] {
  return view.backends.map((backend) => {
    const { name, role, problem, freshThroughMs } = backend;
    if (isEligible(backend, reads, policy)) return { name, eligible: true, why: 'fresh enough' };
    if (role === 'primary') return { name, eligible: false, why: 'the primary' };
    if (problem !== null) return { name, eligible: false, why: problem };
    if (!isUsable(backend, reads.nowMs)) return { name, eligible: false, why: 'observation expired' };
    if (reads.failedOn.includes(backend.index)) return { name, eligible: false, why: 'failed this read already' };
    const lackingMs = moveFenceMs(reads, policy) - freshThroughMs;
    return { name, eligible: false, why: `not known to contain the last ${Math.ceil(lackingMs)} ms that it must` };
  });
}
