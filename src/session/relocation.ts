import { encodeUnsynced } from '../protocol/frontend-encoders.ts';
import type { StatementFacts, TransactionModes } from '../sql/facts.ts';
import { statementEnd } from '../sql/statement-ends.ts';
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
  /** Null: not known. */
  readonly modes: TransactionModes | null;
  /** It has them from the one before, which was ended AND CHAIN: then it keeps them also when it fails. */
  readonly chained: boolean;
  /** All that was said in it, each statement as it was said (`encodeUnsynced`), while it has not had its first query; null when it has. */
  readonly texts: readonly Buffer[] | null;
}

const UNKNOWN: Begun = { modes: null, chained: false, texts: null };

/** To be called when a work is done that ran on a replica; `before`: as it was before. Returns what is open behind it. */
export function begunBehind(before: Begun | null, work: Work, failed: boolean, isOpen: boolean): Begun | null {
  if (!isOpen) return null;
  const { begins } = work;
  const first: Begun | null =
    begins === null ? before : { modes: begins.modes, chained: false, texts: begins.failed ? null : begins.preamble };
  const statements = work.facts.flatMap((facts) => facts.statements);
  let { modes, chained, texts } = first ?? (statements[0]?.kind === 'begin' ? NEW : UNKNOWN);
  for (const [index, statement] of statements.entries()) {
    if (statement.kind === 'begin' || statement.kind === 'set transaction') {
      modes = modes === null ? null : { ...modes, ...statement.modes };
    } else if (statement.kind === 'commit' || statement.kind === 'rollback') {
      // Whether it came to that before it failed, only the first one tells.
      if (!statement.chain || (failed && (index > 0 || statements.length === 1))) modes = null;
      chained = true;
    }
  }
  if (!work.ran) return { modes, chained, texts };
  const isRepeatable = texts !== null && !failed && statements.every(({ kind }) => CONTROL.has(kind));
  const said = isRepeatable ? saidIn(work, statements.length) : null;
  texts = texts === null || said === null ? null : [...texts, ...said.map(encodeUnsynced)];
  return { modes, chained, texts };
}

/** The texts of the statements that the work has run, one by one; null where they cannot be told apart. */
function saidIn(work: Work, count: number): readonly string[] | null {
  if (work.kind === 'batch') {
    const texts = work.texts();
    return !work.endsInQuery && work.executes === texts.size ? [...texts] : null;
  }
  // Where a string with a backslash ends is a matter of standard_conforming_strings.
  if (work.kind === 'call' || (count > 1 && work.text.includes('\\'))) return null;
  const ends = Array.from({ length: count }, (_, index) =>
    index === count - 1 ? work.text.length : statementEnd(work.text, index + 1),
  );
  return ends.includes(-1) ? null : ends.map((end, index) => work.text.slice(ends[index - 1] ?? 0, end));
}

const NEW: Begun = { modes: {}, chained: false, texts: [] };

/** They neither take a snapshot nor leave anything that ROLLBACK does not take away. */
const CONTROL: ReadonlySet<StatementFacts['kind']> = new Set(['begin', 'set transaction', 'set', 'reset', 'show']);

/** What it takes to run the work on the primary, in the transaction that is on a replica; null when it belongs there. */
export function relocated({ begun, transaction }: SessionState, work: Work): DeferredTransaction | null {
  if (begun === null || !work.complete) return null;
  const { modes, chained, texts } = begun;
  if (modes === null) return null;
  const anew = (preamble: Buffer[], failed: boolean): DeferredTransaction => {
    const bearsOnPlans = preamble.length > 1;
    return { preamble, modes, bearsOnPlans, settings: new Map<string, string>(), failed };
  };
  if (transaction !== 'failed') return texts !== null && needsPrimary(work) ? anew([...texts], false) : null;
  if (!goesOn(work)) return null;
  return anew(chained ? [beginWith(modes), CHAIN] : [beginWith(modes)], true);
}

const CHAIN = encodeUnsynced('COMMIT AND CHAIN');

/** Whether a replica would refuse what PostgreSQL allows in a read-only transaction, or may. */
export function needsPrimary(work: Work): boolean {
  for (const { effect, reason, statements } of work.facts) {
    if ((effect === 'write' && reason !== 'session control') || statements.some(changesModes)) return true;
  }
  return false;
}

function changesModes(statement: StatementFacts): boolean {
  if (statement.kind !== 'set transaction') return false;
  const { isolation, readOnly } = statement.modes;
  return statement.snapshot || isolation === 'serializable' || readOnly === false;
}

/** Whether the work does not end with the end of the transaction. Of a Query without AND CHAIN the rest goes its own way. */
function goesOn({ kind, facts }: Work): boolean {
  const statements = facts.flatMap((one) => one.statements);
  const end = statements.findIndex((statement) => 'chain' in statement);
  const first = statements[end];
  if (first === undefined || !('chain' in first)) return false;
  return first.chain || (kind === 'batch' && end < statements.length - 1);
}

/** Whether all of a batch must be known before it is known where it goes. What is under way may yet tell. */
export function mayRelocate({ begun, transaction, activeIsPrimary, mode, works }: SessionState): boolean {
  if (activeIsPrimary || mode !== 'split') return false;
  if (works.length > 0) return true;
  return begun !== null && begun.modes !== null && (begun.texts !== null || transaction === 'failed');
}

function beginWith({ isolation, readOnly, deferrable }: TransactionModes): Buffer {
  const modes = [
    isolation === undefined ? '' : `ISOLATION LEVEL ${isolation}`,
    readOnly === undefined ? '' : `READ ${readOnly ? 'ONLY' : 'WRITE'}`,
    deferrable === undefined ? '' : `${deferrable ? '' : 'NOT '}DEFERRABLE`,
  ];
  return encodeUnsynced(`BEGIN ${modes.filter((mode) => mode !== '').join(', ')}`);
}
