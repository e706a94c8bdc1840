import type { Collector, ObjectName } from './findings.ts';
import { fieldsOf, isLocation } from './grammar.ts';
import { isReadableSetting, settingName } from './server-settings.ts';
import { type Fields, isFields, listOf, nodeOf, stringOf, textOf } from './tree.ts';

/**
 * Walks a statement's whole tree and collects what it uses. Every node is looked at, also in those parts of a write
 * that only read, since what they call decides what may stay on the connection.
 */

/** The names of the WITH queries that are visible at a place. */
interface Scope {
  readonly name: string;
  readonly outer: Scope | null;
}

/** Collects from a wrapped node or a list of them. */
export function walk(value: unknown, collector: Collector): void {
  visitValue(value, collector, null);
}

/** Collects from the unwrapped fields of a node of the given type. */
export function walkFields(type: string, value: unknown, collector: Collector): void {
  if (isFields(value)) visit(type, value, collector, null);
}

/** Collects from a node that is no query (DDL): all of it, without saying what it means. */
export function walkAnything(value: unknown, collector: Collector): void {
  visitUnknown(value, collector, null);
}

function visitValue(value: unknown, collector: Collector, scope: Scope | null): void {
  if (Array.isArray(value)) {
    for (const item of value) visitValue(item, collector, scope);
    return;
  }
  const node = nodeOf(value);
  if (node !== null) visit(node.type, node.fields, collector, scope);
  // A list may hold an empty node: DISTINCT without ON, an omitted array bound.
  else if (!isFields(value) || Object.keys(value).length > 0) deny(collector, 'a node without a type');
}

function visit(type: string, fields: Fields, collector: Collector, outer: Scope | null): void {
  const known = fieldsOf(type);
  if (known === undefined) {
    deny(collector, type);
    visitUnknown(fields, collector, outer);
    return;
  }
  const scope = 'withClause' in fields ? visitWith(fields.withClause, collector, outer) : outer;
  note(type, fields, collector, scope);
  for (const field in fields) {
    if (field === 'withClause') continue;
    const content = known.get(field);
    if (content === null) continue;
    const value = fields[field];
    if (content === '') visitValue(value, collector, scope);
    else if (content !== undefined) visitTyped(content, value, collector, scope);
    else if (!isLocation(field)) {
      deny(collector, `${type}.${field}`);
      visitUnknown(value, collector, scope);
    }
  }
}

function visitTyped(type: string, value: unknown, collector: Collector, scope: Scope | null): void {
  if (isFields(value)) visit(type, value, collector, scope);
  else deny(collector, type);
}

/** Unknown grammar: denied already, but the calls inside still count for what they may leave behind. */
function visitUnknown(value: unknown, collector: Collector, scope: Scope | null): void {
  if (Array.isArray(value)) {
    for (const item of value) visitUnknown(item, collector, scope);
    return;
  }
  if (!isFields(value)) return;
  const node = nodeOf(value);
  if (node !== null && fieldsOf(node.type) !== undefined) visit(node.type, node.fields, collector, scope);
  else for (const field in value) visitUnknown(value[field], collector, scope);
}

function deny(collector: Collector, subject: string): void {
  collector.is('unknown', 'not proven a read', subject);
}

/** A WITH query sees its earlier siblings, with RECURSIVE all of them; the statement sees all. */
function visitWith(clause: unknown, collector: Collector, outer: Scope | null): Scope | null {
  if (!isFields(clause)) return outer;
  const recursive = clause.recursive === true;
  const queries: Fields[] = [];
  for (const item of listOf(clause.ctes)) {
    const node = nodeOf(item);
    if (node?.type === 'CommonTableExpr') queries.push(node.fields);
    else deny(collector, 'WithClause');
  }
  let scope = outer;
  if (recursive) for (const query of queries) scope = { name: textOf(query.ctename), outer: scope };
  for (const query of queries) {
    visit('CommonTableExpr', query, collector, scope);
    if (!recursive) scope = { name: textOf(query.ctename), outer: scope };
  }
  return scope;
}

function isVisible(scope: Scope | null, name: string): boolean {
  for (let s = scope; s !== null; s = s.outer) if (s.name === name) return true;
  return false;
}

/** Newer syntax that reads like the call of a function, and is one on an older server whose users made that function. */
const SYNTAX: ReadonlyMap<string, readonly string[]> = new Map([
  ['JsonFuncExpr', ['json_exists', 'json_query', 'json_value']],
  ['JsonTable', ['json_table']],
  ['JsonObjectConstructor', ['json_object']],
  ['JsonArrayConstructor', ['json_array']],
  ['JsonArrayQueryConstructor', ['json_array']],
  ['JsonObjectAgg', ['json_objectagg']],
  ['JsonArrayAgg', ['json_arrayagg']],
  ['JsonParseExpr', ['json']],
  ['JsonScalarExpr', ['json_scalar']],
  ['JsonSerializeExpr', ['json_serialize']],
  ['MergeSupportFunc', ['merge_action']],
]);

/** What a node means by itself, before its children are visited. */
function note(type: string, fields: Fields, collector: Collector, scope: Scope | null): void {
  switch (type) {
    case 'RangeVar':
      noteRelation(fields, collector, scope);
      return;
    case 'FuncCall':
      noteFunction(fields, collector);
      return;
    case 'A_Expr':
    case 'SubLink':
      noteOperator(type === 'A_Expr' ? fields.name : fields.operName, collector);
      return;
    case 'SortBy':
      noteOperator(fields.useOp, collector);
      return;
    // These compare with the `=` that the types have, as do GROUP BY, DISTINCT and the set operations.
    case 'CaseExpr':
      if ('arg' in fields) collector.operators.add('=');
      return;
    case 'JoinExpr':
      if ('usingClause' in fields || fields.isNatural === true) collector.operators.add('=');
      return;
    case 'TypeCast':
      noteType(fields.typeName, collector);
      return;
    case 'RangeTableFuncCol':
    case 'JsonTableColumn':
    case 'JsonOutput':
    case 'XmlSerialize':
    case 'ColumnDef':
      noteType(fields.typeName, collector);
      return;
    case 'ColumnRef':
      noteFields(listOf(fields.fields).slice(1), collector);
      return;
    case 'A_Indirection':
      noteFields(listOf(fields.indirection), collector);
      return;
    case 'RangeTableSample':
      noteSampling(fields.method, collector);
      return;
    case 'LockingClause':
      collector.is('write', 'row lock', null);
      return;
    case 'IntoClause':
      collector.is('write', 'SELECT INTO', null);
      collector.residue.add('temporary object');
      collector.changesCatalog = true;
      return;
    case 'InsertStmt':
    case 'UpdateStmt':
    case 'DeleteStmt':
    case 'MergeStmt':
      collector.is('write', 'data modification', null);
      noteTarget(fields.relation, collector);
      return;
    case 'SelectStmt':
      if ('groupClause' in fields || 'distinctClause' in fields || 'larg' in fields) collector.operators.add('=');
      return;
    default:
      for (const name of SYNTAX.get(type) ?? []) collector.syntax.add(name);
  }
}

function noteRelation(fields: Fields, collector: Collector, scope: Scope | null): void {
  const name = textOf(fields.relname);
  const schema = 'schemaname' in fields ? textOf(fields.schemaname) : null;
  if (schema === null && isVisible(scope, name)) return;
  collector.relations.push({ schema, name });
}

function noteTarget(relation: unknown, collector: Collector): void {
  if (!isFields(relation)) return;
  collector.targets.push({
    schema: 'schemaname' in relation ? textOf(relation.schemaname) : null,
    name: textOf(relation.relname),
  });
}

/** Settings by function: `current_setting` of an ordinary setting reads, since settings travel with their session. */
function noteFunction(fields: Fields, collector: Collector): void {
  const called = objectName(fields.funcname);
  if (called === null) {
    deny(collector, 'FuncCall');
    return;
  }
  if (called.name === 'current_setting') {
    collector.literalMatters = true;
    const setting = literalText(listOf(fields.args)[0]);
    if (setting === null || !isReadableSetting(setting)) {
      collector.is('write', 'differs on a standby', setting === null ? called.name : setting.toLowerCase());
    }
  } else if (called.name === 'set_config') {
    collector.literalMatters = true;
    collector.is('write', 'session control', called.name);
    const [name, , isLocal] = listOf(fields.args);
    const setting = literalText(name);
    if (!isTrue(isLocal)) {
      if (setting === null) collector.residue.add('settings');
      else collector.settings.add(settingName(setting));
    }
  }
  collector.functions.push(called);
}

function noteOperator(name: unknown, collector: Collector): void {
  const parts = listOf(name);
  const operator = stringOf(parts[parts.length - 1]);
  if (operator !== null) collector.operators.add(operator);
}

function noteType(typeName: unknown, collector: Collector): void {
  if (!isFields(typeName)) return;
  const name = objectName(typeName.names);
  if (name !== null) collector.types.push(name);
}

function noteFields(names: readonly unknown[], collector: Collector): void {
  for (const item of names) {
    const name = stringOf(item);
    if (name !== null) collector.fields.add(name);
  }
}

/** `system` and `bernoulli` read only; other methods are functions of an extension. */
function noteSampling(method: unknown, collector: Collector): void {
  const name = objectName(method);
  if (name === null) deny(collector, 'RangeTableSample');
  else collector.functions.push(name);
}

/** The last two parts of a qualified name; a catalog's name in front must be the current database's. */
export function objectName(names: unknown): ObjectName | null {
  const parts = listOf(names);
  const name = stringOf(parts[parts.length - 1]);
  if (name === null) return null;
  return { schema: parts.length > 1 ? stringOf(parts[parts.length - 2]) : null, name };
}

/** The text of a string constant, also behind a cast; null for everything else. */
export function literalText(value: unknown): string | null {
  const node = nodeOf(value);
  if (node?.type === 'TypeCast') return literalText(node.fields.arg);
  return node?.type === 'A_Const' && isFields(node.fields.sval) ? textOf(node.fields.sval.sval) : null;
}

/** True for the constants TRUE and 't'-like strings; what is not certain is false. */
export function isTrue(value: unknown): boolean {
  const node = nodeOf(value);
  if (node?.type === 'TypeCast') return isTrue(node.fields.arg);
  if (node?.type !== 'A_Const') return false;
  const { boolval, sval } = node.fields;
  if (isFields(boolval)) return boolval.boolval === true;
  return isFields(sval) && /^\s*(?:t|true|on|yes|1)\s*$/i.test(textOf(sval.sval));
}
