import type { Effect, EffectReason, ResidueRisk, SessionStateRead, StatementFacts } from './facts.ts';
import { outranks } from './verdict.ts';

/** The name of a function, relation or type as the text has it: byte-as-char, `schema` null when not given. */
export interface ObjectName {
  readonly schema: string | null;
  readonly name: string;
}

/** What one statement shows without any catalog. `resolve.ts` turns it into facts. */
export interface StatementFindings {
  readonly facts: StatementFacts;
  /** From the grammar alone; 'read' until an object says otherwise. */
  readonly effect: Effect;
  readonly reason: EffectReason;
  readonly subject: string | null;
  readonly functions: readonly ObjectName[];
  /** Read from. */
  readonly relations: readonly ObjectName[];
  /** Written to: their triggers, defaults and rules run. */
  readonly targets: readonly ObjectName[];
  /** Names without schema. */
  readonly operators: ReadonlySet<string>;
  /** Types cast to. */
  readonly types: readonly ObjectName[];
  /** Syntax that calls a function of this name on a server that does not know the syntax yet (JSON_VALUE before 17). */
  readonly syntax: ReadonlySet<string>;
  /** `x.name`, which calls the function `name` when `x` has no such column. */
  readonly fields: ReadonlySet<string>;
  readonly residue: ReadonlySet<ResidueRisk>;
  /** Settings that a call of set_config() names. */
  readonly settings: ReadonlySet<string>;
  readonly callsVolatile: boolean;
  readonly sessionState: SessionStateRead | null;
  /** Its expressions are kept for later (defaults, constraints) and not evaluated. */
  readonly onlyDeclares: boolean;
  readonly changesCatalog: boolean;
}

export interface Findings {
  readonly statements: readonly StatementFindings[];
  /** A literal's value matters: these findings hold for this text only, not for its shape. */
  readonly literalMatters: boolean;
}

/** Collects the findings of one statement while its tree is walked. */
export class Collector implements StatementFindings {
  facts: StatementFacts = { kind: 'query' };
  effect: Effect = 'read';
  reason: EffectReason = 'plain read';
  subject: string | null = null;
  readonly functions: ObjectName[] = [];
  readonly relations: ObjectName[] = [];
  readonly targets: ObjectName[] = [];
  readonly operators = new Set<string>();
  readonly types: ObjectName[] = [];
  readonly syntax = new Set<string>();
  readonly fields = new Set<string>();
  readonly residue = new Set<ResidueRisk>();
  readonly settings = new Set<string>();
  callsVolatile = false;
  sessionState: SessionStateRead | null = null;
  onlyDeclares = false;
  changesCatalog = false;
  literalMatters = false;

  /** The stronger effect stays; of equals, the first. */
  is(effect: Effect, reason: EffectReason, subject: string | null = null): void {
    if (!outranks(effect, this.effect)) return;
    this.effect = effect;
    this.reason = reason;
    this.subject = subject;
  }

  /** Takes over what another statement uses and may leave, but not what kind of statement it is. */
  take(other: Collector): void {
    this.is(other.effect, other.reason, other.subject);
    this.functions.push(...other.functions);
    this.relations.push(...other.relations);
    this.targets.push(...other.targets);
    this.types.push(...other.types);
    for (const name of other.operators) this.operators.add(name);
    for (const name of other.syntax) this.syntax.add(name);
    for (const name of other.fields) this.fields.add(name);
    for (const risk of other.residue) this.residue.add(risk);
    // SELECT set_config() is a 'set' only where it stands alone.
    if (other.facts.kind === 'set') this.settings.add(other.facts.name);
    for (const name of other.settings) this.settings.add(name);
    this.callsVolatile ||= other.callsVolatile;
    this.sessionState ??= other.sessionState;
    this.changesCatalog ||= other.changesCatalog;
    this.literalMatters ||= other.literalMatters;
  }

  /** What a read of this kind is called, if it stays a read. */
  readAs(reason: EffectReason): void {
    if (this.effect === 'read') this.reason = reason;
  }
}
