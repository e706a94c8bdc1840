import type { BackendConnection } from '../backend/connection.ts';
import { FRONTEND } from '../protocol/codes.ts';
import type { PreparedStatement, SessionStatement } from './prepared-statements.ts';
import type { Work } from './work.ts';

/** No result is of this shape: a statement of which its client was told it is refused, until the client prepares it anew. */
const CHANGED = 'changed since it was prepared';

/**
 * PostgreSQL has refused a plan, since its result would be another than when it was prepared. Which of the work's is not
 * known: all of them are prepared anew at their next use.
 *
 * The plan may be older than what the client knows. Prepared anew, its result is compared with what the client was told
 * (`sender.ts`), or the client is told in the same batch. Otherwise rows of another shape would be hidden from it, and it is
 * refused as it would be by PostgreSQL, again and again.
 * @returns whether the client may have the new plan's result
 */
export function retirePlans(work: Work, connection: BackendConnection): boolean {
  if (work.lifted !== null) {
    const { id, backendName } = work.lifted.statement;
    connection.retireStatement(id, backendName);
    return true;
  }
  const bound = boundBy(work);
  // A statement of SQL's PREPARE is not ours to prepare.
  let mayRunAgain = work.kind === 'batch' && work.messages.length > 0;
  for (const definition of bound) {
    if (isTold(work, definition)) continue;
    mayRunAgain = false;
    if (bound.size === 1) definition.told = CHANGED;
  }
  for (const { id, backendName } of statementsIn(work, bound)) connection.retireStatement(id, backendName);
  return mayRunAgain;
}

/** What was bound in the work; of one whose messages were not kept, as far as it is known. */
function boundBy(work: Work): Set<SessionStatement> {
  const bound = new Set<SessionStatement>();
  for (const { type, definition } of work.messages) if (type === FRONTEND.bind && definition !== null) bound.add(definition);
  if (work.messages.length === 0 && work.bound !== null) bound.add(work.bound);
  return bound;
}

function statementsIn(work: Work, bound: Iterable<SessionStatement>): Set<PreparedStatement> {
  const statements = new Set<PreparedStatement>();
  for (const { statement } of work.messages) if (statement !== null) statements.add(statement);
  for (const { statement } of bound) statements.add(statement);
  return statements;
}

function isTold(work: Work, definition: SessionStatement): boolean {
  if (definition.told !== null) return true;
  return work.messages.some((message) => message.type === FRONTEND.describe && message.definition === definition);
}
