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
