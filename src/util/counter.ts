/** What is counted under labels beyond the bound: something was labelled with a value that is not from a closed set. */
export const OVERFLOW_LABEL = 'other';

/** Far more than any closed set of reasons has, far less than would hurt a scrape. */
const MAX_LABELS = 100;

interface Cell {
  count: number;
}

/** Counts by one label from a closed set. Bounded: labels beyond the hundredth are counted together as `other`. */
export class LabelCounter {
  readonly #cells = new Map<string, Cell>();

  inc(label: string, by = 1): void {
    const cell = this.#cells.get(label);
    if (cell === undefined) this.#add(label, by);
    else cell.count += by;
  }

  get(label: string): number {
    return this.#cells.get(label)?.count ?? 0;
  }

  get total(): number {
    let total = 0;
    for (const cell of this.#cells.values()) total += cell.count;
    return total;
  }

  *entries(): IterableIterator<[label: string, count: number]> {
    for (const [label, cell] of this.#cells) yield [label, cell.count];
  }

  #add(label: string, by: number): void {
    const key = this.#cells.size < MAX_LABELS ? label : OVERFLOW_LABEL;
    const cell = this.#cells.get(key);
    if (cell === undefined) this.#cells.set(key, { count: by });
    else cell.count += by;
  }
}

/** Counts by two labels, each from a closed set, with the bound of {@link LabelCounter} on either. */
export class PairCounter {
  readonly #counters = new Map<string, LabelCounter>();

  inc(first: string, second: string, by = 1): void {
    const counter = this.#counters.get(first);
    if (counter === undefined) this.#add(first, second, by);
    else counter.inc(second, by);
  }

  get(first: string, second: string): number {
    return this.#counters.get(first)?.get(second) ?? 0;
  }

  *entries(): IterableIterator<[first: string, second: string, count: number]> {
    for (const [first, counter] of this.#counters) {
      for (const [second, count] of counter.entries()) yield [first, second, count];
    }
  }

  #add(first: string, second: string, by: number): void {
    const key = this.#counters.size < MAX_LABELS ? first : OVERFLOW_LABEL;
    const counter = this.#counters.get(key) ?? new LabelCounter();
    this.#counters.set(key, counter);
    counter.inc(second, by);
  }
}
