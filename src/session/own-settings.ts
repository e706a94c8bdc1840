import type { StatementFacts } from '../sql/facts.ts';
import { OperationalError } from '../util/errors.ts';
import type { LocalResult } from './local-answers.ts';

/** Settings of pgweir itself, which no backend knows. */
const PREFIX = 'pgweir.';

interface Values {
  /** Null: decided by pgweir. */
  readonly route: 'primary' | 'replica' | null;
  /** Null: no bound but `routing.max_lag`. */
  readonly maxStalenessMs: number | null;
}

/**
 * `pgweir.route` and `pgweir.max_staleness` of one session, with PostgreSQL's SET, SET LOCAL, RESET and SHOW, and its rules
 * for transactions; savepoints are not followed.
 */
export class OwnSettings {
  #now: Values = { route: null, maxStalenessMs: null };
  readonly #initial: Values;
  /** What will hold after the transaction, by how it ends; null while nothing was set in it. */
  #after: { readonly rollback: Values; commit: Values } | null = null;

  /** @param startup pairs of the startup packet whose names begin with `pgweir.` @throws OperationalError for a bad one */
  constructor(startup: ReadonlyMap<string, string>) {
    for (const [name, value] of startup) this.#now = assigned(this.#now, name, value);
    this.#initial = this.#now;
  }

  get route(): Values['route'] {
    return this.#now.route;
  }

  get maxStalenessMs(): number | null {
    return this.#now.maxStalenessMs;
  }

  /** Something was set in the transaction that is open: its end must be told. */
  get followsTransaction(): boolean {
    return this.#after !== null;
  }

  transactionEnded(committed: boolean): void {
    if (this.#after === null) return;
    this.#now = committed ? this.#after.commit : this.#after.rollback;
    this.#after = null;
  }

  /** DISCARD ALL and RESET ALL. */
  resetAll(inTransaction: boolean): void {
    this.#set({ inTransaction, local: false }, () => this.#initial);
  }

  /**
   * Answers a statement about a setting of pgweir; null when it is about something else.
   * @throws OperationalError `undefined_parameter`, `invalid_parameter_value`
   */
  answer(statement: StatementFacts, inTransaction: boolean): LocalResult | null {
    if (!isOwnSetting(statement)) return null;
    if (statement.kind === 'show') return { tag: 'SHOW', column: { name: statement.name, value: this.#show(statement.name) } };
    if (statement.kind === 'reset' || statement.toDefault) {
      const local = statement.kind === 'set' && statement.local;
      this.#set({ inTransaction, local }, (values) => assigned(values, statement.name, this.#initialText(statement.name)));
      return { tag: statement.kind === 'reset' ? 'RESET' : 'SET' };
    }
    const { name, value, local } = statement;
    this.#set({ inTransaction, local }, (values) => assigned(values, name, value ?? ''));
    if (!statement.returnsRow) return { tag: 'SET' };
    return { tag: 'SELECT 1', column: { name: 'set_config', value: value ?? '' } };
  }

  #set({ inTransaction, local }: { inTransaction: boolean; local: boolean }, change: (values: Values) => Values): void {
    const before = this.#now;
    const changed = change(before);
    if (local && !inTransaction) return;
    this.#now = changed;
    if (!inTransaction) return;
    this.#after ??= { rollback: before, commit: before };
    if (!local) this.#after.commit = change(this.#after.commit);
  }

  #show(name: string): string {
    if (name === 'pgweir.route') return this.route ?? 'auto';
    if (name === 'pgweir.max_staleness') return this.maxStalenessMs === null ? 'off' : `${this.maxStalenessMs}ms`;
    throw unknown(name);
  }

  #initialText(name: string): string {
    if (name === 'pgweir.route') return this.#initial.route ?? 'auto';
    return this.#initial.maxStalenessMs === null ? 'off' : `${this.#initial.maxStalenessMs}ms`;
  }
}

/** @throws OperationalError `undefined_parameter`, `invalid_parameter_value` */
function assigned(values: Values, name: string, value: string): Values {
  if (name === 'pgweir.route') {
    if (value !== 'primary' && value !== 'replica' && value !== 'auto') throw invalid(name, value, 'primary, replica, auto');
    return { ...values, route: value === 'auto' ? null : value };
  }
  if (name === 'pgweir.max_staleness') {
    const ms = value === 'off' ? null : durationMs(value);
    if (ms === undefined) throw invalid(name, value, 'off, or a duration as 500ms, 5s, 1min');
    return { ...values, maxStalenessMs: ms };
  }
  throw unknown(name);
}

type SettingStatement = Extract<StatementFacts, { readonly kind: 'set' | 'reset' | 'show' }>;

/** Whether a statement is about a setting of pgweir. */
export function isOwnSetting(statement: StatementFacts): statement is SettingStatement {
  return (
    (statement.kind === 'set' || statement.kind === 'reset' || statement.kind === 'show') && statement.name.startsWith(PREFIX)
  );
}

const UNITS: Readonly<Record<string, number>> = { '': 1, ms: 1, s: 1000, min: 60_000 };

/** A duration as PostgreSQL writes it; milliseconds without a unit. */
function durationMs(text: string): number | undefined {
  const match = /^(\d{1,9})\s*(ms|s|min|)$/.exec(text.trim());
  const unit = UNITS[match?.[2] ?? ''];
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit;
}

function invalid(name: string, value: string, allowed: string): OperationalError {
  return new OperationalError('invalid_parameter_value', `invalid value for parameter "${name}": "${value}"`, {
    hint: `Available values: ${allowed}.`,
  });
}

function unknown(name: string): OperationalError {
  return new OperationalError('undefined_parameter', `unrecognized configuration parameter "${name}"`, {
    hint: 'pgweir knows pgweir.route and pgweir.max_staleness.',
  });
}
