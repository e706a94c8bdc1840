import { FRONTEND } from '../protocol/codes.ts';
import { encodeQuery } from '../protocol/frontend-encoders.ts';
import type { StatementFacts } from '../sql/facts.ts';
import { statementEnd } from '../sql/statement-ends.ts';
import { noteText } from './custom-settings.ts';
import type { Names } from './names.ts';
import type { SessionState } from './state.ts';
import { ClientMessage, Work } from './work.ts';

/*
 * A Query that ends a transaction on a replica and goes on with what needs the primary (`ROLLBACK; DELETE FROM t`) is two
 * works: its beginning, up to the end of the transaction, is answered where the transaction is, but for ReadyForQuery, and
 * the rest goes where it belongs. If the beginning fails PostgreSQL would not come to the rest, and neither does pgweir.
 */

/** The beginning of such a work, with the rest at hand; null for any other. */
export function divided(work: Work, state: SessionState, names: Names): Work | null {
  const { active, activeIsPrimary, optimistic, transaction, expectsTransaction, mode } = state;
  if (active === null || activeIsPrimary || mode !== 'split' || optimistic !== null || work.kind !== 'query') return null;
  if (transaction === 'idle' && !expectsTransaction) return null;
  const statements = work.facts.length === 1 ? (work.facts[0]?.statements ?? []) : [];
  const end = statements.findIndex(endsTransaction) + 1;
  if (end === 0 || end === statements.length || isFineOnReplica(work, statements.slice(end))) return null;
  const at = statementEnd(work.text, end);
  if (at < 0) return null;
  const head = partOf(work, work.text.slice(0, at), names);
  const rest = partOf(work, blank(work.text.slice(0, at)) + work.text.slice(at), names);
  // Otherwise the text was not understood.
  const isWhole = countOf(head) === end && countOf(rest) === statements.length - end;
  if (!isWhole) return null;
  head.rest = rest;
  rest.isRestOf = head;
  return head;
}

function endsTransaction(statement: StatementFacts): boolean {
  return (statement.kind === 'commit' || statement.kind === 'rollback') && !statement.chain;
}

/** Behind the end of the transaction only reads follow, or one statement that means another thing when it stands alone. */
function isFineOnReplica({ facts }: Work, behind: readonly StatementFacts[]): boolean {
  const [first, ...others] = behind;
  if (others.length === 0 && first !== undefined && MINDS_ITS_BLOCK.has(first.kind)) return true;
  return facts.every(({ effect }) => effect === 'read') && behind.every(({ kind }) => kind === 'query' || kind === 'show');
}

/**
 * In a message of several statements PostgreSQL runs what is outside of a transaction as in a block (implicit block,
 * xact.c), of which these, for one, may tell.
 */
const MINDS_ITS_BLOCK: ReadonlySet<StatementFacts['kind']> = new Set([
  'commit',
  'rollback',
  'set',
  'set transaction',
  'savepoint',
  'release',
  'rollback to',
  'declare cursor',
]);

function partOf(work: Work, text: string, names: Names): Work {
  const part = new Work('query', work.startedMs);
  const facts = names.factsOf(text);
  const message = encodeQuery(text);
  part.facts.push(facts);
  part.text = text;
  part.complete = true;
  part.add(new ClientMessage(FRONTEND.query, message, 0, message.length, message.length));
  noteText(part, facts, text);
  return part;
}

function countOf(part: Work): number {
  return part.facts[0]?.statements.length ?? 0;
}

/** As many characters, so that what stands behind them is where it was: errors tell their position. In UTF-8. */
function blank(text: string): string {
  return text.replaceAll(/[\x80-\xbf]/g, '').replaceAll(/[^\n]/g, ' ');
}
