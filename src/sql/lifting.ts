import { classOf, DIGIT, digitsEnd, IDENTIFIER, QUOTE, stringEnd } from './lexemes.ts';
import { parse } from './parser.ts';
import { type Fields, isFields, listOf, nodeOf, stringOf } from './tree.ts';

/**
 * Lifting: a read whose literals are taken out into parameters, so that PostgreSQL parses and plans it once for all the
 * values that it is asked with (`WHERE id = 7`, `WHERE id = 8`).
 *
 * Only literals that a column is compared with by `=`, in the conditions of a SELECT, are lifted. There a parameter means what
 * the literal means: an integer is given the literal's own type, and an untyped string and an untyped parameter are resolved
 * alike (parse_coerce.c, parse_param.c), the value being read by the same input function. And a plan that does not know the value
 * is as good as one that does but for rare ones. Elsewhere a parameter would be something else (`ORDER BY 1`, `LIMIT 1`, `interval
 * '1 day'`), or the planner would miss it (`LIKE 'a%'`, ranges). All else must be the same to the byte.
 */
export interface Template {
  /** The statement with `$1`, `$2` ... in the places of what was lifted. */
  readonly text: string;
  readonly kinds: readonly LiteralKind[];
  /** What stands before, between and behind the literals: one more than there are `kinds`. */
  readonly between: readonly string[];
}

/** `integer`: an int4. `string`: of no type yet. */
export type LiteralKind = 'integer' | 'string';

/** Beyond it a statement is not made a template of: few statements have so many. Ours. */
const MAX_LITERALS = 32;

/** A template of a byte-as-char text of one SELECT; null where there is none. Never throws. Costs a parse. */
export function templateOf(text: string): Template | null {
  // A `$1` of the text would be one of ours; in a Query it is an error.
  if (text.includes('$')) return null;
  const outcome = parse(text);
  const [select] = outcome.kind === 'tree' && outcome.statements.length === 1 ? outcome.statements : [];
  if (select?.type !== 'SelectStmt' || select.fields.op !== 'SETOP_NONE') return null;
  const locations: number[] = [];
  collect(select.fields.whereClause, locations);
  if (locations.length > MAX_LITERALS) return null;
  return cut(text, indexesOf(text, locations));
}

/** The values in the places of a text where the template has parameters, as byte-as-char text; null when it does not fit. */
export function liftedValues({ kinds, between }: Template, text: string): string[] | null {
  const first = between[0] ?? '';
  if (!text.startsWith(first)) return null;
  const values: string[] = [];
  let at = first.length;
  for (let index = 0; index < kinds.length; index++) {
    const end = literalEnd(text, at, kinds[index] === 'integer');
    if (end < 0) return null;
    values.push(kinds[index] === 'integer' ? text.slice(at, end) : unquoted(text, at, end));
    const next = between[index + 1] ?? '';
    if (!text.startsWith(next, end)) return null;
    at = end + next.length;
  }
  return at === text.length ? values : null;
}

/** Where the literals stand that may be lifted out of a condition (bytes of UTF-8, as the parser counts). */
function collect(condition: unknown, locations: number[]): void {
  const node = nodeOf(condition);
  if (node?.type === 'BoolExpr') for (const part of listOf(node.fields.args)) collect(part, locations);
  if (node?.type !== 'A_Expr' || !isEquality(node.fields)) return;
  const [left, right] = [nodeOf(node.fields.lexpr), nodeOf(node.fields.rexpr)];
  const literal = left?.type === 'ColumnRef' ? right : right?.type === 'ColumnRef' ? left : null;
  if (literal?.type !== 'A_Const' || typeof literal.fields.location !== 'number') return;
  if (isFields(literal.fields.ival) || isFields(literal.fields.sval)) locations.push(literal.fields.location);
}

function isEquality({ kind, name }: Fields): boolean {
  const names = listOf(name);
  return kind === 'AEXPR_OP' && names.length === 1 && stringOf(names[0]) === '=';
}

/** The parser was given each character from 0x80 as two bytes. */
function indexesOf(text: string, locations: readonly number[]): number[] {
  const indexes: number[] = [];
  let index = 0;
  let bytes = 0;
  for (const location of locations.toSorted((a, b) => a - b)) {
    for (; bytes < location; index++) bytes += text.charCodeAt(index) < 0x80 ? 1 : 2;
    indexes.push(index);
  }
  return indexes;
}

/** The template with the literals at these places lifted, but for those that are written in another way (`E'x'`, `-1`). */
function cut(text: string, starts: readonly number[]): Template {
  const kinds: LiteralKind[] = [];
  const between: string[] = [];
  let lifted = '';
  let copied = 0;
  for (const start of starts) {
    const kind = classOf(text.charCodeAt(start));
    const end = kind === DIGIT || kind === QUOTE ? literalEnd(text, start, kind === DIGIT) : -1;
    // A string that goes on in another line is one literal of two tokens.
    if (end < 0 || (kind === QUOTE && stringEnd(text, start, false) !== end)) continue;
    kinds.push(kind === DIGIT ? 'integer' : 'string');
    between.push(text.slice(copied, start));
    lifted += `${text.slice(copied, start)}$${kinds.length}`;
    copied = end;
  }
  between.push(text.slice(copied));
  return { text: lifted + text.slice(copied), kinds, between };
}

/** The end of an integer that fits into an int4, or of a string; -1 where there is none. */
function literalEnd(text: string, start: number, isInteger: boolean): number {
  return isInteger ? integerEnd(text, start) : quotedEnd(text, start);
}

function integerEnd(text: string, start: number): number {
  const end = digitsEnd(text, start);
  const digits = end - start;
  if (digits === 0 || digits > MAX_INTEGER.length) return -1;
  // Another notation of numbers: 0x7, 1_000.
  if (end < text.length && classOf(text.charCodeAt(end)) === IDENTIFIER) return -1;
  return digits < MAX_INTEGER.length || text.slice(start, end) <= MAX_INTEGER ? end : -1;
}

const MAX_INTEGER = '2147483647';
const CHAR_QUOTE = 39;

function quotedEnd(text: string, start: number): number {
  if (text.charCodeAt(start) !== CHAR_QUOTE) return -1;
  for (let i = text.indexOf("'", start + 1); i >= 0; i = text.indexOf("'", i + 2)) {
    if (text.charCodeAt(i + 1) !== CHAR_QUOTE) return i + 1;
  }
  return -1;
}

function unquoted(text: string, start: number, end: number): string {
  const inside = text.slice(start + 1, end - 1);
  return inside.includes("'") ? inside.replaceAll("''", "'") : inside;
}
