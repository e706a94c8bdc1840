import { encodeBoundRead } from '../protocol/frontend-encoders.ts';
import type { Catalog } from '../sql/catalog.ts';
import type { Facts } from '../sql/facts.ts';
import { liftedValues, type Template, templateOf } from '../sql/lifting.ts';
import { Lru } from '../util/lru.ts';
import type { PreparedStatement, StatementRegistry } from './prepared-statements.ts';

/** Shapes whose literals are lifted at a time. Ours: each has one statement of a few hundred bytes. */
const MAX_TEMPLATES = 2000;

/** So many texts in a row that do not fit the template of their shape, and it is made of the next; not more often than that. Ours. */
const MAX_MISFITS = 16;
const MAX_TEMPLATES_OF_SHAPE = 4;

/** OID of int4. Source: pg_type.dat. */
const INT4 = 23;

/** A read of one Query as what is sent in its place. */
export interface LiftedRead {
  readonly statement: PreparedStatement;
  /** Bind, Describe, Execute and Sync. */
  readonly messages: Buffer;
}

/** What is known of a shape; `made` null: not to be lifted, or not by the text that was tried. */
interface Entry {
  made: { readonly template: Template; readonly statement: PreparedStatement } | null;
  misfits: number;
  templates: number;
}

/**
 * Reads of simple queries that are sent as prepared statements with their integers as parameters (`sql/lifting.ts`): one
 * template for each shape, made of the first text of it that is seen. It belongs to what is known of the shape, so to one
 * version of the catalog. Whatever goes wrong with one is nobody's business: the read is run again as its client wrote it, and
 * if it is right like that, its shape is left alone from then on.
 */
export class LiftedReads {
  readonly #registry: StatementRegistry;
  readonly #entries = new Lru<Facts, Entry>(MAX_TEMPLATES, (_facts, entry) => this.#drop(entry));

  constructor(registry: StatementRegistry) {
    this.#registry = registry;
  }

  /** What is sent in place of a Query of this text; null when it is sent as it is. */
  lift(facts: Facts, text: string, catalog: Catalog): LiftedRead | null {
    let entry = this.#entries.get(facts);
    if (entry === undefined) {
      entry = { made: null, misfits: MAX_MISFITS, templates: 0 };
      this.#entries.set(facts, entry);
    }
    if (entry.misfits === MAX_MISFITS && entry.templates < MAX_TEMPLATES_OF_SHAPE) this.#make(entry, text, catalog);
    const { made } = entry;
    const values = made === null ? null : liftedValues(made.template, text);
    if (made === null || values === null) {
      if (entry.misfits < MAX_MISFITS) entry.misfits++;
      return null;
    }
    entry.misfits = 0;
    return { statement: made.statement, messages: encodeBoundRead(made.statement.backendName, values) };
  }

  /** A read of this shape failed, and was right as its client wrote it. */
  leave(facts: Facts): void {
    const entry = this.#entries.peek(facts);
    if (entry === undefined) return;
    this.#drop(entry);
    entry.templates = MAX_TEMPLATES_OF_SHAPE;
  }

  #make(entry: Entry, text: string, catalog: Catalog): void {
    this.#drop(entry);
    entry.misfits = 0;
    entry.templates++;
    const template = templateOf(text, catalog.isKey);
    if (template === null) return;
    const count = template.between.length - 1;
    const types = Buffer.alloc(2 + 4 * count);
    types.writeUInt16BE(count);
    for (let index = 0; index < count; index++) types.writeUInt32BE(INT4, 2 + 4 * index);
    const statement = this.#registry.acquireOwn(template.text, types);
    if (statement !== null) entry.made = { template, statement };
  }

  #drop(entry: Entry): void {
    if (entry.made !== null) this.#registry.release(entry.made.statement);
    entry.made = null;
  }
}
