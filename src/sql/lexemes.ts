/**
 * Where tokens end, after PostgreSQL's src/backend/parser/scan.l with standard_conforming_strings=on. All functions
 * take byte-as-char text and return the index behind the token; for an unterminated one, an index beyond the text.
 */

/** Classes of a character that can begin a token of interest. */
const OTHER = 0;
export const IDENTIFIER = 1;
export const DIGIT = 2;
export const QUOTE = 3;
export const DOUBLE_QUOTE = 4;
export const DASH = 5;
export const SLASH = 6;
export const DOLLAR = 7;

const CLASSES = new Uint8Array(256);
/** 1 for a character that goes on an identifier: letters, digits, `_`, `$`, and every byte from 0x80. */
const CONTINUES = new Uint8Array(256);

for (let c = 0; c < 256; c += 1) {
  const letter = (c >= 65 && c <= 90) || (c >= 97 && c <= 122) || c === 95 || c >= 128;
  const digit = c >= 48 && c <= 57;
  if (letter) CLASSES[c] = IDENTIFIER;
  else if (digit) CLASSES[c] = DIGIT;
  if (letter || digit || c === 36) CONTINUES[c] = 1;
}
CLASSES[39] = QUOTE;
CLASSES[34] = DOUBLE_QUOTE;
CLASSES[45] = DASH;
CLASSES[47] = SLASH;
CLASSES[36] = DOLLAR;

/** The class of a character code; characters beyond a byte do not occur on the wire and count as letters. */
export function classOf(code: number): number {
  return code < 256 ? (CLASSES[code] ?? OTHER) : IDENTIFIER;
}

function continues(code: number): boolean {
  return code < 256 ? CONTINUES[code] === 1 : true;
}

/** The end of the identifier, keyword, or digits-and-letters run at `start`. */
export function wordEnd(text: string, start: number): number {
  const length = text.length;
  let i = start + 1;
  while (i < length && continues(text.charCodeAt(i))) i += 1;
  return i;
}

/** The end of the decimal digits at `start`. */
export function digitsEnd(text: string, start: number): number {
  const length = text.length;
  let i = start;
  while (i < length) {
    const c = text.charCodeAt(i);
    if (c < 48 || c > 57) break;
    i += 1;
  }
  return i;
}

/**
 * The end of the string literal whose opening quote is at `start`. With `escapes` (`E''`) a backslash takes the next
 * character along. A literal goes on behind whitespace that contains a newline, in the same mode.
 */
export function stringEnd(text: string, start: number, escapes: boolean): number {
  let i = start;
  for (;;) {
    i = escapes ? escapedSegmentEnd(text, i + 1) : segmentEnd(text, i + 1);
    const next = continuation(text, i);
    if (next < 0) return i;
    i = next;
  }
}

/** From behind the opening quote to behind the closing one; a doubled quote is a quote inside. */
function segmentEnd(text: string, start: number): number {
  let i = start;
  for (;;) {
    i = text.indexOf("'", i);
    if (i < 0) return text.length + 1;
    if (text.charCodeAt(i + 1) !== 39) return i + 1;
    i += 2;
  }
}

function escapedSegmentEnd(text: string, start: number): number {
  const length = text.length;
  let i = start;
  while (i < length) {
    const c = text.charCodeAt(i);
    if (c === 92) i += 2;
    else if (c !== 39) i += 1;
    else if (text.charCodeAt(i + 1) === 39) i += 2;
    else return i + 1;
  }
  return length + 1;
}

/** The opening quote of the next segment of the literal that ended at `start` (scan.l: quotecontinue), or -1. */
function continuation(text: string, start: number): number {
  const length = text.length;
  let newline = false;
  let i = start;
  while (i < length) {
    const c = text.charCodeAt(i);
    if (c === 10 || c === 13) newline = true;
    else if (c === 45 && text.charCodeAt(i + 1) === 45) {
      i = lineCommentEnd(text, i);
      continue;
    } else if (c !== 32 && c !== 9 && c !== 11 && c !== 12) return c === 39 && newline ? i : -1;
    i += 1;
  }
  return -1;
}

/** The end of the quoted identifier whose opening quote is at `start`. */
export function quotedIdentifierEnd(text: string, start: number): number {
  let i = start + 1;
  for (;;) {
    i = text.indexOf('"', i);
    if (i < 0) return text.length + 1;
    if (text.charCodeAt(i + 1) !== 34) return i + 1;
    i += 2;
  }
}

/** The end of the dollar-quoted literal that begins at `start`, or -1 if no dollar quote begins there. */
export function dollarQuoteEnd(text: string, start: number): number {
  const length = text.length;
  let i = start + 1;
  const first = text.charCodeAt(i);
  if (first >= 48 && first <= 57) return -1;
  while (i < length && text.charCodeAt(i) !== 36) {
    if (!continues(text.charCodeAt(i))) return -1;
    i += 1;
  }
  if (i >= length) return -1;
  const delimiter = text.slice(start, i + 1);
  const close = text.indexOf(delimiter, i + 1);
  return close < 0 ? length + 1 : close + delimiter.length;
}

/** The end of the `--` comment at `start`: the line end itself stays. */
export function lineCommentEnd(text: string, start: number): number {
  const length = text.length;
  let i = start + 2;
  while (i < length) {
    const c = text.charCodeAt(i);
    if (c === 10 || c === 13) break;
    i += 1;
  }
  return i;
}

/** The end of the block comment at `start`; block comments nest. */
export function blockCommentEnd(text: string, start: number): number {
  const length = text.length;
  let depth = 1;
  let i = start + 2;
  while (i < length) {
    const c = text.charCodeAt(i);
    if (c === 42 && text.charCodeAt(i + 1) === 47) {
      i += 2;
      depth -= 1;
      if (depth === 0) return i;
    } else if (c === 47 && text.charCodeAt(i + 1) === 42) {
      depth += 1;
      i += 2;
    } else i += 1;
  }
  return length + 1;
}

/** The end of whatever token or comment begins at `start`; of another character, that is what stands behind it. */
export function lexemeEnd(text: string, start: number): number {
  switch (classOf(text.charCodeAt(start))) {
    case IDENTIFIER: {
      const end = wordEnd(text, start);
      const escapes = end === start + 1 && (text.charCodeAt(start) | 32) === 101 && text[end] === "'";
      return escapes ? stringEnd(text, end, true) : end;
    }
    case QUOTE:
      return stringEnd(text, start, false);
    case DOUBLE_QUOTE:
      return quotedIdentifierEnd(text, start);
    case DOLLAR: {
      const end = dollarQuoteEnd(text, start);
      return end < 0 ? start + 1 : end;
    }
    case DASH:
      return isComment(text, start) ? lineCommentEnd(text, start) : start + 1;
    case SLASH:
      return isComment(text, start) ? blockCommentEnd(text, start) : start + 1;
    default:
      return start + 1;
  }
}

export function isComment(text: string, start: number): boolean {
  return text.startsWith('--', start) || text.startsWith('/*', start);
}
