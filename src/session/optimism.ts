import { FRONTEND } from '../protocol/codes.ts';
import { decodeBindNames, decodeExecute } from '../protocol/frontend-decoders.ts';
import { encodeQuery, encodeUnsynced } from '../protocol/frontend-encoders.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import type { Facts, StatementFacts } from '../sql/facts.ts';
import { isAscii } from './deferral.ts';
import type { DeferredTransaction, SessionState } from './state.ts';
import type { Work } from './work.ts';

/*
 * A transaction that is not declared read-only, tried on a replica. Under READ COMMITTED each statement sees a snapshot of
 * its own, so after nothing but reads the transaction can go on anywhere that is at least as fresh, if nothing else of it is
 * there: no cursor, savepoint, lock, setting. At the first work of which that cannot be said the replica's transaction is
 * rolled back, and begun again on the primary with the same words; the client does not notice. What it could notice is
 * now(), which stands still in a transaction: a work that names it goes to the primary at once, unless a view or function
 * hides it. That the server's default is READ COMMITTED is asked of the replica, in the same write.
 */

/** Fails where a transaction of which nothing is said would not be READ COMMITTED. */
export const ISOLATION_CHECK = encodeQuery(
  "SELECT 1 OPERATOR(pg_catalog./) (pg_catalog.current_setting('default_transaction_isolation') OPERATOR(pg_catalog.=) 'read committed')::pg_catalog.int4",
);

/** What a transaction may do only before its first query (SET TRANSACTION) it may not do after it has moved, either. */
export const HAS_QUERIED = encodeUnsynced('SELECT 1');

/** Whether a transaction may begin on a replica with this work. */
export function mayBeginOnReplica(work: Work): boolean {
  const own = ownBegin(work);
  if (own === null) return isMovable(work, work.facts);
  return work.begins === null && isMovable(work, work.facts.slice(1));
}

/** What it takes to begin the work's transaction anew. */
export function beginningOf(work: Work): DeferredTransaction | null {
  return work.begins ?? ownBegin(work);
}

/** Whether the work may run in a transaction that is on a replica on trust. */
export function mayStayOnReplica(work: Work, failed: boolean): boolean {
  const only = work.onlyStatement;
  if (only !== null && work.complete && endsPlainly(only)) return true;
  // In a failed transaction nothing runs but its end; what else may end it, and go on, needs the primary.
  if (failed)
    return work.complete && work.facts.every(({ effect, statements }) => effect === 'read' && statements.every(isQuery));
  return isMovable(work, work.facts);
}

/**
 * The transaction leaves its replica, and begins anew with the next work: as a `failed` one, if the client knows it as such.
 * `unanswered` works of it are run again.
 */
export function leaveReplica(state: SessionState, unanswered: readonly Work[], failed: boolean): void {
  // A work that says BEGIN itself will say so again.
  const beginsItself = unanswered.some((work) => work.begins === null && ownBegin(work) !== null);
  state.deferred = beginsItself ? null : state.optimistic;
  state.transaction = beginsItself ? 'idle' : 'deferred';
  if (state.deferred !== null) state.deferred.failed = failed;
  state.optimistic = null;
  state.expectsTransaction = false;
}

/** BEGIN as the first message of a batch, as pgjdbc sends it. */
function ownBegin(work: Work): DeferredTransaction | null {
  if (work.kind !== 'batch') return null;
  const statements = work.facts[0]?.statements;
  const first = statements?.length === 1 ? statements[0] : undefined;
  const text = work.messages.find(({ statement }) => statement !== null)?.statement?.text;
  if (first?.kind !== 'begin' || text === undefined || !isAscii(text)) return null;
  return { preamble: [encodeUnsynced(text)], modes: first.modes, bearsOnPlans: false, settings: new Map(), failed: false };
}

/** A COMMIT or ROLLBACK with nothing behind it. */
function endsPlainly(statement: StatementFacts): boolean {
  return (statement.kind === 'commit' || statement.kind === 'rollback') && !statement.chain;
}

/** Nothing but reads, which leave nothing behind and do not depend on when the transaction began. */
function isMovable(work: Work, facts: readonly Facts[]): boolean {
  if (!work.complete || work.kind === 'call') return false;
  if (work.kind === 'batch' && !leavesNoPortal(work)) return false;
  for (const { effect, residue, settings, statements } of facts) {
    if (effect !== 'read' || residue.size > 0 || settings.size > 0 || !statements.every(isQuery)) return false;
  }
  for (const text of work.texts()) if (NAMES_NOW.test(text)) return false;
  return true;
}

function isQuery({ kind }: StatementFacts): boolean {
  return kind === 'query' || kind === 'show';
}

/** What stands still in a transaction, as function, keyword, or special value of a date. Source: date/time functions; datetime.c. */
const NAMES_NOW =
  /\b(now|transaction_timestamp|age)\s*\(|\b(current_(date|time|timestamp)|localtime(stamp)?)\b|'\s*(now|today|tomorrow|yesterday)\b/i;

/** Every portal is unnamed, bound in this batch, and run to its end; but for a BEGIN, which returns no rows. */
function leavesNoPortal(work: Work): boolean {
  try {
    let bound = false;
    let executes = 0;
    for (const { type, buffer, start, end } of work.messages) {
      if (type === FRONTEND.bind) {
        if (decodeBindNames(buffer, start, end).portal !== '') return false;
        bound = true;
      } else if (type === FRONTEND.execute) {
        const { portal, maxRows } = decodeExecute(buffer, start, end);
        const isBegin = executes++ === 0 && ownBegin(work) !== null;
        if (portal !== '' || !bound || (maxRows !== 0 && !isBegin)) return false;
      }
    }
    return true;
  } catch (error) {
    // PostgreSQL is to complain of it.
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}
