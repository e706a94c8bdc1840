import { Lru } from './lru.ts';

/**
 * Run-time settings that differ from what a fresh connection of the same user, database and startup parameters has: what a
 * session wants, and what a backend connection has. Immutable; equal sets are nearly always the same object, so the
 * comparison on every lease is one pointer comparison.
 *
 * Names are in lower case as in pg_settings; `role` and `session_authorization` are settings like any other here. Values are
 * the text of `current_setting`, byte-as-char.
 */
export class SettingsSet {
  readonly entries: ReadonlyMap<string, string>;
  readonly #key: string;
  #forPlans: SettingsSet | null = null;

  private constructor(entries: ReadonlyMap<string, string>, key: string) {
    this.entries = entries;
    this.#key = key;
  }

  static readonly empty: SettingsSet = new SettingsSet(new Map(), '');

  /** Many sessions of one application share few sets; a forgotten one only loses the quick comparison. */
  static readonly #known = new Lru<string, SettingsSet>(4096);

  static of(entries: ReadonlyMap<string, string>): SettingsSet {
    if (entries.size === 0) return SettingsSet.empty;
    const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
    const key = JSON.stringify(sorted);
    const known = SettingsSet.#known.get(key);
    if (known !== undefined) return known;
    const made = new SettingsSet(new Map(sorted), key);
    SettingsSet.#known.set(key, made);
    return made;
  }

  equals(other: SettingsSet): boolean {
    return this === other || this.#key === other.#key;
  }

  /** Those of them that statements may mean another thing under: all but a few. */
  get forPlans(): SettingsSet {
    this.#forPlans ??= SettingsSet.of(new Map([...this.entries].filter(([name]) => !WITHOUT_MEANING.has(name))));
    return this.#forPlans;
  }

  with(name: string, value: string): SettingsSet {
    if (this.entries.get(name) === value) return this;
    return SettingsSet.of(new Map(this.entries).set(name, value));
  }

  without(name: string): SettingsSet {
    if (!this.entries.has(name)) return this;
    const rest = new Map(this.entries);
    rest.delete(name);
    return SettingsSet.of(rest);
  }
}

/** What PostgreSQL makes of a statement does not depend on them. */
const WITHOUT_MEANING: ReadonlySet<string> = new Set([
  'application_name',
  'client_min_messages',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'lock_timeout',
  'statement_timeout',
]);
