import { isComment, lexemeEnd } from './lexemes.ts';

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
    const end = lexemeEnd(text, i);
    if (code > 32 && !isComment(text, i)) isEmpty = false;
    i = end;
  }
  return -1;
}

const SEMICOLON = 59;
