import { assertNever } from '../util/assert.ts';
import type { Catalog, RelationKnowledge } from './catalog.ts';
import type { CatalogRows, FunctionUseRow, RelationRow, TriggerRow, Volatility } from './catalog-queries.ts';
import type { ObjectName } from './findings.ts';
import { builtinFunction, isAboutTheNode } from './functions.ts';
import { isQuiet } from './quiet-code.ts';
import { SEQUENCE, systemRelation } from './system-relations.ts';
import { eitherOf, READ, UNKNOWN_FUNCTION, type Verdict, VOLATILE, verdict } from './verdict.ts';

/**
 * Makes a database's catalog of the answers to {@link CatalogRows}. A relation means the worst of itself and of all that
 * is read with it. Names arrive as JavaScript strings and are kept as the bytes of UTF-8, byte-as-char.
 *
 * @param identity `version` must differ between two catalogs of one database with different rows.
 */
export function catalogFromRows(identity: { readonly database: string; readonly version: number }, rows: CatalogRows): Catalog {
  const functions = new Names<Verdict>(eitherOf);
  const fields = new Set<string>();
  for (const row of rows.functions) {
    functions.add(row.schema, row.name, ofFunction(row.volatility, row.name));
    if (row.field && row.volatility === 'v') fields.add(bytes(row.name));
  }
  // User operators and types may hide in any expression.
  const clear = rows.volatileOperators.length === 0 && rows.volatileTypes.length === 0;
  const relations = relationsByName(
    rows,
    (row) => clear && isQuiet(row, { fields, userFunction: (name) => functions.get(name) }),
  );
  const keys = keysByName(rows);
  const operators = new Set(rows.volatileOperators.map((row) => bytes(row.name)));
  const types = new Names<true>(() => true);
  for (const row of rows.volatileTypes) types.add(row.schema, row.name, true);
  return {
    ...identity,
    loaded: true,
    hasEventTriggers: rows.eventTriggers.length > 0,
    userFunction: (name) => functions.get(name),
    relation: (name) => relations.get(name),
    isKey: (name, columns) => keys.get(name)?.every((ofOne) => ofOne.some((key) => isWithin(key, columns))) === true,
    isVolatileOperator: (name) => operators.has(name),
    isVolatileType: (name) => types.get(name) !== null,
    isVolatileField: (name) => fields.has(name),
  };
}

function ofFunction(volatility: Volatility, name: string): Verdict {
  if (isAboutTheNode(name)) return DIFFERS;
  switch (volatility) {
    case 'i':
    case 's':
      return READ;
    case 't':
      return HARMLESS;
    case 'v':
      return VOLATILE;
    default:
      return assertNever(volatility, 'volatility');
  }
}

const HARMLESS: Verdict = verdict('read', 'plain read', { callsVolatile: true });
const DIFFERS: Verdict = verdict('write', 'differs on a standby', { callsVolatile: true });
const UNLOGGED: Verdict = verdict('write', 'unlogged relation');
const ROW_LOCK: Verdict = verdict('write', 'row lock');
const UNKNOWN_WRAPPER: Verdict = verdict('unknown', 'not proven a read');

/** Foreign tables that read the same wherever they are asked from. Others may read files or devices of the node. */
const NETWORK_WRAPPERS: ReadonlySet<string> = new Set(['postgres_fdw']);

/** Values by qualified name, and merged by the name alone. */
class Names<V> {
  readonly #qualified = new Map<string, V>();
  readonly #bare = new Map<string, V>();
  readonly #merge: (first: V, second: V) => V;

  constructor(merge: (first: V, second: V) => V) {
    this.#merge = merge;
  }

  add(schema: string, name: string, value: V): void {
    const bare = bytes(name);
    const known = this.#bare.get(bare);
    this.#bare.set(bare, known === undefined ? value : this.#merge(known, value));
    this.#qualified.set(key(bytes(schema), bare), value);
  }

  get(name: ObjectName): V | null {
    return (name.schema === null ? this.#bare.get(name.name) : this.#qualified.get(key(name.schema, name.name))) ?? null;
  }
}

/** A zero byte cannot be in a name. */
function key(schema: string, name: string): string {
  return `${schema}\0${name}`;
}

function bytes(name: string): string {
  return Buffer.from(name, 'utf8').toString('latin1');
}

/** The columns of each key of each relation of a name. */
function keysByName({ relations, keys }: CatalogRows): Names<readonly (readonly Key[])[]> {
  const ofRelation = new Map<string, Key[]>();
  for (const { relation, columns } of keys) {
    append(ofRelation, relation, (JSON.parse(columns) as string[]).map(bytes));
  }
  const names = new Names<readonly (readonly Key[])[]>((first, second) => [...first, ...second]);
  for (const { oid, schema, name } of relations) names.add(schema, name, [ofRelation.get(oid) ?? []]);
  return names;
}

type Key = readonly string[];

function isWithin(key: Key, columns: ReadonlySet<string>): boolean {
  return key.every((column) => columns.has(column));
}

/** What stands between relations: the OIDs of those read with one, and written to with one. */
interface Edges {
  readonly read: ReadonlyMap<string, readonly string[]>;
  readonly write: ReadonlyMap<string, readonly string[]>;
}

function relationsByName(rows: CatalogRows, isQuietTrigger: (row: TriggerRow) => boolean): Names<RelationKnowledge> {
  const runsCode = new Map(rows.relations.map((row) => [row.oid, row.runs_code]));
  for (const trigger of rows.triggers) if (!isQuietTrigger(trigger)) runsCode.set(trigger.relation, true);
  const own = new Map(rows.relations.map((row) => [row.oid, ofRelation(row)]));
  for (const use of rows.functionUses) {
    const before = own.get(use.relation);
    if (before !== undefined) own.set(use.relation, eitherOf(before, ofUse(use)));
  }
  const edges = edgesOf(rows);
  const readers = new Closure(edges.read);
  const writers = new Closure(edges.write);
  const names = new Names<RelationKnowledge>((first, second) => ({
    reading: eitherOf(first.reading, second.reading),
    runsCodeOnWrite: first.runsCodeOnWrite || second.runsCodeOnWrite,
  }));
  for (const row of rows.relations) {
    let reading = READ;
    for (const oid of readers.from(row.oid)) reading = eitherOf(reading, own.get(oid) ?? UNKNOWN_WRAPPER);
    let runsCodeOnWrite = false;
    for (const oid of writers.from(row.oid)) runsCodeOnWrite ||= runsCode.get(oid) ?? true;
    names.add(row.schema, row.name, interned(reading, runsCodeOnWrite));
  }
  return names;
}

const PLAIN: RelationKnowledge = { reading: READ, runsCodeOnWrite: false };

/** Most relations are plain, and there may be very many of them. */
function interned(reading: Verdict, runsCodeOnWrite: boolean): RelationKnowledge {
  const plain = reading.effect === 'read' && !reading.callsVolatile && !runsCodeOnWrite;
  return plain ? PLAIN : { reading, runsCodeOnWrite };
}

function ofRelation(row: RelationRow): Verdict {
  if (row.schema === 'pg_catalog') return systemRelation(row.name) ?? UNKNOWN_WRAPPER;
  if (row.schema === 'information_schema') return READ;
  if (isAboutTheNode(row.name)) return DIFFERS;
  if (row.kind === 'S') return SEQUENCE;
  if (row.persistence === 'u') return UNLOGGED;
  if (row.locks_rows) return ROW_LOCK;
  if (row.kind === 'f' && !NETWORK_WRAPPERS.has(row.wrapper ?? '')) return UNKNOWN_WRAPPER;
  return READ;
}

function ofUse(use: FunctionUseRow): Verdict {
  if (use.schema === 'pg_catalog') return builtinFunction(use.name) ?? UNKNOWN_FUNCTION;
  return ofFunction(use.volatility, use.name);
}

function edgesOf(rows: CatalogRows): Edges {
  const read = new Map<string, string[]>();
  const write = new Map<string, string[]>();
  for (const row of rows.relationUses) {
    if (!row.on_write) append(read, row.upper, row.lower);
    append(write, row.upper, row.lower);
  }
  return { read, write };
}

function append<V>(map: Map<string, V[]>, name: string, value: V): void {
  const list = map.get(name);
  if (list === undefined) map.set(name, [value]);
  else list.push(value);
}

class Closure {
  readonly #edges: ReadonlyMap<string, readonly string[]>;

  constructor(edges: ReadonlyMap<string, readonly string[]>) {
    this.#edges = edges;
  }

  /** The relation and everything that can be reached from it; views may be recursive. */
  from(start: string): ReadonlySet<string> {
    const reached = new Set([start]);
    for (const oid of reached) for (const lower of this.#edges.get(oid) ?? []) reached.add(lower);
    return reached;
  }
}
