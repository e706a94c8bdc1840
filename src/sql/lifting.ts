import type { ObjectName } from './findings.ts';
import { classOf, digitsEnd, IDENTIFIER } from './lexemes.ts';
import { parse } from './parser.ts';
import { type Fields, isFields, listOf, nodeOf, stringOf, textOf } from './tree.ts';

/**
 * Lifting: a read whose numbers are taken out into parameters, so that PostgreSQL parses and plans it once for all the values
 * that it is asked with (`WHERE id = 7`, `WHERE id = 8`).
 *
 * Only of one table, and only where the integers that its columns are compared with by `=` are a key of it: then there is one
 * row or none, so no plan can put rows in another order, and the plan that does not know the values is the one that they would
 * have. There a parameter of the literal's own type means what the literal means, whatever becomes of the column, since
 * PostgreSQL looks for the operator anew when its table has changed. Elsewhere a parameter would be something else (`ORDER BY 1`).
 * Strings are not lifted: they have no type of their own, and a plan keeps the one that it found for its parameter. All else
 * must be the same to the byte.
 */
export interface Template {
  /** The statement with `$1`, `$2` ... in the places of what was lifted. */
  readonly text: string;
  /** What stands before, between and behind the integers: one more than there are of those. */
  readonly between: readonly string[];
}

/** Beyond it a statement is not made a template of: few statements have so many. Ours. */
const MAX_INTEGERS = 32;

/** Whether at most one row of a table has given values in these columns. */
export type KeyTest = (table: ObjectName, columns: ReadonlySet<string>) => boolean;

/** A template of a byte-as-char text of one SELECT; null where there is none. Never throws. Costs a parse. */
export function templateOf(text: string, isKey: KeyTest): Template | null {
  // A `$1` of the text would be one of ours; in a Query it is an error.
  const select = text.includes('$') ? null : plainSelect(text);
  if (select === null) return null;
  const [from, ...more] = listOf(select.fromClause).map(nodeOf);
  if (from?.type !== 'RangeVar' || more.length > 0) return null;
  const lifted: Comparison[] = [];
  collect(select.whereClause, lifted);
  const { relname, schemaname, alias } = from.fields;
  // With names of its own for the columns, a name says nothing of which column it is.
  if (isFields(alias) && listOf(alias.colnames).length > 0) return null;
  const table = { schema: schemaname === undefined ? null : textOf(schemaname), name: textOf(relname) };
  if (lifted.length > MAX_INTEGERS || !isKey(table, new Set(lifted.map(({ column }) => column)))) return null;
  return cut(text, lifted);
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
 * The only SELECT of a text, with none inside, if a plan of it means the same whenever it was made and by whomever, under the
 * same settings. A string of no type is read when PostgreSQL analyses the statement (`'today'`, or a date in the order of days
 * and months of that session), and a function that is declared immutable is called when it plans.
 */
function plainSelect(text: string): Fields | null {
  const outcome = parse(text);
  const [select] = outcome.kind === 'tree' && outcome.statements.length === 1 ? outcome.statements : [];
  if (select?.type !== 'SelectStmt' || select.fields.op !== 'SETOP_NONE') return null;
  return isBarred(select.fields) ? null : select.fields;
}

/** Looks for what depends on when it is analysed or planned, and for queries inside. No deeper than the classification has walked. */
function isBarred(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(isBarred);
  if (!isFields(value)) return false;
  for (const type in value) {
    const fields = value[type];
    if (type === 'SelectStmt') return true;
    if (type === 'A_Const' && isFields(fields) && ('sval' in fields || 'bsval' in fields)) return true;
    if (type === 'FuncCall' && (!isFields(fields) || !isKnownFunction(fields))) return true;
    if (isBarred(fields)) return true;
  }
  return false;
}

/** PostgreSQL's own, which nobody makes another of: what users declare immutable may be anything. */
const KNOWN_FUNCTIONS: ReadonlySet<string> = new Set(['avg', 'count', 'lower', 'length', 'max', 'min', 'now', 'sum', 'upper']);

function isKnownFunction({ funcname }: Fields): boolean {
  const names = listOf(funcname);
  return names.length === 1 && KNOWN_FUNCTIONS.has(stringOf(names[0]) ?? '');
}

/** An integer that a column must be equal to. `index`: where it stands, in bytes of UTF-8, as the parser counts. */
interface Comparison {
  readonly column: string;
  readonly index: number;
}

/** What must hold of every row. */
function collect(condition: unknown, found: Comparison[]): void {
  const node = nodeOf(condition);
  if (node?.type === 'BoolExpr' && node.fields.boolop === 'AND_EXPR') {
    for (const part of listOf(node.fields.args)) collect(part, found);
  }
  if (node?.type !== 'A_Expr' || !isEquality(node.fields)) return;
  const [left, right] = [nodeOf(node.fields.lexpr), nodeOf(node.fields.rexpr)];
  const [reference, literal] = left?.type === 'ColumnRef' ? [left, right] : [right, left];
  if (reference?.type !== 'ColumnRef' || literal?.type !== 'A_Const') return;
  const { ival, location } = literal.fields;
  const column = stringOf(listOf(reference.fields.fields).at(-1));
  if (column !== null && isFields(ival) && typeof location === 'number') found.push({ column, index: location });
}

function isEquality({ kind, name }: Fields): boolean {
  const names = listOf(name);
  return kind === 'AEXPR_OP' && names.length === 1 && stringOf(names[0]) === '=';
}

/** The template with these integers lifted; null where one is written in another way (`-1`, `0x7`) or does not fit. */
function cut(text: string, comparisons: readonly Comparison[]): Template | null {
  const between: string[] = [];
  let lifted = '';
  let copied = 0;
  let at = 0;
  let bytes = 0;
  for (const { index } of comparisons.toSorted((a, b) => a.index - b.index)) {
    // The parser was given each character from 0x80 as two bytes.
    for (; bytes < index; at++) bytes += text.charCodeAt(at) < 0x80 ? 1 : 2;
    const end = integerEnd(text, at);
    if (end < 0) return null;
    between.push(text.slice(copied, at));
    lifted += `${text.slice(copied, at)}$${between.length}`;
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
