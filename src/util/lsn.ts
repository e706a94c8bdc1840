/**
 * A WAL position as PostgreSQL prints it (`16/B374D848`), held as one number: 2^53 bytes is 8 PiB of WAL, and the
 * comparison on every read stays a number comparison. Source: src/backend/utils/adt/pg_lsn.c.
 */
export type Lsn = number & { readonly __brand: 'Lsn' };

const TEXT = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;
const HIGH = 2 ** 32;

/** Parses `hex/hex`. Returns null for anything else, or for a position beyond 2^53. */
export function parseLsn(text: string): Lsn | null {
  const match = TEXT.exec(text);
  if (match === null) return null;
  const [, high = '', low = ''] = match;
  const value = Number.parseInt(high, 16) * HIGH + Number.parseInt(low, 16);
  return Number.isSafeInteger(value) ? (value as Lsn) : null;
}

/** The text PostgreSQL would print: upper-case hexadecimal without leading zeros. */
export function formatLsn(lsn: Lsn): string {
  const low = lsn % HIGH;
  return `${((lsn - low) / HIGH).toString(16).toUpperCase()}/${low.toString(16).toUpperCase()}`;
}
