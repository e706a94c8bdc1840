import { quoteLiteral } from './settings-prelude.ts';

/**
 * What may stay on a connection and cannot travel. `pg_catalog` is spelled out everywhere: the question is asked under the
 * client's search_path and role, and none of it needs a grant.
 */
export type Residue = 'temporary object' | 'advisory lock' | 'listen' | 'held cursor' | 'prepared statement';

/** Statements that pgweir itself prepared on the connection carry this prefix and are no residue. */
export const STATEMENT_PREFIX = 'pgweir_';

/**
 * Asks a connection that is outside a transaction what is left on it. One row of six flags (`t`/`f`), then, when `settings`
 * are wanted, a second query for the settings that were changed in the session.
 * Whatever is in a schema depends on it. Sources: pg_depend; system views pg_locks, pg_cursors, pg_prepared_statements; functions pg_my_temp_schema, pg_listening_channels.
 */
export const RESIDUE_QUERY = `SELECT
 EXISTS (SELECT FROM pg_catalog.pg_depend
   WHERE refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid = pg_catalog.pg_my_temp_schema()),
 EXISTS (SELECT FROM pg_catalog.pg_locks WHERE pid = pg_catalog.pg_backend_pid() AND locktype = 'advisory'),
 EXISTS (SELECT FROM pg_catalog.pg_listening_channels()),
 EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable),
 EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE name NOT LIKE 'pgweir\\_%'),
 pg_catalog.pg_my_temp_schema() <> 0`;

const ORDER: readonly Residue[] = ['temporary object', 'advisory lock', 'listen', 'held cursor', 'prepared statement'];

export interface ResidueAnswer {
  readonly residue: ReadonlySet<Residue>;
  /** The process has a temporary schema, though it may be empty. */
  readonly hasTemporarySchema: boolean;
}

/** Reads the answer to {@link RESIDUE_QUERY}; null when it is not one. */
export function readResidue(row: readonly (string | null)[]): ResidueAnswer | null {
  if (row.length !== ORDER.length + 1 || row.some((value) => value !== 't' && value !== 'f')) return null;
  return { residue: new Set(ORDER.filter((_, index) => row[index] === 't')), hasTemporarySchema: row[ORDER.length] === 't' };
}

/**
 * All settings that were changed in this session, as (name, value), and those of the `candidates` that exist. Costs PostgreSQL
 * about a millisecond. Role and session user are hidden from pg_settings, and so are settings with a name of their own, as
 * long as no library has claimed it (placeholders, guc.c): of these it only says whether it has one when it is asked by name.
 */
export function changedSettingsQuery(candidates: Iterable<string>): string {
  const names = [...candidates].map(quoteLiteral).join(', ');
  return `WITH known AS MATERIALIZED (SELECT name, source FROM pg_catalog.pg_settings)
 SELECT name, pg_catalog.current_setting(name, true) FROM known
 WHERE source = 'session' AND name NOT IN ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable', 'seed')
 UNION ALL SELECT 'role', pg_catalog.current_setting('role')
 UNION ALL SELECT 'session_authorization', session_user::pg_catalog.text
 UNION ALL SELECT name, value
 FROM (SELECT name, pg_catalog.current_setting(name, true) AS value FROM pg_catalog.unnest(ARRAY[${names}]::pg_catalog.text[]) AS name) AS candidate
 WHERE value IS NOT NULL AND name NOT IN (SELECT pg_catalog.lower(name) FROM known)`;
}

/** The present values of named settings, one row of as many columns; NULL for one that does not exist. */
export function currentSettingsQuery(names: readonly string[]): string {
  return `SELECT ${names.map((name) => `pg_catalog.current_setting(${quoteLiteral(name)}, true)`).join(', ')}`;
}
