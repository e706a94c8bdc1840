import {
  blockCommentEnd,
  classOf,
  DASH,
  DIGIT,
  DOLLAR,
  DOUBLE_QUOTE,
  digitsEnd,
  dollarQuoteEnd,
  IDENTIFIER,
  lineCommentEnd,
  QUOTE,
  quotedIdentifierEnd,
  SLASH,
  stringEnd,
  wordEnd,
} from './lexemes.ts';
import { listOpening, plainList } from './plain-list.ts';

/**
 * The shape of a text: itself SQL, with a placeholder of the same kind for every literal (`'x'`, `E'x'`, `$$x$$`, `1`),
 * with comments emptied, and with lists of plain values behind IN, ARRAY and VALUES cut down to what distinguishes them. The
 * facts of a text are computed from its shape, so equal shapes have equal facts by construction. Where a literal's value
 * matters to the facts, classification says so from the shape alone, and the text itself is looked at
 * (`statement-cache.ts`).
 *
 * Comments that may be hints stand behind the shape, each after a zero byte, which cannot occur in SQL on the wire.
 *
 * One pass, no backtracking but for a list that turns out not to be plain. Runs between literals are sliced, never
 * copied character by character. From an unterminated token on, the text is kept: it does not parse, and must not look
 * as if it did.
 */

/** Longer texts are not looked at and go to the primary: a scan takes about 1 ms at this length. */
export const MAX_SCAN_CHARACTERS = 262_144;

/** Between the shape and each hint behind it. */
export const HINT_SEPARATOR = '\0';

const HINT_MARK = 'pgweir';

/** The cache key of a byte-as-char text; see the head of this file. */
export function shapeOf(text: string): string {
  const length = text.length;
  let shape = '';
  let hints = '';
  /** Everything before this index is in `shape`. */
  let copied = 0;
  let i = 0;
  while (i < length) {
    const start = i;
    switch (classOf(text.charCodeAt(i))) {
      case IDENTIFIER: {
        i = wordEnd(text, i);
        if (i - start > 6) continue;
        if (i - start === 1) {
          const end = prefixedLiteralEnd(text, start);
          if (end < 0) continue;
          i = end;
          if ((text.charCodeAt(start) | 32) !== LETTER_E || i > length) continue;
          shape += `${text.slice(copied, start)}E'x'`;
          copied = i;
          continue;
        }
        const opening = listOpening(text, start, i);
        if (opening < 0) continue;
        const list = plainList(text, opening, i - start === 6);
        if (list === null) continue;
        shape += text.slice(copied, opening) + list.shape;
        i = list.end;
        copied = i;
        continue;
      }
      case DIGIT:
        i = digitsEnd(text, i);
        // Letters or an underscore directly behind belong to the number (1e5, 0x1F, 1_000): it is kept.
        if (i < length && classOf(text.charCodeAt(i)) === IDENTIFIER) {
          i = wordEnd(text, i);
          continue;
        }
        shape += `${text.slice(copied, start)}1`;
        copied = i;
        continue;
      case QUOTE:
        i = stringEnd(text, i, false);
        if (i > length || followsUescape(text, start)) continue;
        shape += `${text.slice(copied, start)}'x'`;
        copied = i;
        continue;
      case DOUBLE_QUOTE:
        i = quotedIdentifierEnd(text, i);
        continue;
      case DOLLAR: {
        const end = dollarQuoteEnd(text, i);
        // Not a dollar quote: a parameter, whose number is kept.
        i = end < 0 ? digitsEnd(text, i + 1) : end;
        if (end < 0 || i > length) continue;
        shape += `${text.slice(copied, start)}$$x$$`;
        copied = i;
        continue;
      }
      case DASH:
        i += 1;
        if (text.charCodeAt(i) !== CHAR_DASH) continue;
        i = lineCommentEnd(text, start);
        hints += hintIn(text, start + 2, i);
        shape += `${text.slice(copied, start)} `;
        copied = i;
        continue;
      case SLASH:
        i += 1;
        if (text.charCodeAt(i) !== CHAR_STAR) continue;
        i = blockCommentEnd(text, start);
        if (i > length) continue;
        hints += hintIn(text, start + 2, i - 2);
        // Not a blank: unlike one, a block comment keeps two strings on two lines from being one literal.
        shape += `${text.slice(copied, start)}/**/`;
        copied = i;
        continue;
      default:
        i += 1;
    }
  }
  return copied === 0 ? text : shape + text.slice(copied) + hints;
}

const CHAR_QUOTE = 39;
const CHAR_STAR = 42;
const CHAR_DASH = 45;
const CHAR_AMPERSAND = 38;
const LETTER_B = 98;
const LETTER_E = 101;
const LETTER_N = 110;
const LETTER_U = 117;
const LETTER_X = 120;

/** For a one-letter word at `start`: the end of the literal that it is the prefix of (`E'' B'' N'' X'' U&''`), or -1. */
function prefixedLiteralEnd(text: string, start: number): number {
  const letter = text.charCodeAt(start) | 32;
  const next = text.charCodeAt(start + 1);
  if (next === CHAR_QUOTE) {
    if (letter !== LETTER_E && letter !== LETTER_B && letter !== LETTER_N && letter !== LETTER_X) return -1;
    return stringEnd(text, start + 1, letter === LETTER_E);
  }
  if (letter !== LETTER_U || next !== CHAR_AMPERSAND || text.charCodeAt(start + 2) !== CHAR_QUOTE) return -1;
  return stringEnd(text, start + 2, false);
}

/** True for the `'!'` of `U&'...' UESCAPE '!'`, which the grammar wants to be one character. */
function followsUescape(text: string, start: number): boolean {
  let i = start - 1;
  while (i >= 0 && text.charCodeAt(i) <= 32) i -= 1;
  const letter = text.charCodeAt(i) | 32;
  return letter === LETTER_E && text.slice(Math.max(0, i - 6), i + 1).toLowerCase() === 'uescape';
}

function hintIn(text: string, start: number, end: number): string {
  if (end - start < HINT_MARK.length) return '';
  const comment = text.slice(start, end);
  return comment.includes(HINT_MARK) ? HINT_SEPARATOR + comment : '';
}
