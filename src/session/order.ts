import { FRONTEND } from '../protocol/codes.ts';
import type { SessionState } from './state.ts';
import type { Work } from './work.ts';

/**
 * Pipelining has its limits where the meaning of a message depends on replies that have not come. There the message waits:
 *   - behind a COPY FROM STDIN that may or may not have begun: PostgreSQL ignores a Sync inside it and answers one outside;
 *   - behind a batch that ends in a Query: after an error before it, PostgreSQL passes over the Query, up to a Sync;
 *   - a name, behind what may take it away: a Close in a batch that fails takes nothing away;
 *   - the end of the connection, behind what is still to be answered.
 */
export function mustWait(state: SessionState, type: number): boolean {
  const { works, open, dropping } = state;
  const last = works[works.length - 1];
  if (last === undefined || isCopyMessage(type) || last.copyOpen) return false;
  if (type === FRONTEND.terminate) return isAnswerDue(state);
  if (last.complete && takesMore(last)) return true;
  return dropping !== null && dropping !== open && isAboutName(type) && works.includes(dropping);
}

/** Something complete is under way, so its reply will come without another word of the client. */
export function isAnswerDue({ works, open }: SessionState): boolean {
  const newestAsks = open !== null || works[works.length - 1]?.copyOpen === true;
  return works.length > (newestAsks ? 1 : 0);
}

export function isCopyMessage(type: number): boolean {
  return type === FRONTEND.copyData || type === FRONTEND.copyDone || type === FRONTEND.copyFail;
}

/** Whether the work's SQL takes away names of prepared statements. */
export function dropsNames(work: Work): boolean {
  for (const { statements } of work.facts) {
    for (const statement of statements) {
      if (statement.kind === 'deallocate' || (statement.kind === 'discard' && statement.target === 'all')) return true;
    }
  }
  return false;
}

function takesMore(work: Work): boolean {
  if (work.endsInQuery) return true;
  for (const { statements } of work.facts) {
    for (const statement of statements) if (statement.kind === 'copy' && statement.direction === 'in') return true;
  }
  return false;
}

function isAboutName(type: number): boolean {
  return type === FRONTEND.parse || type === FRONTEND.bind || type === FRONTEND.describe || type === FRONTEND.close;
}
