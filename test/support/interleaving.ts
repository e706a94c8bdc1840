import { randomFrom } from './player.ts';

/** How long others wait for one that acts before they go on without it: its step may be waiting for them. */
const PATIENCE_MS = 40;

/**
 * Lets sessions act one at a time, in an order that a seed decides. One whose step is not done in time is left to wait, as
 * it must be when the others hold all the connections.
 */
export class Interleaving {
  readonly #random: () => number;
  /** Sessions that have not left and whose step is not overdue. */
  #present: number;
  #acting = false;
  readonly #wanting: ((done: () => void) => void)[] = [];

  constructor(sessions: number, seed: number) {
    this.#present = sessions;
    this.#random = randomFrom(seed);
  }

  /** Resolves when it is the caller's turn, with what ends it. */
  turn(): Promise<() => void> {
    return new Promise((resolve) => {
      this.#wanting.push(resolve);
      this.#next();
    });
  }

  /** The session will want no turn again. */
  leave(): void {
    this.#present--;
    this.#next();
  }

  #next(): void {
    if (this.#acting || this.#wanting.length === 0 || this.#wanting.length < this.#present) return;
    const [chosen] = this.#wanting.splice(Math.floor(this.#random() * this.#wanting.length), 1);
    this.#acting = true;
    let overdue = false;
    const timer = setTimeout(() => {
      overdue = true;
      this.#present--;
      this.#acting = false;
      this.#next();
    }, PATIENCE_MS);
    chosen?.(() => {
      clearTimeout(timer);
      if (overdue) this.#present++;
      else this.#acting = false;
    });
  }
}
