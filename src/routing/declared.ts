import type { Facts, StatementFacts, TransactionModes } from '../sql/facts.ts';
import type { SessionContext } from './context.ts';

/*
 * What is declared about the transaction in which a batch runs, as a set of bits, so that decisions allocate nothing.
 */

/** The client began a transaction explicitly. */
export const BEGINS = 1;
export const READ_ONLY = 2;
export const SERIALIZABLE = 4;
export const IMPORTS_SNAPSHOT = 8;
/** The batch holds more than one transaction, or changes what later ones are declared to be: its parts differ. */
export const UNCLEAR = 16;
/** It was said whether the transaction writes. */
export const SAYS_ACCESS = 32;
const SAYS_ISOLATION = 64;
const ENDED = 128;
/** One snapshot for the whole transaction. */
export const REPEATABLE = 256;

const TRANSACTION_SETTINGS: ReadonlySet<string> = new Set([
  'transaction_read_only',
  'transaction_isolation',
  'transaction_deferrable',
  'default_transaction_read_only',
  'default_transaction_isolation',
  'default_transaction_deferrable',
]);

/** Joins what the client declared before, what the batch declares, and the session's defaults for what nobody said. */
export function declaredBy(batch: readonly Facts[], context: SessionContext): number {
  let bits = context.importsSnapshot ? IMPORTS_SNAPSHOT : 0;
  if (context.beginning !== null) bits = withModes(bits | BEGINS, context.beginning);
  for (const { statements } of batch) for (const statement of statements) bits = withStatement(bits, statement);
  if ((bits & SAYS_ACCESS) === 0 && context.defaultReadOnly) bits |= READ_ONLY;
  if ((bits & SAYS_ISOLATION) === 0) bits |= isolationBits(context.defaultIsolation);
  return bits;
}

function withStatement(before: number, statement: StatementFacts): number {
  const bits = (before & ENDED) === 0 ? before : before | UNCLEAR;
  switch (statement.kind) {
    case 'begin':
      return withModes(bits | BEGINS, statement.modes);
    case 'set transaction':
      return withModes(statement.snapshot ? bits | IMPORTS_SNAPSHOT : bits, statement.modes);
    case 'commit':
    case 'rollback':
      return bits | ENDED;
    case 'set':
    case 'reset':
      return TRANSACTION_SETTINGS.has(statement.name) ? bits | UNCLEAR : bits;
    case 'set characteristics':
    case 'reset all':
    case 'discard':
      return bits | UNCLEAR;
    default:
      return bits;
  }
}

function withModes(before: number, { isolation, readOnly }: TransactionModes): number {
  let bits = before;
  if (readOnly !== undefined) bits = (bits & ~READ_ONLY) | SAYS_ACCESS | (readOnly ? READ_ONLY : 0);
  if (isolation !== undefined) {
    bits = (bits & ~(SERIALIZABLE | REPEATABLE)) | SAYS_ISOLATION | isolationBits(isolation);
  }
  return bits;
}

/** `null`: the server's default, which is READ COMMITTED as far as is known. */
function isolationBits(isolation: string | null): number {
  if (isolation === 'serializable') return SERIALIZABLE;
  return isolation === 'repeatable read' ? REPEATABLE : 0;
}
