import { encodeBoundRead } from '../protocol/frontend-encoders.ts';
import type { Facts } from '../sql/facts.ts';
import { liftedValues, type Template, templateOf } from '../sql/lifting.ts';
import { OperationalError } from '../util/errors.ts';
import { Lru } from '../util/lru.ts';
import type { PreparedStatement, StatementRegistry } from './prepared-statements.ts';

/** Shapes whose literals are lifted at a time. Ours: each has one statement of a few hundred bytes. */
const MAX_TEMPLATES = 2000;

/** OID of int4; 0 leaves a type to PostgreSQL, as it does with a string of no type. Source: pg_type.dat. */
const TYPE_OF = { integer: 23, string: 0 } as const;

/** A read of one Query as what is sent in its place. */
export interface LiftedRead {
  readonly statement: PreparedStatement;
  /** Bind, Describe, Execute and Sync. */
  readonly messages: Buffer;
}

interface Entry {
  readonly template: Template;
  readonly statement: PreparedStatement;
}

/**
 * Reads of simple queries that are sent as prepared statements with their literals as parameters (`sql/lifting.ts`): one
 * template for each shape, made of the first text of it that is seen. Whatever goes wrong with one is nobody's business: the
 * read is run again as its client wrote it, and if it is right like that, its shape is left alone from then on.
 */
export class LiftedReads {
  readonly #registry: StatementRegistry;
  /** By what is known of the shape; null: not to be lifted. */
  readonly #entries = new Lru<Facts, Entry | null>(MAX_TEMPLATES, (_facts, entry) => this.#release(entry));

  constructor(registry: StatementRegistry) {
    this.#registry = registry;
  }

  /** What is sent in place of a Query of this text; null when it is sent as it is. */
  lift(facts: Facts, text: string): LiftedRead | null {
    let entry = this.#entries.get(facts);
    if (entry === undefined) {
      entry = this.#make(text);
      this.#entries.set(facts, entry);
    }
    if (entry === null) return null;
    const values = liftedValues(entry.template, text);
    if (values === null) return null;
    const { statement } = entry;
    return { statement, messages: encodeBoundRead(statement.backendName, values) };
  }

  /** A read of this shape failed, and was right as its client wrote it. */
  leave(facts: Facts): void {
    this.#release(this.#entries.peek(facts));
    this.#entries.set(facts, null);
  }

  #make(text: string): Entry | null {
    const template = templateOf(text);
    if (template === null) return null;
    const types = Buffer.alloc(2 + 4 * template.kinds.length);
    types.writeUInt16BE(template.kinds.length);
    for (const [index, kind] of template.kinds.entries()) types.writeUInt32BE(TYPE_OF[kind], 2 + 4 * index);
    try {
      return { template, statement: this.#registry.acquire(template.text, types) };
    } catch (error) {
      if (error instanceof OperationalError) return null;
      throw error;
    }
  }

  #release(entry: Entry | null | undefined): void {
    if (entry !== null && entry !== undefined) this.#registry.release(entry.statement);
  }
}
