/** The value that the share `quantile` (0..1) of ascending values does not exceed (nearest rank); NaN of nothing. */
export function quantile(sorted: ArrayLike<number>, quantile: number): number {
  const rank = Math.max(1, Math.ceil(quantile * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

/** The middle one, or the mean of the middle two; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? Number.NaN) + upper) / 2 : upper;
}

/** The extremes as text, `97..105`; empty when they cannot differ. */
export function formatRange(values: readonly number[], digits: number): string {
  if (values.length < 2) return '';
  return `${Math.min(...values).toFixed(digits)}..${Math.max(...values).toFixed(digits)}`;
}

/** Everything once in its order, beginning with the one at `start`: whoever is always first always gets the same weather. */
export function rotated<Item>(items: readonly Item[], start: number): Item[] {
  const from = items.length === 0 ? 0 : start % items.length;
  return [...items.slice(from), ...items.slice(0, from)];
}
