import type { StatementFacts, TransactionModes } from './facts.ts';
import type { Collector } from './findings.ts';
import { quoteIdentifier } from './identifiers.ts';
import { settingName } from './server-settings.ts';
import { type Fields, isFields, listOf, nodeOf, textOf } from './tree.ts';
import { isTrue, literalText, objectName } from './walk.ts';

/** SET, RESET, SET TRANSACTION, and SELECT set_config(), as settings of the session. */

/** Lists of names: their items are quoted where an identifier would need it (GUC_LIST_QUOTE in guc_tables.c). */
const NAME_LISTS: ReadonlySet<string> = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
]);

export function noteSet(fields: Fields, collector: Collector): void {
  collector.readAs('session control');
  const kind = textOf(fields.kind);
  const name = settingName(textOf(fields.name));
  const local = fields.is_local === true;
  switch (kind) {
    case 'VAR_SET_MULTI':
      collector.facts = setMulti(textOf(fields.name), listOf(fields.args));
      collector.readAs('transaction control');
      return;
    case 'VAR_RESET_ALL':
      collector.facts = { kind: 'reset all' };
      return;
    case 'VAR_RESET':
      collector.facts = { kind: 'reset', name };
      return;
    case 'VAR_SET_DEFAULT':
      noteLibrary(name, collector);
      collector.facts = { kind: 'set', name, value: null, toDefault: true, local, returnsRow: false };
      return;
    case 'VAR_SET_VALUE':
      collector.literalMatters = true;
      setTo({ name, value: flatten(name, listOf(fields.args)), local, returnsRow: false }, collector);
      return;
    default:
      // SET ... FROM CURRENT, which only means something in CREATE FUNCTION.
      collector.is('unknown', 'session control', name);
      collector.residue.add('settings');
  }
}

/**
 * If the statement is nothing but `SELECT set_config(name, value, is_local)` with literals: makes it a 'set'. Anything
 * else around the call may decide whether it happens, so then it stays a function that may have changed a setting.
 */
export function noteSetConfig(select: Fields, collector: Collector): void {
  const targets = listOf(select.targetList);
  for (const field in select) if (field !== 'targetList' && !isInertSelectField(field, select[field])) return;
  const target = nodeOf(targets[0]);
  if (targets.length !== 1 || target?.type !== 'ResTarget') return;
  const call = nodeOf(target.fields.val);
  if (call?.type !== 'FuncCall' || Object.keys(call.fields).some((field) => !PLAIN_CALL_FIELDS.has(field))) return;
  const called = objectName(call.fields.funcname);
  if (called?.name !== 'set_config' || (called.schema !== null && called.schema !== 'pg_catalog')) return;
  const [name, value, isLocal] = listOf(call.fields.args);
  const nameText = literalText(name);
  const valueText = literalText(value);
  const local = isLocalFlag(isLocal);
  if (nameText === null || valueText === null || local === null) return;
  collector.settings.delete(settingName(nameText));
  setTo({ name: settingName(nameText), value: valueText, local, returnsRow: true }, collector);
}

const PLAIN_CALL_FIELDS: ReadonlySet<string> = new Set(['funcname', 'args', 'funcformat', 'location']);

function isInertSelectField(field: string, value: unknown): boolean {
  return (field === 'limitOption' && value === 'LIMIT_OPTION_DEFAULT') || (field === 'op' && value === 'SETOP_NONE');
}

function isLocalFlag(value: unknown): boolean | null {
  if (isTrue(value)) return true;
  const node = nodeOf(value);
  if (node?.type === 'TypeCast') return isLocalFlag(node.fields.arg);
  if (node?.type !== 'A_Const') return null;
  const { boolval, sval } = node.fields;
  if (isFields(boolval)) return false;
  return isFields(sval) && /^\s*(?:f|false|off|no|0)\s*$/i.test(textOf(sval.sval)) ? false : null;
}

interface Assignment {
  readonly name: string;
  readonly value: string | null;
  readonly local: boolean;
  readonly returnsRow: boolean;
}

/**
 * A process that has loaded PL/pgSQL refuses settings of its prefix that are none of its own, and loading it takes such settings
 * away, with a warning (MarkGUCPrefixReserved, guc.c). Most processes have loaded it for somebody: one that sets such a setting
 * gets a process to itself.
 */
function noteLibrary(name: string, collector: Collector): void {
  if (!name.startsWith('plpgsql.') || OF_PLPGSQL.has(name)) return;
  collector.is('write', 'session control', name);
  collector.residue.add('library');
}

/** Source: _PG_init, pl_handler.c. */
const OF_PLPGSQL: ReadonlySet<string> = new Set([
  'plpgsql.check_asserts',
  'plpgsql.extra_errors',
  'plpgsql.extra_warnings',
  'plpgsql.print_strict_params',
  'plpgsql.variable_conflict',
]);

/** The three settings of the running transaction are SET TRANSACTION under another name. */
function setTo(assignment: Assignment, collector: Collector): void {
  noteLibrary(assignment.name, collector);
  const modes = transactionModes(assignment.name, assignment.value);
  if (modes === null) collector.facts = { kind: 'set', ...assignment, toDefault: false };
  else if (!assignment.returnsRow) collector.facts = { kind: 'set transaction', modes, snapshot: false };
  if (assignment.value === null) collector.residue.add('settings');
}

function transactionModes(name: string, value: string | null): TransactionModes | null {
  if (value === null) return null;
  if (name === 'transaction_isolation') {
    const isolation = isolationOf(value);
    return isolation === null ? null : { isolation };
  }
  if (name !== 'transaction_read_only' && name !== 'transaction_deferrable') return null;
  const flag = parseBoolean(value);
  if (flag === null) return null;
  return name === 'transaction_read_only' ? { readOnly: flag } : { deferrable: flag };
}

function setMulti(name: string, args: readonly unknown[]): StatementFacts {
  if (name === 'SESSION CHARACTERISTICS') return { kind: 'set characteristics', modes: modesOf(args) };
  if (name === 'TRANSACTION SNAPSHOT') return { kind: 'set transaction', modes: {}, snapshot: true };
  return { kind: 'set transaction', modes: modesOf(args), snapshot: false };
}

/** The modes behind BEGIN, SET TRANSACTION and SET SESSION CHARACTERISTICS; of a repeated one the last counts. */
export function modesOf(options: readonly unknown[]): TransactionModes {
  const modes: { -readonly [K in keyof TransactionModes]: TransactionModes[K] } = {};
  for (const option of options) {
    const node = nodeOf(option);
    if (node?.type !== 'DefElem') continue;
    const constant = nodeOf(node.fields.arg);
    const flag = isFields(constant?.fields.ival) && constant.fields.ival.ival === 1;
    switch (node.fields.defname) {
      case 'transaction_isolation': {
        const isolation = isolationOf(literalText(node.fields.arg) ?? '');
        if (isolation !== null) modes.isolation = isolation;
        break;
      }
      case 'transaction_read_only':
        modes.readOnly = flag;
        break;
      case 'transaction_deferrable':
        modes.deferrable = flag;
        break;
      default:
    }
  }
  return modes;
}

function isolationOf(text: string): NonNullable<TransactionModes['isolation']> | null {
  const lower = text.toLowerCase();
  switch (lower) {
    case 'serializable':
    case 'repeatable read':
    case 'read committed':
    case 'read uncommitted':
      return lower;
    default:
      return null;
  }
}

/** As parse_bool() in bool.c: unambiguous beginnings of true, false, yes, no, on, off, and 1, 0. */
function parseBoolean(text: string): boolean | null {
  const lower = text.trim().toLowerCase();
  if (lower === '') return null;
  if ('true'.startsWith(lower) || 'yes'.startsWith(lower) || lower === 'on' || lower === '1') return true;
  if ('false'.startsWith(lower) || 'no'.startsWith(lower) || lower === '0') return false;
  return lower === 'off' || lower === 'of' ? false : null;
}

/** The text that PostgreSQL makes of the arguments (flatten_set_variable_args in guc_funcs.c), or null if not known. */
function flatten(name: string, args: readonly unknown[]): string | null {
  const parts: string[] = [];
  for (const arg of args) {
    const part = flattenOne(name, arg);
    if (part === null) return null;
    parts.push(part);
  }
  return parts.length === 0 ? null : parts.join(', ');
}

/** SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE: only this spelling means the same whatever the qualifier. */
const PLAIN_OFFSET = /^[+-]?\d{1,2}:\d{2}$/;

function flattenOne(name: string, arg: unknown): string | null {
  const node = nodeOf(arg);
  if (node?.type === 'TypeCast') {
    const interval = literalText(node.fields.arg);
    return interval !== null && PLAIN_OFFSET.test(interval) ? `INTERVAL '${interval}'` : null;
  }
  if (node?.type !== 'A_Const') return null;
  const { ival, fval, sval } = node.fields;
  if (isFields(ival)) return String(ival.ival ?? 0);
  if (isFields(fval)) return textOf(fval.fval);
  if (!isFields(sval)) return null;
  const text = textOf(sval.sval);
  return NAME_LISTS.has(name) ? quoteIdentifier(text) : text;
}
