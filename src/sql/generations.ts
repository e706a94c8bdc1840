/**
 * A bounded map that forgets roughly what was used longest ago, in two generations: what is used stands in the young
 * one; when that is full it becomes the old one, and the old one is forgotten. A hit costs one lookup and writes nothing,
 * which an exact order of use could not.
 */
export class Generations<V> {
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  #young = new Map<string, V>();
  #old = new Map<string, V>();
  #youngBytes = 0;
  #oldBytes = 0;

  /** The bounds hold for both generations together. `bytesOf` must say the same for a key whenever it is asked. */
  constructor(bounds: { readonly maxEntries: number; readonly maxBytes: number }) {
    this.#maxEntries = bounds.maxEntries;
    this.#maxBytes = bounds.maxBytes;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get bytes(): number {
    return this.#youngBytes + this.#oldBytes;
  }

  get(key: string): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.#old.delete(key);
    this.#oldBytes -= bytesOf(key);
    this.set(key, old);
    return old;
  }

  /** Keeps a value for a key that is not there yet. One that is too large by itself is not kept. */
  set(key: string, value: V): void {
    const bytes = bytesOf(key);
    if (bytes > this.#maxBytes / 2) return;
    if (this.#young.size >= this.#maxEntries / 2 || this.#youngBytes + bytes > this.#maxBytes / 2) {
      this.#old = this.#young;
      this.#oldBytes = this.#youngBytes;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(key, value);
    this.#youngBytes += bytes;
  }
}

/** Of the key, and about what the findings and facts of a text take: names from the text, and some fixed structure. */
const BYTES_PER_ENTRY = 1024;

function bytesOf(key: string): number {
  return BYTES_PER_ENTRY + 3 * key.length;
}
