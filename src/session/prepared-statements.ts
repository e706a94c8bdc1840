import { STATEMENT_PREFIX } from '../backend/residue.ts';
import type { Catalog } from '../sql/catalog.ts';
import type { Facts } from '../sql/facts.ts';
import { OperationalError } from '../util/errors.ts';
import type { ScanMode, StatementPort } from './ports.ts';

/**
 * A statement as pgweir knows it: one per distinct (text, parameter types) of the whole process, whatever its clients call
 * it. On backend connections it has one name of its own.
 */
export class PreparedStatement {
  readonly id: number;
  /** Its name on backend connections. */
  readonly backendName: Buffer;
  readonly text: string;
  /** Number and OIDs of the parameter types as the client sent them. */
  readonly types: Buffer;
  readonly key: string;
  users = 0;
  /** Times that clients have given it a name. */
  defined = 0;
  /** The shape of result that a client was told last: nearly always the same for all of them. */
  #shape: string | null = null;
  #types: string | null = null;
  #facts: { readonly catalog: Catalog; readonly scan: ScanMode; readonly facts: Facts; readonly generation: number } | null =
    null;

  constructor(id: number, text: string, types: Buffer, key: string) {
    this.id = id;
    this.backendName = Buffer.from(`${STATEMENT_PREFIX}${id}`, 'latin1');
    this.text = text;
    this.types = types;
    this.key = key;
  }

  /** Its facts under a catalog; kept for as long as the question is the same. */
  factsUnder(statements: StatementPort, catalog: Catalog, scan: ScanMode): Facts {
    const known = this.#facts;
    if (known !== null && known.catalog === catalog && known.scan === scan && known.generation === statements.generation) {
      return known.facts;
    }
    const facts = statements.facts(this.text, catalog, scan);
    this.#facts = { catalog, scan, facts, generation: statements.generation };
    return facts;
  }

  /** The same shape, as one string for all sessions. */
  known(shape: string): string {
    if (this.#shape !== shape) this.#shape = shape;
    return this.#shape;
  }

  /** The same types of parameters, as one string for all sessions. */
  knownTypes(types: string): string {
    if (this.#types !== types) this.#types = types;
    return this.#types;
  }

  /** Roughly what it occupies, in bytes. */
  get bytes(): number {
    return 2 * this.text.length + this.types.length + 200;
  }
}

/** All prepared statements of the process, bounded by their bytes. A statement lives while a session has it. */
export class StatementRegistry {
  readonly #byKey = new Map<string, PreparedStatement>();
  readonly #maxBytes: number;
  #nextId = 1;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#byKey.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * The statement for a text; the caller has it from now on and must `release` it.
   * @throws OperationalError `statement_memory` when the bound is reached
   */
  acquire(text: string, typesSlice: Buffer): PreparedStatement {
    const key = typesSlice.length === 2 ? text : `${typesSlice.toString('latin1')}\0${text}`;
    let statement = this.#byKey.get(key);
    if (statement === undefined) {
      statement = new PreparedStatement(this.#nextId++, text, Buffer.from(typesSlice), key);
      if (this.#bytes + statement.bytes > this.#maxBytes) {
        throw new OperationalError('statement_memory', 'out of memory for prepared statements', {
          detail: `The prepared statements of all clients have reached limits.statement_bytes (${this.#maxBytes} bytes).`,
        });
      }
      this.#bytes += statement.bytes;
      this.#byKey.set(key, statement);
    }
    statement.users++;
    return statement;
  }

  /**
   * A statement of pgweir's own, that no client has; as `acquire`, but null where it would take of the half that is the
   * clients'.
   */
  acquireOwn(text: string, types: Buffer): PreparedStatement | null {
    const id = this.#nextId++;
    const statement = new PreparedStatement(id, text, types, `\0${id}`);
    if (2 * (this.#bytes + statement.bytes) > this.#maxBytes) return null;
    this.#bytes += statement.bytes;
    this.#byKey.set(statement.key, statement);
    statement.users = 1;
    return statement;
  }

  release(statement: PreparedStatement): void {
    // One that was put back after its last user had left is no longer counted.
    if (--statement.users > 0 || this.#byKey.get(statement.key) !== statement) return;
    this.#byKey.delete(statement.key);
    this.#bytes -= statement.bytes;
  }
}

/** What a session calls by a name of its own. */
export class SessionStatement {
  readonly statement: PreparedStatement;
  readonly named: boolean;
  /** How many had given the statement a name by then. */
  readonly number: number;
  /**
   * The shape of its result (`result-shape.ts`) that the client was told: by that it may read the rows of every later
   * execution, on whatever connection. Null when it was told none.
   */
  told: string | null = null;
  /**
   * Number and OIDs of the types of its parameters that the client was told: by those it writes values, and a plan of
   * PostgreSQL keeps them whatever becomes of its tables. Null when it was told none.
   */
  types: string | null = null;

  constructor(statement: PreparedStatement, named: boolean) {
    this.statement = statement;
    this.named = named;
    this.number = ++statement.defined;
  }
}

/** What the unnamed statement became, and before that was: until PostgreSQL has answered, it may turn out to be that still. */
export interface UnnamedChange {
  statement: SessionStatement | null;
  previous: UnnamedChange | null;
}

/** The prepared statements of one session, by the client's names; the empty name is the unnamed statement. */
export class SessionStatements {
  readonly #registry: StatementRegistry;
  readonly #maxStatements: number;
  readonly #byName = new Map<string, SessionStatement>();
  /** The newest change of the unnamed statement. */
  #unnamed: UnnamedChange | null = null;

  constructor(registry: StatementRegistry, maxStatements: number) {
    this.#registry = registry;
    this.#maxStatements = maxStatements;
  }

  get size(): number {
    return this.#byName.size;
  }

  /** The newest change of the unnamed statement. */
  get unnamedChange(): UnnamedChange | null {
    return this.#unnamed;
  }

  get(name: string): SessionStatement | null {
    return name === '' ? (this.#unnamed?.statement ?? null) : (this.#byName.get(keyOf(name)) ?? null);
  }

  /**
   * Gives a name to a statement, which is acquired for it.
   * @throws OperationalError `too_many_statements`
   */
  define(name: string, text: string, typesSlice: Buffer): SessionStatement {
    if (name !== '' && this.#byName.size >= this.#maxStatements && !this.#byName.has(keyOf(name))) {
      throw new OperationalError('statement_memory', 'too many prepared statements', {
        detail: `A client may have ${this.#maxStatements} (limits.statements_per_client).`,
        hint: 'Close statements that are no longer needed.',
      });
    }
    const statement = new SessionStatement(this.#registry.acquire(text, typesSlice), name !== '');
    if (name === '') {
      this.#unnamed = { statement, previous: this.#unnamed };
      return statement;
    }
    this.#forget(keyOf(name));
    this.#byName.set(keyOf(name), statement);
    return statement;
  }

  /** PostgreSQL did what changed the unnamed statement: what it was before does not matter any more. */
  confirmUnnamed(change: UnnamedChange): void {
    this.#releaseAll(change.previous);
    change.previous = null;
  }

  /** PostgreSQL refused a Parse of the unnamed statement, and has dropped the one before (exec_parse_message in postgres.c). */
  failUnnamed(change: UnnamedChange): void {
    if (change.statement !== null) this.#registry.release(change.statement.statement);
    change.statement = null;
    this.confirmUnnamed(change);
  }

  /** PostgreSQL skipped what was to change the unnamed statement. Later changes stand as they are. */
  skipUnnamed(change: UnnamedChange): void {
    if (this.#unnamed === change) this.#unnamed = change.previous;
    else {
      let later = this.#unnamed;
      while (later !== null && later.previous !== change) later = later.previous;
      if (later === null) return;
      later.previous = change.previous;
    }
    if (change.statement !== null) this.#registry.release(change.statement.statement);
  }

  /** Puts back what a name meant before, after PostgreSQL refused or skipped the message that changed it. */
  restore(name: string, previous: SessionStatement | null): void {
    if (previous === this.get(name)) return;
    if (previous !== null) previous.statement.users++;
    this.#forget(keyOf(name));
    if (previous !== null) this.#byName.set(keyOf(name), previous);
  }

  remove(name: string): void {
    if (name !== '') this.#forget(keyOf(name));
    else if (this.get('') !== null) this.#unnamed = { statement: null, previous: this.#unnamed };
  }

  /** What DISCARD ALL and DEALLOCATE ALL do: the unnamed statement stays. Source: DropAllPreparedStatements in prepare.c. */
  clearNamed(): void {
    for (const name of [...this.#byName.keys()]) this.#forget(name);
  }

  clear(): void {
    this.clearNamed();
    this.#releaseAll(this.#unnamed);
    this.#unnamed = null;
  }

  #forget(name: string): void {
    const old = this.#byName.get(name);
    if (old === undefined) return;
    this.#byName.delete(name);
    this.#registry.release(old.statement);
  }

  #releaseAll(newest: UnnamedChange | null): void {
    for (let change = newest; change !== null; change = change.previous) {
      if (change.statement !== null) this.#registry.release(change.statement.statement);
    }
  }
}

/** PostgreSQL tells names of statements apart by their first 63 bytes. Source: prepare.c, a hash with keys of NAMEDATALEN. */
function keyOf(name: string): string {
  return name.length > 63 ? name.slice(0, 63) : name;
}
