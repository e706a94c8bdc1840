import type { StatementFacts } from '../sql/facts.ts';
import { OperationalError } from '../util/errors.ts';
import { deferredAnswer } from './deferral.ts';
import { isPlainRun, type LocalResult, localReply, readyFor } from './local-answers.ts';
import { IN_FAILED_TRANSACTION } from './losses.ts';
import type { Names } from './names.ts';
import type { Outbox } from './outbox.ts';
import { isOwnSetting, type OwnSettings } from './own-settings.ts';
import type { SessionState } from './state.ts';
import type { Work } from './work.ts';

export interface HereParts {
  readonly state: SessionState;
  readonly own: OwnSettings;
  readonly names: Names;
  readonly outbox: Outbox;
  /** Settings as the server reported them at login. */
  readonly reported: ReadonlyMap<string, string>;
  readonly refuse: (work: Work, error: OperationalError) => void;
}

/**
 * What is answered without a backend: a BEGIN that is put off and what joins it, pgweir's own settings, DEALLOCATE of a
 * statement that only pgweir knows by that name, and the end of a transaction whose connection was lost.
 */
export class Here {
  readonly #parts: HereParts;

  constructor(parts: HereParts) {
    this.#parts = parts;
  }

  /** Whether the work is one that may have to be answered here, for which everything before it must be answered. */
  mayAnswer(work: Work): boolean {
    const { state } = this.#parts;
    const only = loneControl(work);
    if (state.transaction === 'failed' && state.active === null) return true;
    if (isLoneSync(work)) return state.active === null;
    if (only === null) return false;
    if (isOwnSetting(only)) return true;
    if (only.kind === 'deallocate' && state.transaction !== 'failed')
      return only.name !== null && state.statements.get(only.name) !== null;
    if (state.transaction === 'deferred') return true;
    const pipelined = state.works.length > 0 && state.activeIsPrimary;
    return only.kind === 'begin' && state.transaction === 'idle' && !state.pinned && !pipelined && !state.expectsTransaction;
  }

  /** Answers the work; false when it needs a backend after all. Nothing is under way. */
  answer(work: Work): boolean {
    const { state, own, refuse } = this.#parts;
    const only = loneControl(work);
    if (isLoneSync(work)) {
      this.#done(work, readyFor(state.transaction));
      return true;
    }
    if (state.transaction === 'failed' && state.active === null) {
      this.#inLostTransaction(work, only);
      return true;
    }
    if (only === null) return false;
    if (isOwnSetting(only) && state.transaction === 'failed') {
      this.#failed(work, new OperationalError('in_failed_transaction', IN_FAILED_TRANSACTION));
      return true;
    }
    let result: LocalResult | null;
    try {
      result = this.#result(work, only);
    } catch (error) {
      if (!(error instanceof OperationalError)) throw error;
      refuse(work, error);
      return true;
    }
    if (result === null) return false;
    if (state.transaction === 'idle') own.transactionEnded(only.kind === 'commit');
    this.#done(work, localReply(work, result, state.transaction));
    return true;
  }

  #done(work: Work, reply: Buffer): void {
    this.#parts.names.confirm(work);
    this.#parts.outbox.answer(reply);
  }

  #failed(work: Work, error: OperationalError): void {
    this.#parts.names.takeBackAll(work);
    this.#parts.outbox.error(work, error);
  }

  #result(work: Work, only: StatementFacts): LocalResult | null {
    const { state, own, reported } = this.#parts;
    const result = own.answer(only, state.transaction !== 'idle');
    if (result !== null) return result;
    if (only.kind === 'deallocate' && only.name !== null && state.statements.get(only.name) !== null) {
      state.statements.remove(only.name);
      return { tag: 'DEALLOCATE' };
    }
    return deferredAnswer(state, only, work.text, reported);
  }

  /** Only the end of the transaction is left; the first that is asked of it hears of the loss. */
  #inLostTransaction(work: Work, only: StatementFacts | null): void {
    const { state, own } = this.#parts;
    const loss = state.untoldLoss;
    state.untoldLoss = null;
    const ends = only?.kind === 'rollback' || only?.kind === 'commit';
    if (ends) {
      state.transaction = 'idle';
      own.transactionEnded(false);
    }
    if (ends && (loss === null || only.kind === 'rollback')) this.#done(work, localReply(work, { tag: 'ROLLBACK' }, 'idle'));
    else this.#failed(work, loss ?? new OperationalError('in_failed_transaction', IN_FAILED_TRANSACTION));
  }
}

const HEADER_BYTES = 5;

/** The work's only statement, unless it is a query or stands among messages that PostgreSQL may refuse. */
function loneControl(work: Work): StatementFacts | null {
  const only = work.complete ? work.onlyStatement : null;
  return only === null || only.kind === 'query' || (work.kind === 'batch' && !isPlainRun(work)) ? null : only;
}

/** A Sync with nothing to end, and nothing in it that PostgreSQL would complain of. */
function isLoneSync(work: Work): boolean {
  return work.kind === 'batch' && work.complete && work.messages.length === 1 && work.messages[0]?.length === HEADER_BYTES;
}
