import type pg from 'pg';
import type { RoleVerifier, VerifierSource } from '../auth/role-verifier.ts';
import type { Clock, Timer } from '../util/clock.ts';
import { errorOf, OperationalError } from '../util/errors.ts';
import { Lru } from '../util/lru.ts';
import { Secret } from '../util/secret.ts';
import type { Telemetry } from '../util/telemetry.ts';
import { fromWireText, toWireText } from '../util/wire-text.ts';
import { connectPg, type PgClientOptions } from './pg-client.ts';

export interface RoleVerifiersOptions {
  /** Who asks, where, and how long an answer may take. */
  readonly connection: Omit<PgClientOptions, 'host' | 'port'>;
  /** Backends that can be asked, best first: the primary, then replicas, which have the same roles. Asked at each connect. */
  readonly endpoints: () => readonly { readonly host: string; readonly port: number }[];
  /**
   * Asks for the role $1. One row: its name and its verifier, and if it likes, whether it may log in (boolean) and for how
   * many milliseconds its password is good (NULL: for ever). Null: a question to pg_authid.
   */
  readonly statement: string | null;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly limits?: Partial<RoleVerifierLimits>;
}

export interface RoleVerifierLimits {
  /** Roles remembered, those that do not exist included. */
  readonly maxRoles: number;
  /** How long an answer is good: the time after which a changed password, `VALID UNTIL` or `NOLOGIN` is seen at the latest. */
  readonly lifeMs: number;
  /** The same for "there is no such role": a role that was just created works after this. */
  readonly absentLifeMs: number;
  /** Failed proofs cause a role to be asked for again, but not more often than this. */
  readonly minIntervalMs: number;
}

/** Ours. One question per role in five seconds is nothing to a backend, and the login storm of an application is one role. */
const LIMITS: RoleVerifierLimits = { maxRoles: 10_000, lifeMs: 5_000, absentLifeMs: 1_000, minIntervalMs: 200 };

/** The connection is made anew after this long, so that it does not stay with a backend that was primary once. Ours. */
const CONNECTION_LIFE_MS = 60_000;

/** Names are qualified, operators too: nothing in the role's own search_path can slip in. */
const ROLE_QUERY = `
SELECT r.rolname, r.rolpassword, r.rolcanlogin,
  CASE
    WHEN r.rolvaliduntil IS NULL THEN NULL
    WHEN pg_catalog.isfinite(r.rolvaliduntil) THEN
      pg_catalog.date_part('epoch', r.rolvaliduntil OPERATOR(pg_catalog.-) pg_catalog.now())
        OPERATOR(pg_catalog.*) 1000::pg_catalog.float8
    WHEN r.rolvaliduntil OPERATOR(pg_catalog.>) pg_catalog.now() THEN NULL
    ELSE -1::pg_catalog.float8
  END
FROM pg_catalog.pg_authid AS r
WHERE r.rolname OPERATOR(pg_catalog.=) $1::pg_catalog.name`;

interface Entry {
  readonly role: RoleVerifier | null;
  readonly askedAtMs: number;
  doubted: boolean;
}

/**
 * Verifiers of the cluster's roles, asked on a connection of pgweir's own. Of a client nothing but the name of its user
 * goes there, as a parameter; none of its settings do (CVE-2025-12819). One question per role is under way at a time.
 */
export class RoleVerifiers implements VerifierSource {
  readonly #options: RoleVerifiersOptions;
  readonly #limits: RoleVerifierLimits;
  readonly #entries: Lru<string, Entry>;
  readonly #underWay = new Map<string, Promise<RoleVerifier | null>>();
  #connection: Promise<pg.Client> | null = null;
  #retirement: Timer | null = null;

  constructor(options: RoleVerifiersOptions) {
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#entries = new Lru(this.#limits.maxRoles);
  }

  lookup(user: string): Promise<RoleVerifier | null> {
    const entry = this.#entries.get(user);
    if (entry !== undefined && this.#isGood(entry)) return Promise.resolve(entry.role);
    const underWay = this.#underWay.get(user);
    if (underWay !== undefined) return underWay;
    const question = this.#ask(user).finally(() => this.#underWay.delete(user));
    this.#underWay.set(user, question);
    return question;
  }

  doubt(user: string): void {
    const entry = this.#entries.peek(user);
    if (entry !== undefined) entry.doubted = true;
  }

  /** Closes the connection. */
  close(): void {
    this.#retirement?.cancel();
    const connection = this.#connection;
    this.#connection = null;
    void connection?.then((client) => client.end()).catch(() => undefined);
  }

  #isGood({ role, askedAtMs, doubted }: Entry): boolean {
    const { lifeMs, absentLifeMs, minIntervalMs } = this.#limits;
    const life = role === null ? absentLifeMs : lifeMs;
    return this.#options.clock.now() - askedAtMs < (doubted ? Math.min(life, minIntervalMs) : life);
  }

  async #ask(user: string): Promise<RoleVerifier | null> {
    const askedAtMs = this.#options.clock.now();
    const name = fromWireText(user);
    // What is not UTF-8 is the name of no role that could be found.
    const role = name === null ? null : this.#roleOf(name, await this.#query(name, user), askedAtMs);
    this.#entries.set(user, { role, askedAtMs, doubted: false });
    return role;
  }

  /** The rows as text. A connection that broke while it was idle is not the end: one more attempt is made on a new one. */
  async #query(name: string, user: string): Promise<Row[]> {
    try {
      const first = this.#connection;
      try {
        return await this.#queryOnce(name);
      } catch (error) {
        if (first === null || isSqlError(error)) throw error;
        return await this.#queryOnce(name);
      }
    } catch (error) {
      if (error instanceof OperationalError) throw error;
      const cause = errorOf(error);
      this.#options.telemetry.log('error', 'role_lookup_failed', { role: name, error: cause });
      const kind = isSqlError(error) ? 'backend_login_failed' : 'backend_unreachable';
      throw lookupFailed(kind, user, cause);
    }
  }

  async #queryOnce(name: string): Promise<Row[]> {
    const connection = this.#connect();
    try {
      const client = await connection;
      const { rows } = await client.query<Row>({
        text: this.#options.statement ?? ROLE_QUERY,
        values: [name],
        rowMode: 'array',
        types: TEXT_TYPES,
      });
      return rows;
    } catch (error) {
      if (!isSqlError(error)) this.#drop(connection);
      throw error;
    }
  }

  #roleOf(name: string, rows: readonly Row[], askedAtMs: number): RoleVerifier | null {
    const row = rows[0];
    if (row === undefined) return null;
    if (rows.length !== 1 || row.length < 2 || row[0] !== name) {
      const shape = { role: name, rows: rows.length, columns: row.length };
      this.#options.telemetry.log('error', 'role_lookup_makes_no_sense', shape);
      throw lookupFailed('backend_login_failed', toWireText(name));
    }
    const [, verifier = null, canLogin = 't', goodForMs = null] = row;
    return {
      verifier: verifier === null ? null : Secret.from(verifier),
      canLogin: canLogin === 't',
      // A text that is no number counts as expired.
      expiresAtMs: goodForMs === null ? null : askedAtMs + (Number.isNaN(Number(goodForMs)) ? 0 : Number(goodForMs)),
    };
  }

  #connect(): Promise<pg.Client> {
    this.#connection ??= this.#connectAnywhere();
    return this.#connection;
  }

  async #connectAnywhere(): Promise<pg.Client> {
    const { endpoints, connection, clock } = this.#options;
    let failure: unknown = new Error('no backend is known');
    for (const endpoint of endpoints()) {
      try {
        const client = await connectPg({ ...connection, ...endpoint });
        this.#retirement = clock.after(CONNECTION_LIFE_MS, () => this.#retire());
        return client;
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  #retire(): void {
    if (this.#underWay.size === 0) this.close();
    else this.#retirement = this.#options.clock.after(CONNECTION_LIFE_MS, () => this.#retire());
  }

  /** Only the connection that failed: another question may have made a new one meanwhile. */
  #drop(connection: Promise<pg.Client>): void {
    if (this.#connection === connection) this.close();
  }
}

type Row = (string | null)[];

/** The client may know that it failed, the log says why. */
function lookupFailed(kind: 'backend_login_failed' | 'backend_unreachable', user: string, cause?: Error): OperationalError {
  return new OperationalError(kind, `could not look up the verifier of role "${user}"`, { cause });
}

/** All columns as the text that the backend sent. */
const TEXT_TYPES = { getTypeParser: () => (text: string) => text };

/** An error of the statement, after which the connection is as good as before. */
function isSqlError(error: unknown): boolean {
  return error instanceof Error && 'severity' in error && error.severity === 'ERROR';
}
