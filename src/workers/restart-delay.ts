/** Who lived that long did not die of its start. */
const PROVEN_LIFE_MS = 10_000;
/** After the first death at once; doubled with each further one. */
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 10_000;

/** How long to wait before a worker is replaced: not at all after a long life, longer and longer after short ones in a row. */
export class RestartDelay {
  #shortLives = 0;

  /** @returns milliseconds until the next one may be started. */
  died(livedMs: number): number {
    this.#shortLives = livedMs >= PROVEN_LIFE_MS ? 0 : this.#shortLives + 1;
    return this.#shortLives === 0 ? 0 : Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (this.#shortLives - 1));
  }
}
