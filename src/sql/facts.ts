/**
 * What classification found out about one message's text. Catalog-dependent answers are already resolved: facts are
 * valid for one database's catalog version. The union rules for several statements are in `classify.ts`.
 */
export interface Facts {
  /** The union over all statements: one write makes a write, one unknown makes an unknown. */
  readonly effect: Effect;
  /** Why; the metric label and the text of `pgweir route`. Of the statement that decided the effect. */
  readonly reason: EffectReason;
  /** The object that decided (function, relation or node name), or null. For explanations, never a label. */
  readonly subject: string | null;
  /** Each statement of the text in order; empty for an empty query. */
  readonly statements: readonly StatementFacts[];
  readonly hint: Hint | null;
  /** Calls a function whose answer may change within the session or that must run once per call (bars sharing). */
  readonly callsVolatile: boolean;
  /** Asks for state of its own connection, so it must run where this session ran before; null for almost everything. */
  readonly sessionState: SessionStateRead | null;
  /** What a run of this may leave on the connection that is not portable. */
  readonly residue: ReadonlySet<ResidueRisk>;
  /** Settings that a run of this may change, by name, beside those that `statements` name. */
  readonly settings: ReadonlySet<string>;
  /** Text contains DDL: the catalog must be refreshed after it ran. */
  readonly changesCatalog: boolean;
}

/** read: proven free of writes and right on a standby. write: known to need the primary. unknown: not proven, so primary. */
export type Effect = 'read' | 'write' | 'unknown';

export type EffectReason =
  | 'plain read'
  | 'read-only COPY'
  | 'EXPLAIN of a read'
  | 'SHOW'
  | 'cursor over a read'
  | 'session control'
  | 'transaction control'
  | 'empty query'
  | 'data modification'
  | 'row lock'
  | 'SELECT INTO'
  | 'schema change'
  | 'maintenance'
  | 'volatile function'
  | 'unknown function'
  | 'differs on a standby'
  | 'unlogged relation'
  | 'temporary relation'
  | 'notification'
  | 'explicit lock'
  | 'procedure or code block'
  | 'sequence'
  | 'large object'
  | 'learned'
  | 'text does not parse'
  | 'text too long to parse'
  | 'encoding not safe to scan'
  | 'catalog not loaded'
  | 'not proven a read';

/**
 * `sequence value`: currval, lastval; `sequence default`: they stand in a default, for later. `temporary schema`: pg_my_temp_schema(). `connection`: pg_backend_pid(),
 * pg_prepared_statements, pg_listening_channels(), ...
 */
export type SessionStateRead = 'sequence value' | 'sequence default' | 'temporary schema' | 'connection';

/**
 * What may stay on a connection after the statement.
 * `settings`: a setting may have changed without our knowing which. `unknown`: any of all (CALL, DO, volatile functions).
 * `activity counters`: nothing is left, but what the session does is counted by its process, and it looks at the counts.
 * `process state`: what can neither be asked for nor taken away (setseed, pg_backup_start, replication origins).
 */
export type ResidueRisk =
  | 'temporary object'
  | 'advisory lock'
  | 'listen'
  | 'held cursor'
  | 'prepared statement'
  | 'settings'
  | 'sequence value'
  | 'library'
  | 'activity counters'
  | 'process state'
  | 'unknown';

/** One statement, by what the session must do about it. */
export type StatementFacts =
  | { readonly kind: 'query' }
  | { readonly kind: 'begin'; readonly modes: TransactionModes }
  | { readonly kind: 'commit'; readonly chain: boolean }
  | { readonly kind: 'rollback'; readonly chain: boolean }
  | { readonly kind: 'savepoint' | 'release' | 'rollback to'; readonly name: string }
  | { readonly kind: 'prepare transaction' | 'commit prepared' | 'rollback prepared' }
  | { readonly kind: 'set transaction'; readonly modes: TransactionModes; readonly snapshot: boolean }
  | { readonly kind: 'set characteristics'; readonly modes: TransactionModes }
  /**
   * `SET name = value`, `SET LOCAL`, `SET ROLE`, `SET TIME ZONE`, `SELECT set_config(...)` alone: `name` in lower case, as
   * in pg_settings (`role`, `session_authorization`, `timezone`). `value` is what PostgreSQL would store as the setting's
   * text when the arguments are literals (lists joined by `, `, quoted as flatten_set_variable_args does); null when it
   * cannot be known from the text, or for `TO DEFAULT` (then `toDefault`). `returnsRow`: it was a SELECT set_config().
   */
  | {
      readonly kind: 'set';
      readonly name: string;
      readonly value: string | null;
      readonly toDefault: boolean;
      readonly local: boolean;
      readonly returnsRow: boolean;
    }
  | { readonly kind: 'reset'; readonly name: string }
  | { readonly kind: 'reset all' }
  | { readonly kind: 'discard'; readonly target: 'all' | 'plans' | 'sequences' | 'temp' }
  | { readonly kind: 'show'; readonly name: string }
  | { readonly kind: 'prepare'; readonly name: string }
  | { readonly kind: 'execute'; readonly name: string }
  /** `name` null: DEALLOCATE ALL. */
  | { readonly kind: 'deallocate'; readonly name: string | null }
  | { readonly kind: 'listen' | 'unlisten' }
  | { readonly kind: 'declare cursor'; readonly hold: boolean }
  | { readonly kind: 'close cursor' }
  | { readonly kind: 'copy'; readonly direction: 'in' | 'out' };

/** `undefined`: not said. */
export interface TransactionModes {
  readonly isolation?: 'serializable' | 'repeatable read' | 'read committed' | 'read uncommitted';
  readonly readOnly?: boolean;
  readonly deferrable?: boolean;
}

/** From a comment `/* pgweir: route=primary, max_staleness=5s *\/` anywhere in the text; malformed hints are ignored. */
export interface Hint {
  readonly route?: 'primary' | 'replica';
  readonly maxStalenessMs?: number;
}
