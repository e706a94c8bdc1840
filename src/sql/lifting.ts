import { classOf, digitsEnd, IDENTIFIER } from './lexemes.ts';
import { parse } from './parser.ts';
import { type Fields, isFields, listOf, nodeOf, stringOf } from './tree.ts';

/**
 * Lifting: a read whose numbers are taken out into parameters, so that PostgreSQL parses and plans it once for all the values
 * that it is asked with (`WHERE id = 7`, `WHERE id = 8`).
 *
 * Only integers that a column is compared with by `=`, in the conditions of a SELECT, are lifted. There a parameter of the
 * literal's own type means what the literal means, whatever becomes of the column, since PostgreSQL looks for the operator anew
 * when its table has changed. And a plan that does not know the value is as good as one that does but for rare ones. Elsewhere
 * a parameter would be something else (`ORDER BY 1`, `LIMIT 1`), or the planner would miss it (ranges). Strings are not lifted:
 * they have no type of their own, and a plan keeps the one that it found for its parameter. All else must be the same to the byte.
 */
export interface Template {
  /** The statement with `$1`, `$2` ... in the places of what was lifted. */
  readonly text: string;
  /** What stands before, between and behind the integers: one more than there are of those. */
  readonly between: readonly string[];
}

/** Beyond it a statement is not made a template of: few statements have so many. Ours. */
const MAX_INTEGERS = 32;

/** A template of a byte-as-char text of one SELECT; null where there is none. Never throws. Costs a parse. */
export function templateOf(text: string): Template | null {
  // A `$1` of the text would be one of ours; in a Query it is an error.
  const select = text.includes('$') ? null : timelessSelect(text);
  if (select === null) return null;
  const locations: number[] = [];
  collect(select.whereClause, locations);
  return locations.length > MAX_INTEGERS ? null : cut(text, indexesOf(text, locations));
}

/** The integers in the places of a text where the template has parameters; null when it does not fit. */
export function liftedValues({ between }: Template, text: string): string[] | null {
  const first = between[0] ?? '';
  if (!text.startsWith(first)) return null;
  const values: string[] = [];
  let at = first.length;
  for (let index = 1; index < between.length; index++) {
    const end = integerEnd(text, at);
    const next = between[index] ?? '';
    if (end < 0 || !text.startsWith(next, end)) return null;
    values.push(text.slice(at, end));
    at = end + next.length;
  }
  return at === text.length ? values : null;
}

/**
 * The only SELECT of a text, if a plan of it means the same whenever it was made and by whomever, under the same settings. A
 * string of no type is read when PostgreSQL analyses the statement (`'today'`, or a date in the order of days and months of that
 * session), and a function that is declared immutable is called when it plans.
 */
function timelessSelect(text: string): Fields | null {
  const outcome = parse(text);
  const [select] = outcome.kind === 'tree' && outcome.statements.length === 1 ? outcome.statements : [];
  if (select?.type !== 'SelectStmt' || select.fields.op !== 'SETOP_NONE') return null;
  return holdsMoment(select.fields) ? null : select.fields;
}

/** Looks for what depends on when it is analysed or planned. The tree is no deeper than the classification has walked. */
function holdsMoment(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(holdsMoment);
  if (!isFields(value)) return false;
  for (const type in value) {
    const fields = value[type];
    if (type === 'A_Const' && isFields(fields) && ('sval' in fields || 'bsval' in fields)) return true;
    if (type === 'FuncCall' && (!isFields(fields) || !isKnownFunction(fields))) return true;
    if (holdsMoment(fields)) return true;
  }
  return false;
}

/** PostgreSQL's own, which nobody makes another of: what users declare immutable may be anything. */
const KNOWN_FUNCTIONS: ReadonlySet<string> = new Set(['avg', 'count', 'lower', 'length', 'max', 'min', 'now', 'sum', 'upper']);

function isKnownFunction({ funcname }: Fields): boolean {
  const names = listOf(funcname);
  return names.length === 1 && KNOWN_FUNCTIONS.has(stringOf(names[0]) ?? '');
}

/** Where the integers stand that may be lifted out of a condition (bytes of UTF-8, as the parser counts). */
function collect(condition: unknown, locations: number[]): void {
  const node = nodeOf(condition);
  if (node?.type === 'BoolExpr') for (const part of listOf(node.fields.args)) collect(part, locations);
  if (node?.type !== 'A_Expr' || !isEquality(node.fields)) return;
  const [left, right] = [nodeOf(node.fields.lexpr), nodeOf(node.fields.rexpr)];
  const literal = left?.type === 'ColumnRef' ? right : right?.type === 'ColumnRef' ? left : null;
  if (literal?.type !== 'A_Const' || typeof literal.fields.location !== 'number') return;
  if (isFields(literal.fields.ival)) locations.push(literal.fields.location);
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

/** The template with the integers at these places lifted, but for those that are written in another way (`-1`, `0x7`). */
function cut(text: string, starts: readonly number[]): Template {
  const between: string[] = [];
  let lifted = '';
  let copied = 0;
  for (const start of starts) {
    const end = integerEnd(text, start);
    if (end < 0) continue;
    between.push(text.slice(copied, start));
    lifted += `${text.slice(copied, start)}$${between.length}`;
    copied = end;
  }
  between.push(text.slice(copied));
  return { text: lifted + text.slice(copied), between };
}

/** The end of an integer that fits into an int4; -1 where there is none. */
function integerEnd(text: string, start: number): number {
  const end = digitsEnd(text, start);
  const digits = end - start;
  if (digits === 0 || digits > MAX_INTEGER.length) return -1;
  // Another notation of numbers: 0x7, 1_000.
  if (end < text.length && classOf(text.charCodeAt(end)) === IDENTIFIER) return -1;
  return digits < MAX_INTEGER.length || text.slice(start, end) <= MAX_INTEGER ? end : -1;
}

const MAX_INTEGER = '2147483647';
