import { assert } from './assert.ts';

/**
 * A map of bounded size that forgets what was used longest ago. Insertion order of `Map` is the recency list; it is kept once
 * half of the bound is reached, since before that nothing is near to being forgotten, and moving an entry costs more than
 * finding it.
 */
export class Lru<K, V> {
  readonly #entries = new Map<K, V>();
  readonly #maxEntries: number;
  readonly #onEvict: ((key: K, value: V) => void) | null;

  /** @param onEvict called for each entry that is pushed out by the bound (not by `delete`). */
  constructor(maxEntries: number, onEvict: ((key: K, value: V) => void) | null = null) {
    assert(Number.isInteger(maxEntries) && maxEntries > 0, `Lru needs a positive bound, got ${maxEntries}`);
    this.#maxEntries = maxEntries;
    this.#onEvict = onEvict;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined && 2 * this.#entries.size > this.#maxEntries) {
      this.#entries.delete(key);
      this.#entries.set(key, value);
    }
    return value;
  }

  /** Looks without counting as a use. */
  peek(key: K): V | undefined {
    return this.#entries.get(key);
  }

  set(key: K, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size <= this.#maxEntries) return;
    const oldest = this.#entries.entries().next();
    if (oldest.done) return;
    this.#entries.delete(oldest.value[0]);
    this.#onEvict?.(oldest.value[0], oldest.value[1]);
  }

  delete(key: K): boolean {
    return this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }

  entries(): IterableIterator<[K, V]> {
    return this.#entries.entries();
  }
}
