import { encodeUnsynced } from '../protocol/frontend-encoders.ts';
import type { StatementFacts, TransactionModes } from '../sql/facts.ts';
import { bearsOnPlans } from '../util/settings-set.ts';
import { isTransactional } from './aftermath.ts';
import type { LocalResult } from './local-answers.ts';
import type { SessionState } from './state.ts';

/**
 * The choice of a backend is made at a transaction's first statement, not at its BEGIN. BEGIN is answered here and
 * remembered; SET TRANSACTION and settings whose validity is beyond doubt join it; COMMIT and ROLLBACK behind nothing else
 * end it without any backend having known of it. Everything else goes to a backend, with what was remembered ahead of it.
 */
export function deferredAnswer(
  state: SessionState,
  statement: StatementFacts,
  text: string,
  reported: ReadonlyMap<string, string>,
): LocalResult | null {
  if (state.transaction === 'idle') {
    if (statement.kind !== 'begin' || !isAscii(text)) return null;
    state.transaction = 'deferred';
    state.deferred = {
      preamble: [encodeUnsynced(text)],
      modes: statement.modes,
      bearsOnPlans: false,
      settings: new Map(),
      failed: false,
    };
    return { tag: /^\s*start\b/i.test(text) ? 'START TRANSACTION' : 'BEGIN' };
  }
  const { deferred } = state;
  if (state.transaction !== 'deferred' || deferred === null) return null;
  switch (statement.kind) {
    case 'set transaction':
      if (statement.snapshot) return null;
      deferred.preamble.push(encodeUnsynced(text));
      deferred.modes = mergeModes(deferred.modes, statement.modes);
      return { tag: 'SET' };
    case 'set':
      if (statement.returnsRow || statement.value === null || !isBeyondDoubt(statement.name, statement.value)) return null;
      // Its ParameterStatus belongs here, and again where the setting ends.
      if (reported.has(statement.name)) return null;
      deferred.preamble.push(encodeUnsynced(text));
      deferred.bearsOnPlans ||= bearsOnPlans(statement.name);
      if (!statement.local) deferred.settings.set(statement.name, statement.value);
      return { tag: 'SET' };
    case 'commit':
    case 'rollback':
      if (statement.chain) return null;
      if (statement.kind === 'commit') {
        for (const [name, value] of deferred.settings) state.settings = state.settings.with(name, value);
      }
      state.transaction = 'idle';
      state.deferred = null;
      return { tag: statement.kind === 'commit' ? 'COMMIT' : 'ROLLBACK' };
    default:
      return null;
  }
}

/** Later modes overrule earlier ones. */
function mergeModes(earlier: TransactionModes, later: TransactionModes): TransactionModes {
  return { ...earlier, ...later };
}

/** `SET name = value` cannot fail: nobody has to wait for PostgreSQL's word. */
function isBeyondDoubt(name: string, value: string): boolean {
  if (isTransactional(name)) return false;
  if (TIMEOUTS.has(name)) return DURATION.test(value);
  return name === 'search_path';
}

const TIMEOUTS: ReadonlySet<string> = new Set([
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'transaction_timeout',
]);

/** Milliseconds or with a unit, well inside the range of an integer. Source: guc.c, parse_int. */
const DURATION = /^(\d{1,6}(ms|s)?|\d{1,4}min|\d{1,2}h)$/;

/** Whether a text is valid in every encoding: a BEGIN that is answered here must not be refused for its own when it is sent at last. */
export function isAscii(text: string): boolean {
  return ASCII.test(text);
}

const ASCII = /^[ -~\t\n\r\f\v]*$/;
