import type { Client } from 'pg';
import { CATALOG_QUERIES, type CatalogRows } from '../sql/catalog-queries.ts';

export interface ReadCatalog {
  readonly rows: CatalogRows;
  /** Equal for equal contents of the system tables that the rows come from. */
  readonly fingerprint: string;
}

/**
 * The system tables that {@link CATALOG_QUERIES} look at, as far as users can change them. Temporary relations come and go
 * all the time and are none of our business; neither are indexes and row types.
 */
const SOURCES = [
  'pg_proc',
  "pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relpersistence <> 't'",
  "pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'",
  "pg_type WHERE typtype <> 'c' AND typelem = 0",
  ...['pg_rewrite', 'pg_policy', 'pg_attrdef', 'pg_constraint', 'pg_trigger', 'pg_aggregate', 'pg_operator', 'pg_cast'],
  ...['pg_inherits', 'pg_event_trigger', 'pg_foreign_table', 'pg_foreign_server', 'pg_foreign_data_wrapper'],
];

/**
 * Every change of a row gives it a new place and writer, except the changes in place of VACUUM and ANALYZE, which change
 * nothing that matters here. Names are resolved in pg_catalog.
 */
const FINGERPRINT = `SELECT pg_catalog.sum(pg_catalog.hashtextextended(
    tableoid::pg_catalog.text || ' ' || xmin::pg_catalog.text || ' ' || ctid::pg_catalog.text, 0))::pg_catalog.text
  FROM (${SOURCES.map((source) => `SELECT tableoid, xmin, ctid FROM pg_catalog.${source}`).join(' UNION ALL ')}) AS source`;

/** One snapshot for all of it. */
const BEGIN = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = pg_catalog';

/**
 * Reads the catalog of the database that the client is connected to.
 * @param known fingerprint of what is there already, null for nothing.
 * @returns null when nothing has changed since.
 * @throws Error of the driver.
 */
export async function readCatalog(client: Client, known: string | null): Promise<ReadCatalog | null> {
  await client.query(BEGIN);
  const fingerprint = (await client.query<[string]>({ text: FINGERPRINT, rowMode: 'array' })).rows[0]?.[0] ?? '';
  if (fingerprint === known) return null;
  const rows: Record<string, readonly unknown[]> = {};
  for (const [name, text] of Object.entries(CATALOG_QUERIES)) rows[name] = (await client.query(text)).rows;
  await client.query('COMMIT');
  // The driver types no columns: the queries and the row types stand side by side in catalog-queries.ts.
  return { rows: rows as unknown as CatalogRows, fingerprint };
}
