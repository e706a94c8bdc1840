import type { Catalog } from './catalog.ts';
import type { Effect, EffectReason, Facts, Hint, ResidueRisk, SessionStateRead } from './facts.ts';
import type { Findings, ObjectName, StatementFindings } from './findings.ts';
import { builtinFunction, isAboutTheNode } from './functions.ts';
import { systemRelation } from './system-relations.ts';
import { eitherOf, outranks, READ, UNKNOWN_FUNCTION, type Verdict, VOLATILE, verdict } from './verdict.ts';

/**
 * Findings of a text, with what a catalog says of the objects in them, are its facts. A name without schema may be any
 * object of that name, since the search path belongs to the session: the worst of them counts.
 */
export function resolve(findings: Findings, catalog: Catalog, hint: Hint | null): Facts {
  const outcome = new Outcome();
  for (const statement of findings.statements) outcome.add(statement, catalog);
  return {
    effect: outcome.effect,
    reason: outcome.reason,
    subject: outcome.subject,
    statements: findings.statements.map((statement) => statement.facts),
    hint,
    callsVolatile: outcome.callsVolatile,
    sessionState: outcome.sessionState,
    residue: outcome.residue,
    settings: new Set(findings.statements.flatMap(({ settings }) => [...settings])),
    changesCatalog: findings.statements.some((statement) => statement.changesCatalog),
  };
}

const DIFFERS: Verdict = verdict('write', 'differs on a standby', { callsVolatile: true });
const TEMPORARY: Verdict = verdict('write', 'temporary relation');
const TEMPORARY_FUNCTION: Verdict = { ...VOLATILE, effect: 'write' };
const NOT_LOADED: Verdict = { ...UNKNOWN_FUNCTION, reason: 'catalog not loaded' };
const UNKNOWN_RELATION: Verdict = verdict('unknown', 'not proven a read');
const UNSURE_NAME: Verdict = verdict('unknown', 'not proven a read', { callsVolatile: true, residue: 'unknown' });

/** PostgreSQL cuts names to 63 bytes, and libpg_query has seen two for each beyond ASCII: it may have cut more. */
const LONGEST_SURE_BYTES = 61;

class Outcome {
  effect: Effect = 'read';
  reason: EffectReason = 'empty query';
  subject: string | null = null;
  callsVolatile = false;
  sessionState: SessionStateRead | null = null;
  readonly residue = new Set<ResidueRisk>();

  add(statement: StatementFindings, catalog: Catalog): void {
    this.#decide(statement.effect, statement.reason, statement.subject);
    for (const risk of statement.residue) this.residue.add(risk);
    if (statement.callsVolatile) this.callsVolatile = true;
    const { sessionState } = this;
    this.sessionState ??= statement.sessionState;
    for (const name of statement.functions) this.#use(functionVerdict(name, catalog), name.name);
    for (const name of statement.syntax) this.#use(catalog.userFunction({ schema: null, name }) ?? READ, name);
    for (const name of statement.relations) this.#use(relationVerdict(name, catalog), name.name);
    for (const name of statement.operators) if (catalog.isVolatileOperator(name)) this.#use(VOLATILE, name);
    for (const name of statement.types) if (catalog.isVolatileType(name)) this.#use(VOLATILE, name.name);
    for (const name of statement.fields) if (catalog.isVolatileField(name)) this.#use(VOLATILE, name);
    for (const name of statement.targets) if (runsCodeOnWrite(name, catalog)) this.residue.add('unknown');
    if (statement.changesCatalog && catalog.hasEventTriggers) this.residue.add('unknown');
    if (statement.onlyDeclares) this.sessionState = this.sessionState === 'sequence value' ? 'sequence default' : sessionState;
  }

  #use(use: Verdict, subject: string): void {
    if (use === READ) return;
    this.#decide(use.effect, use.reason, subject);
    if (use.callsVolatile) this.callsVolatile = true;
    if (use.residue !== null) this.residue.add(use.residue);
    if (use.sessionState === 'sequence value' || this.sessionState === null) this.sessionState = use.sessionState;
  }

  /** The strongest effect gives the reason; among reads, the first statement that is more than control. */
  #decide(effect: Effect, reason: EffectReason, subject: string | null): void {
    if (effect === 'read' ? this.effect !== 'read' || !isWeak(this.reason) : !outranks(effect, this.effect)) return;
    this.effect = effect;
    this.reason = reason;
    this.subject = effect === 'read' ? null : subject;
  }
}

function isWeak(reason: EffectReason): boolean {
  return reason === 'empty query' || reason === 'transaction control' || reason === 'session control';
}

function functionVerdict({ schema, name }: ObjectName, catalog: Catalog): Verdict {
  if (schema === 'pg_catalog') return builtinFunction(name) ?? UNKNOWN_FUNCTION;
  if (schema === 'pg_temp') return TEMPORARY_FUNCTION;
  if (isUnsure(name)) return UNSURE_NAME;
  const builtin = schema === null ? builtinFunction(name) : null;
  const user = catalog.userFunction({ schema, name });
  if (builtin !== null) return user === null ? builtin : eitherOf(builtin, user);
  if (isAboutTheNode(name)) return DIFFERS;
  return user ?? (catalog.loaded ? UNKNOWN_FUNCTION : NOT_LOADED);
}

function relationVerdict({ schema, name }: ObjectName, catalog: Catalog): Verdict {
  if (schema === 'pg_temp' || schema?.startsWith('pg_temp_') === true) return TEMPORARY;
  if (schema === 'information_schema') return READ;
  if (isUnsure(name)) return UNKNOWN_RELATION;
  const system = schema === null || schema === 'pg_catalog' ? systemRelation(name) : null;
  if (system !== null) return system;
  if (schema === 'pg_catalog') return UNKNOWN_RELATION;
  if (isAboutTheNode(name)) return DIFFERS;
  const user = catalog.relation({ schema, name });
  if (user !== null) return user.reading;
  return catalog.loaded ? UNKNOWN_RELATION : READ;
}

function runsCodeOnWrite(name: ObjectName, catalog: Catalog): boolean {
  return catalog.relation(name)?.runsCodeOnWrite ?? true;
}

function isUnsure(name: string): boolean {
  return name.length > LONGEST_SURE_BYTES / 2 && Buffer.byteLength(name, 'utf8') > LONGEST_SURE_BYTES;
}
