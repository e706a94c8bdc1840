import { classOf, DIGIT, DOLLAR, digitsEnd, IDENTIFIER, QUOTE, stringEnd, wordEnd } from './lexemes.ts';

/**
 * Lists of plain values (literals, parameters, NULL, TRUE, FALSE, DEFAULT, each perhaps with a sign or a cast) behind IN,
 * ARRAY and VALUES. Their length and their values say nothing about the statement, so that a thousand different batch
 * sizes are one shape.
 */

export interface PlainList {
  readonly shape: string;
  /** The index behind the list in the text. */
  readonly end: number;
}

/**
 * For the word from `start` to `end`: the index of the bracket that opens its list if the word is IN, ARRAY or VALUES,
 * else -1.
 */
export function listOpening(text: string, start: number, end: number): number {
  let bracket = PARENTHESIS;
  switch (end - start) {
    case 2:
      if (!isWord(text, start, 'in')) return -1;
      break;
    case 5:
      if (!isWord(text, start, 'array')) return -1;
      bracket = SQUARE;
      break;
    case 6:
      if (!isWord(text, start, 'values')) return -1;
      break;
    default:
      return -1;
  }
  const opening = skipBlanks(text, end);
  return text.charCodeAt(opening) === bracket ? opening : -1;
}

/**
 * The list that opens at `start`, or null if it holds anything but plain values. Of `rows` (VALUES), repetitions of the
 * same row follow on; of a simple list, neighbours of the same kind are one.
 */
export function plainList(text: string, start: number, rows: boolean): PlainList | null {
  const first = bracketed(text, start, !rows);
  if (first === null || !rows) return first;
  let end = first.end;
  for (;;) {
    const comma = skipBlanks(text, end);
    if (text.charCodeAt(comma) !== COMMA) break;
    const opening = skipBlanks(text, comma + 1);
    if (text.charCodeAt(opening) !== PARENTHESIS) break;
    const row = bracketed(text, opening, false);
    if (row === null || row.shape !== first.shape) break;
    end = row.end;
  }
  return { shape: first.shape, end };
}

const PARENTHESIS = 40;
const CLOSE_PARENTHESIS = 41;
const SQUARE = 91;
const CLOSE_SQUARE = 93;
const PLAIN_WORD = /^(?:null|true|false|default)$/i;
const COMMA = 44;
const MINUS = 45;
const DOT = 46;
const COLON = 58;

/** One bracket with its plain values; with `merge`, a value of the same shape as its neighbour is left out. */
function bracketed(text: string, start: number, merge: boolean): PlainList | null {
  const close = text.charCodeAt(start) === SQUARE ? CLOSE_SQUARE : CLOSE_PARENTHESIS;
  let shape = text.charAt(start);
  let previous = '';
  let i = start + 1;
  for (;;) {
    const value = plainValue(text, skipBlanks(text, i));
    if (value === null) return null;
    if (previous === '') shape += value.shape;
    else if (!merge || value.shape !== previous) shape += `,${value.shape}`;
    previous = value.shape;
    i = skipBlanks(text, value.end);
    const next = text.charCodeAt(i);
    i += 1;
    if (next === close) return { shape: shape + text.charAt(i - 1), end: i };
    if (next !== COMMA) return null;
  }
}

function plainValue(text: string, start: number): PlainList | null {
  let shape: string;
  let end: number;
  switch (classOf(text.charCodeAt(start))) {
    case QUOTE:
      end = stringEnd(text, start, false);
      shape = "'x'";
      break;
    case DIGIT:
      end = numberEnd(text, start);
      shape = '1';
      break;
    case DOLLAR:
      end = digitsEnd(text, start + 1);
      if (end === start + 1) return null;
      shape = '$1';
      break;
    case IDENTIFIER:
      end = wordEnd(text, start);
      shape = text.slice(start, end);
      if (!PLAIN_WORD.test(shape)) return null;
      break;
    default:
      if (text.charCodeAt(start) !== MINUS || classOf(text.charCodeAt(start + 1)) !== DIGIT) return null;
      end = numberEnd(text, start + 1);
      shape = '-1';
  }
  if (end < 0 || end > text.length) return null;
  if (text.charCodeAt(end) !== COLON) return { shape, end };
  const cast = castEnd(text, end);
  return cast < 0 ? null : { shape: shape + text.slice(end, cast), end: cast };
}

/** The end of `123` or `1.5` at `start`, or -1 for the rarer spellings. */
function numberEnd(text: string, start: number): number {
  let end = digitsEnd(text, start);
  if (text.charCodeAt(end) === DOT && classOf(text.charCodeAt(end + 1)) === DIGIT) end = digitsEnd(text, end + 1);
  if (end === text.length) return end;
  const next = text.charCodeAt(end);
  return classOf(next) === IDENTIFIER || next === DOT ? -1 : end;
}

/** The end of the `::word` at `start`, or -1. */
function castEnd(text: string, start: number): number {
  const word = start + 2;
  if (text.charCodeAt(start + 1) !== COLON || word >= text.length) return -1;
  return classOf(text.charCodeAt(word)) === IDENTIFIER ? wordEnd(text, word) : -1;
}

function skipBlanks(text: string, start: number): number {
  let i = start;
  for (;;) {
    const c = text.charCodeAt(i);
    if (c !== 32 && c !== 10 && c !== 9 && c !== 13 && c !== 12) return i;
    i += 1;
  }
}

function isWord(text: string, start: number, word: string): boolean {
  for (let i = 0; i < word.length; i += 1) {
    if ((text.charCodeAt(start + i) | 32) !== word.charCodeAt(i)) return false;
  }
  return true;
}
