import { encodeQuery } from '../protocol/frontend-encoders.ts';
import type { StatementFacts, TransactionModes } from '../sql/facts.ts';
import type { DeferredTransaction, SessionState } from './state.ts';
import type { Work } from './work.ts';

/*
 * A transaction that was declared read-only and runs on a replica, where it cannot become SERIALIZABLE or READ WRITE, and
 * where LISTEN, NOTIFY and some locks are refused. PostgreSQL allows the former before the first query, so that as long as
 * there was none nothing is lost by beginning anew on the primary, with the same words. Nor is anything in a transaction that
 * has failed: behind its end AND CHAIN, PostgreSQL forgets that it was read-only, and a replica cannot.
 */

/** What is known of the transaction that runs on a replica. */
export interface Begun {
  readonly modes: TransactionModes;
  /** All that was said in it, as Query messages, while it has not had its first query; null when it has. */
  readonly texts: readonly Buffer[] | null;
}

/** To be called when a work is done that ran on a replica; `begun` as it was before. Returns what is open behind it. */
export function begunBehind(begun: Begun | null, work: Work, failed: boolean, isOpen: boolean): Begun | null {
  if (!isOpen) return null;
  const before: Begun = begun ?? { modes: work.begins?.modes ?? {}, texts: work.begins?.preamble ?? [] };
  const statements = work.facts.flatMap((facts) => facts.statements);
  let { modes } = before;
  for (const statement of statements) {
    if (statement.kind === 'begin') modes = statement.modes;
    else if (statement.kind === 'set transaction') modes = { ...modes, ...statement.modes };
  }
  const { texts } = before;
  const repeatable = texts !== null && !failed && work.kind === 'query' && statements.every(({ kind }) => CONTROL.has(kind));
  return { modes, texts: repeatable ? [...texts, encodeQuery(work.text)] : null };
}

/** They neither take a snapshot nor leave anything that ROLLBACK does not take away. */
const CONTROL: ReadonlySet<StatementFacts['kind']> = new Set(['begin', 'set transaction', 'set', 'reset', 'show']);

/** What it takes to run the work on the primary, in the transaction that is on a replica; null when it belongs there. */
export function relocated({ begun, transaction }: SessionState, work: Work): DeferredTransaction | null {
  if (begun === null || !work.complete) return null;
  const { modes, texts } = begun;
  if (transaction === 'failed') {
    return chains(work) ? { preamble: [beginWith(modes)], modes, settings: new Map(), failed: true } : null;
  }
  return texts !== null && needsPrimary(work) ? { preamble: [...texts], modes, settings: new Map(), failed: false } : null;
}

/** Whether a replica would refuse what PostgreSQL allows in a read-only transaction, or may. */
export function needsPrimary(work: Work): boolean {
  for (const { effect, statements } of work.facts) {
    if (effect !== 'read' || statements.some(changesModes)) return true;
  }
  return false;
}

function changesModes(statement: StatementFacts): boolean {
  if (statement.kind !== 'set transaction') return false;
  const { isolation, readOnly } = statement.modes;
  return statement.snapshot || isolation === 'serializable' || readOnly === false;
}

function chains(work: Work): boolean {
  return work.facts.some(({ statements }) => statements.some((statement) => 'chain' in statement && statement.chain));
}

function beginWith({ isolation, readOnly, deferrable }: TransactionModes): Buffer {
  const modes = [
    isolation === undefined ? '' : `ISOLATION LEVEL ${isolation}`,
    readOnly === undefined ? '' : `READ ${readOnly ? 'ONLY' : 'WRITE'}`,
    deferrable === undefined ? '' : `${deferrable ? '' : 'NOT '}DEFERRABLE`,
  ];
  return encodeQuery(`BEGIN ${modes.filter((mode) => mode !== '').join(', ')}`);
}
