import type { StatementFacts } from '../sql/facts.ts';
import { OperationalError } from '../util/errors.ts';
import type { LocalResult } from './local-answers.ts';

/** Settings of pgweir itself, which no backend knows. */
const PREFIX = 'pgweir.';

/** `pgweir.route` and `pgweir.max_staleness` of one session, with PostgreSQL's SET, SET LOCAL, RESET and SHOW. */
export class OwnSettings {
  /** Null: decided by pgweir. */
  route: 'primary' | 'replica' | null = null;
  /** Null: no bound but `routing.max_lag`. */
  maxStalenessMs: number | null = null;
  readonly #initial: { readonly route: OwnSettings['route']; readonly maxStalenessMs: number | null };
  /** Values to return to when the transaction ends, while SET LOCAL holds. */
  #saved: { readonly route: OwnSettings['route']; readonly maxStalenessMs: number | null } | null = null;

  /** @param startup pairs of the startup packet whose names begin with `pgweir.` @throws OperationalError for a bad one */
  constructor(startup: ReadonlyMap<string, string>) {
    for (const [name, value] of startup) this.#assign(name, value);
    this.#initial = { route: this.route, maxStalenessMs: this.maxStalenessMs };
  }

  /** The transaction is over: SET LOCAL no longer holds. */
  transactionEnded(): void {
    if (this.#saved === null) return;
    this.route = this.#saved.route;
    this.maxStalenessMs = this.#saved.maxStalenessMs;
    this.#saved = null;
  }

  /** DISCARD ALL and RESET ALL. */
  reset(): void {
    this.route = this.#initial.route;
    this.maxStalenessMs = this.#initial.maxStalenessMs;
    this.#saved = null;
  }

  /**
   * Answers a statement about a setting of pgweir; null when it is about something else.
   * @throws OperationalError `undefined_parameter`, `invalid_parameter_value`
   */
  answer(statement: StatementFacts, inTransaction: boolean): LocalResult | null {
    if (!isOwnSetting(statement)) return null;
    if (statement.kind === 'show') return { tag: 'SHOW', column: { name: statement.name, value: this.#show(statement.name) } };
    if (statement.kind === 'reset' || statement.toDefault) {
      this.#assign(statement.name, this.#initialText(statement.name));
      return { tag: statement.kind === 'reset' ? 'RESET' : 'SET' };
    }
    if (statement.local && inTransaction) this.#saved ??= { route: this.route, maxStalenessMs: this.maxStalenessMs };
    if (!statement.local || inTransaction) this.#assign(statement.name, statement.value ?? '');
    if (!statement.returnsRow) return { tag: 'SET' };
    return { tag: 'SELECT 1', column: { name: 'set_config', value: statement.value ?? '' } };
  }

  #assign(name: string, value: string): void {
    if (name === 'pgweir.route') {
      if (value !== 'primary' && value !== 'replica' && value !== 'auto') throw invalid(name, value, 'primary, replica, auto');
      this.route = value === 'auto' ? null : value;
    } else if (name === 'pgweir.max_staleness') {
      const ms = value === 'off' ? null : durationMs(value);
      if (ms === undefined) throw invalid(name, value, 'off, or a duration as 500ms, 5s, 1min');
      this.maxStalenessMs = ms;
    } else throw unknown(name);
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
