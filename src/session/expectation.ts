import type { SessionState } from './state.ts';
import type { Work } from './work.ts';

/** Notes what the texts of the work say about the transaction that will be open behind it; of each statement once. */
export function expectTransaction(state: SessionState, work: Work): void {
  for (; work.factsCounted < work.facts.length; work.factsCounted++) {
    for (const statement of work.facts[work.factsCounted]?.statements ?? []) {
      if (statement.kind === 'begin') state.expectsTransaction = true;
      else if (statement.kind === 'commit' || statement.kind === 'rollback') {
        // AND CHAIN is refused outside of a transaction.
        state.expectsTransaction = statement.chain && (state.expectsTransaction || state.transaction !== 'idle');
      }
    }
  }
}

export function isRead(work: Work): boolean {
  return work.facts.length > 0 && work.facts.every((facts) => facts.effect === 'read');
}

export function endsOrBegins(work: Work): boolean {
  return work.facts.some((facts) =>
    facts.statements.some(({ kind }) => kind === 'begin' || kind === 'commit' || kind === 'rollback'),
  );
}

/** Whether, sent into a failed transaction block, the work could end it and go on. */
export function mayEndTransaction(work: Work): boolean {
  return work.facts.some(
    (facts) =>
      facts.reason === 'text too long to parse' ||
      facts.reason === 'encoding not safe to scan' ||
      facts.statements.some(({ kind }) => ENDS_BLOCK.has(kind)),
  );
}

const ENDS_BLOCK: ReadonlySet<string> = new Set(['commit', 'rollback', 'prepare transaction', 'rollback to']);
