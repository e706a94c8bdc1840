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
  #isAnonymous: boolean | null = null;

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

  /** Those of them that PostgreSQL analyses statements by. */
  get forPlans(): SettingsSet {
    this.#forPlans ??= SettingsSet.of(new Map([...this.entries].filter(([name]) => bearsOnPlans(name))));
    return this.#forPlans;
  }

  /** None of them is one that functions may ask for who acts: custom settings, the role. */
  get isAnonymous(): boolean {
    this.#isAnonymous ??= ![...this.entries.keys()].some((name) => name.includes('.') || TELLS_WHO.has(name));
    return this.#isAnonymous;
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

/**
 * Whether a plan keeps what the setting was when its statement was analysed. The planner's settings only make it quicker or
 * slower, and what depends on the role or on who sees which rows PostgreSQL looks at anew by itself.
 */
export function bearsOnPlans(name: string): boolean {
  return BEARS_ON_PLANS.has(name);
}

/** By which literals are read, names are found, and parameters get their types. Source: input functions of types; gram.y; parse_expr.c. */
const BEARS_ON_PLANS: ReadonlySet<string> = new Set([
  'array_nulls',
  'backslash_quote',
  'client_encoding',
  'datestyle',
  'default_text_search_config',
  'intervalstyle',
  'lc_monetary',
  'lc_numeric',
  'lc_time',
  'search_path',
  'standard_conforming_strings',
  'timezone',
  'timezone_abbreviations',
  'transform_null_equals',
  'xmloption',
]);

const TELLS_WHO: ReadonlySet<string> = new Set(['role', 'session_authorization']);
