import {
  blockCommentEnd,
  classOf,
  DASH,
  DOLLAR,
  DOUBLE_QUOTE,
  dollarQuoteEnd,
  IDENTIFIER,
  lineCommentEnd,
  QUOTE,
  quotedIdentifierEnd,
  SLASH,
  stringEnd,
  wordEnd,
} from './lexemes.ts';

/**
 * The index behind the semicolon that ends the `count`th statement of a byte-as-char text, -1 if there is none. Statements
 * that contain nothing are not counted, as PostgreSQL's grammar does not; those with semicolons inside (BEGIN ATOMIC, CREATE
 * RULE) are not recognised. Holds with standard_conforming_strings=on.
 */
export function statementEnd(text: string, count: number): number {
  let left = count;
  let isEmpty = true;
  let i = 0;
  while (i < text.length) {
    const code = text.charCodeAt(i);
    if (code === SEMICOLON) {
      i += 1;
      if (!isEmpty && --left === 0) return i;
      isEmpty = true;
      continue;
    }
    const end = tokenEnd(text, i);
    if (code > 32 && !isComment(text, i)) isEmpty = false;
    i = end;
  }
  return -1;
}

const SEMICOLON = 59;

function tokenEnd(text: string, start: number): number {
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

function isComment(text: string, start: number): boolean {
  return text.startsWith('--', start) || text.startsWith('/*', start);
}
