import { FRONTEND } from '../protocol/codes.ts';
import { decodeBindNames, decodeClose, decodeDescribe, decodeName, type TargetFields } from '../protocol/frontend-decoders.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import type { Piece } from '../protocol/rewrite.ts';
import type { SessionState } from './state.ts';
import type { Work } from './work.ts';

/**
 * Pipelining has its limits where the meaning of a message depends on replies that have not come. There the message waits:
 *   - behind a COPY FROM STDIN that may or may not have begun: PostgreSQL ignores a Sync inside it and answers one outside;
 *   - behind a batch that ends in a Query: after an error before it, PostgreSQL passes over the Query, up to a Sync;
 *   - behind a batch that ends in a Flush: after an error in it, PostgreSQL passes over everything up to a Sync;
 *   - the name of a prepared statement, behind what gives it or takes it away: in a batch that fails neither happens;
 *   - the end of the connection, behind what is still to be answered.
 */
export function mustWait(state: SessionState, message: Piece & { readonly type: number }): boolean {
  const { type } = message;
  const { works } = state;
  // Asked of every message: an index of -1 would be looked up as a name.
  const last = works.length === 0 ? undefined : works[works.length - 1];
  if (last === undefined || isCopyMessage(type) || last.copyOpen) return false;
  if (type === FRONTEND.terminate) return isAnswerDue(state);
  if (last.endsInFlush) return true;
  if (last.complete && takesMore(last)) return true;
  const unnamed = isUnderWay(state, state.unnamedBy);
  const named = state.namedBy.length === 0 ? NONE : state.namedBy.filter((work) => isUnderWay(state, work));
  if (!unnamed && named.length === 0) return false;
  const name = nameIn(message);
  if (name === null) return false;
  // Parse and Close of the unnamed statement always succeed in what they do to the name, or are skipped with all behind them.
  if (name === '') return unnamed && (type === FRONTEND.bind || type === FRONTEND.describe);
  if (named.length === 0) return false;
  // A Parse of a new name succeeds, unless SQL's PREPARE has taken it.
  return type !== FRONTEND.parse || state.statements.get(name) !== null || named.some(changesNames);
}

const NONE: readonly Work[] = [];

/** The work was sent and its reply has not come; not the one that the message itself belongs to. */
function isUnderWay({ works, open }: SessionState, work: Work | null): boolean {
  return work?.sent === true && work !== open && works.includes(work);
}

/** The name of a prepared statement that a message is about, or null. */
function nameIn({ type, buffer, start, end }: Piece & { readonly type: number }): string | null {
  try {
    switch (type) {
      case FRONTEND.parse:
        return decodeName(buffer, start, end);
      case FRONTEND.bind:
        return decodeBindNames(buffer, start, end).statement;
      case FRONTEND.describe:
        return ofStatement(decodeDescribe(buffer, start, end));
      case FRONTEND.close:
        return ofStatement(decodeClose(buffer, start, end));
      default:
        return null;
    }
  } catch (error) {
    // PostgreSQL is to complain of it, and nothing depends on when.
    if (error instanceof ProtocolError) return null;
    throw error;
  }
}

function ofStatement({ target, name }: TargetFields): string | null {
  return target === 'statement' ? name : null;
}

/** Something complete is under way, so its reply will come without another word of the client. */
export function isAnswerDue({ works, open }: SessionState): boolean {
  const newestAsks = open !== null || works[works.length - 1]?.copyOpen === true;
  return works.length > (newestAsks ? 1 : 0);
}

export function isCopyMessage(type: number): boolean {
  return type === FRONTEND.copyData || type === FRONTEND.copyDone || type === FRONTEND.copyFail;
}

/** Whether the work's SQL gives or takes away names of prepared statements. */
export function changesNames(work: Work): boolean {
  for (const { statements } of work.facts) {
    for (const statement of statements) {
      if (statement.kind === 'prepare' || statement.kind === 'deallocate') return true;
      if (statement.kind === 'discard' && statement.target === 'all') return true;
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
