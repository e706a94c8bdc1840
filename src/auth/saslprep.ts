import { decodeUtf8 } from '../util/wire-text.ts';
import { LEFT_TO_RIGHT, MAPPED_TO_NOTHING, NON_ASCII_SPACE, PROHIBITED, RIGHT_TO_LEFT, UNASSIGNED } from './saslprep-tables.ts';

/**
 * Prepares a password for SCRAM as PostgreSQL does: SASLprep (RFC 4013) where it applies, and the bytes as they are where
 * it does not (not UTF-8, a prohibited or unassigned character, mixed directions, nothing left).
 *
 * Like PostgreSQL, and unlike the RFC, the checks look at the characters before normalization, and U+200B counts as a
 * space. Source: pg_saslprep in src/common/saslprep.c.
 *
 * @param password bytes as the user gave them
 * @returns the bytes to derive keys from; `password` itself when nothing changes
 */
export function saslPrep(password: Buffer): Buffer {
  if (password.every((byte) => byte < 0x80)) return password;
  const text = decodeUtf8(password);
  if (text === null) return password;
  const mapped = mapCharacters(text);
  if (mapped.length === 0 || !isAllowed(mapped)) return password;
  return Buffer.from(String.fromCodePoint(...mapped).normalize('NFKC'), 'utf8');
}

function mapCharacters(text: string): number[] {
  const mapped: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (isIn(code, NON_ASCII_SPACE)) mapped.push(0x20);
    else if (!isIn(code, MAPPED_TO_NOTHING)) mapped.push(code);
  }
  return mapped;
}

function isAllowed(codes: readonly number[]): boolean {
  if (codes.some((code) => isIn(code, PROHIBITED) || isIn(code, UNASSIGNED))) return false;
  if (!codes.some((code) => isIn(code, RIGHT_TO_LEFT))) return true;
  return (
    isIn(codes[0] ?? 0, RIGHT_TO_LEFT) &&
    isIn(codes.at(-1) ?? 0, RIGHT_TO_LEFT) &&
    !codes.some((code) => isIn(code, LEFT_TO_RIGHT))
  );
}

/** Binary search in a flat list of first and last code points. */
function isIn(code: number, ranges: readonly number[]): boolean {
  let low = 0;
  let high = ranges.length / 2 - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (code < (ranges[2 * middle] ?? 0)) high = middle - 1;
    else if (code > (ranges[2 * middle + 1] ?? 0)) low = middle + 1;
    else return true;
  }
  return false;
}
