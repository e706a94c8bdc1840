/**
 * What is asked of a database to know its catalog; any login role may ask. All names are qualified, so the search path
 * does not matter. For PostgreSQL 14 to 18. `catalog-rows.ts` makes a catalog of the answers.
 *
 * Views, policies, defaults and checks are looked into by the functions and relations that their stored trees name:
 * pg_depend does not know of built-in functions, and it is those (advisory locks, nextval) that matter. Extraction takes
 * about 20 ms for 150 large views.
 */

/** Function OIDs in a stored expression (pg_node_tree as text); operators carry their function. */
const FUNCTIONS_IN = (tree: string): string =>
  `pg_catalog.regexp_matches(${tree}, ':(?:funcid|opfuncid|aggfnoid|winfnoid|tsmhandler) ([1-9][0-9]*)', 'g')`;

/** The trees that run when a relation is read: its view definition, and its policies. Objects below 16384 are PostgreSQL's. */
const READ_TREES = `
  SELECT ev_class AS relation, ev_action::pg_catalog.text AS tree FROM pg_catalog.pg_rewrite WHERE ev_type = '1' AND oid >= 16384
  UNION ALL
  SELECT polrelid, polqual::pg_catalog.text FROM pg_catalog.pg_policy WHERE polqual IS NOT NULL AND polcmd IN ('r', '*')`;

/** The trees that run when a relation is written to. */
const WRITE_TREES = `
  SELECT adrelid AS relation, adbin::pg_catalog.text AS tree FROM pg_catalog.pg_attrdef WHERE oid >= 16384
  UNION ALL
  SELECT conrelid, conbin::pg_catalog.text FROM pg_catalog.pg_constraint WHERE conbin IS NOT NULL AND conrelid <> 0 AND oid >= 16384
  UNION ALL
  SELECT polrelid, polwithcheck::pg_catalog.text FROM pg_catalog.pg_policy WHERE polwithcheck IS NOT NULL
  UNION ALL
  SELECT tgrelid, tgqual::pg_catalog.text FROM pg_catalog.pg_trigger WHERE tgqual IS NOT NULL`;

/**
 * Functions of extensions that come with PostgreSQL, volatile since they are random, which write nothing, leave nothing,
 * and answer as well on a standby. Reviewed by hand; they are such in whatever schema the extension is.
 */
const HARMLESS_EXTENSION_FUNCTIONS = `
  (e.extname = 'uuid-ossp' AND p.proname IN ('uuid_generate_v1', 'uuid_generate_v1mc', 'uuid_generate_v4'))
  OR (e.extname = 'pgcrypto' AND p.proname IN ('gen_random_bytes', 'gen_random_uuid', 'gen_salt', 'pgp_pub_encrypt',
    'pgp_pub_encrypt_bytea', 'pgp_sym_encrypt', 'pgp_sym_encrypt_bytea'))
  OR (e.extname = 'tablefunc' AND p.proname = 'normal_rand')
  OR (e.extname IN ('tsm_system_rows', 'tsm_system_time') AND p.proname IN ('system_rows', 'system_time'))`;

/**
 * Volatility by function: 'i', 's', 't' for harmless in spite of being volatile, or 'v'. An aggregate has that of its
 * worst support function (its own is always 'i').
 */
const VOLATILITY = `
  SELECT p.oid, CASE
    WHEN p.provolatile = 'v' AND EXISTS (
      SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
        AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND (${HARMLESS_EXTENSION_FUNCTIONS})
    ) THEN 't'
    ELSE GREATEST(p.provolatile::pg_catalog.text, pg_catalog.max(s.provolatile::pg_catalog.text))
  END AS volatility
  FROM pg_catalog.pg_proc p
  LEFT JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid
  LEFT JOIN pg_catalog.pg_proc s
    ON s.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn)
  GROUP BY p.oid`;

/** As in {@link VOLATILITY}, which orders them from good to bad. */
export type Volatility = 'i' | 's' | 't' | 'v';

export interface FunctionRow {
  readonly schema: string;
  readonly name: string;
  /** The worst of all overloads. */
  readonly volatility: Volatility;
  /** An overload can be called with one argument, so also as `row.name`. */
  readonly field: boolean;
}

const FUNCTIONS = `
  SELECT n.nspname::pg_catalog.text AS schema, p.proname::pg_catalog.text AS name, pg_catalog.max(v.volatility) AS volatility,
    pg_catalog.bool_or(p.pronargs >= 1 AND p.pronargs - p.pronargdefaults <= 1) AS field
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN (${VOLATILITY}) v ON v.oid = p.oid
  WHERE n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_temp_'
  GROUP BY 1, 2`;

export interface RelationRow {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  /** pg_class.relkind. */
  readonly kind: string;
  /** pg_class.relpersistence; temporary ones are left out. */
  readonly persistence: string;
  /** Of a foreign table: the name of its foreign-data wrapper. */
  readonly wrapper: string | null;
  /** A view with FOR UPDATE or FOR SHARE inside. */
  readonly locks_rows: boolean;
  /** Has rules, or defaults, checks, policies and trigger conditions with volatile functions that are not PostgreSQL's own. */
  readonly runs_code: boolean;
}

const RELATIONS = `
  SELECT c.oid::pg_catalog.text AS oid, n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name,
    c.relkind::pg_catalog.text AS kind, c.relpersistence::pg_catalog.text AS persistence, w.fdwname::pg_catalog.text AS wrapper,
    c.relkind = 'v' AND c.oid >= 16384 AND EXISTS (
      SELECT FROM pg_catalog.pg_rewrite r
      WHERE r.ev_class = c.oid AND r.ev_type = '1' AND pg_catalog.strpos(r.ev_action::pg_catalog.text, '{ROWMARKCLAUSE') > 0
    ) AS locks_rows,
    c.oid >= 16384 AND (
      EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1')
      OR c.oid IN (
        SELECT x.relation FROM (${WRITE_TREES}) x, LATERAL ${FUNCTIONS_IN('x.tree')} AS m
        JOIN (${VOLATILITY}) v ON v.oid = m[1]::pg_catalog.oid
        WHERE v.oid >= 16384 AND v.volatility = 'v'
      )
    ) AS runs_code
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_foreign_table f ON f.ftrelid = c.oid
  LEFT JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver
  LEFT JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't' AND n.nspname <> 'pg_toast'`;

export interface TriggerRow {
  readonly relation: string;
  readonly language: string;
  /** The body of its function. */
  readonly source: string;
}

/** Triggers with functions that are not PostgreSQL's own, nor of those of its extensions that leave nothing. */
const TRIGGERS = `
  SELECT DISTINCT t.tgrelid::pg_catalog.text AS relation, l.lanname::pg_catalog.text AS language, p.prosrc AS source
  FROM pg_catalog.pg_trigger t
  JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgfoid >= 16384 AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
      AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
      AND e.extname IN ('autoinc', 'insert_username', 'moddatetime')
  )`;

export interface FunctionUseRow {
  /** OID of the relation whose reading calls the function. */
  readonly relation: string;
  readonly schema: string;
  readonly name: string;
  readonly volatility: Volatility;
}

/** Immutable functions say nothing. */
const FUNCTION_USES = `
  SELECT DISTINCT x.relation::pg_catalog.text AS relation, n.nspname::pg_catalog.text AS schema,
    p.proname::pg_catalog.text AS name, v.volatility
  FROM (${READ_TREES}) x, LATERAL ${FUNCTIONS_IN('x.tree')} AS m
  JOIN pg_catalog.pg_proc p ON p.oid = m[1]::pg_catalog.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN (${VOLATILITY}) v ON v.oid = p.oid
  WHERE v.volatility <> 'i'`;

export interface RelationUseRow {
  readonly upper: string;
  /** OID of a relation that is read with `upper`, or, `on_write`, only written to with it (a foreign key that cascades). */
  readonly lower: string;
  readonly on_write: boolean;
}

const RELATION_USES = `
  SELECT DISTINCT x.relation::pg_catalog.text AS upper, m[1] AS lower, false AS on_write
  FROM (${READ_TREES}) x, LATERAL pg_catalog.regexp_matches(x.tree, ':relid ([1-9][0-9]*)', 'g') AS m
  UNION
  SELECT i.inhparent::pg_catalog.text, i.inhrelid::pg_catalog.text, false
  FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
  WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
  UNION
  SELECT confrelid::pg_catalog.text, conrelid::pg_catalog.text, true
  FROM pg_catalog.pg_constraint
  WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))`;

export interface KeyRow {
  /** OID of the table. */
  readonly relation: string;
  /** Names of the columns that are unique together, as JSON. */
  readonly columns: string;
}

/** Primary keys and unique constraints that hold at any time, of tables that have no others below them but partitions. */
const KEYS = `
  SELECT k.conrelid::pg_catalog.text AS relation, (
    SELECT pg_catalog.array_to_json(pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY a.attnum))::pg_catalog.text
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
  ) AS columns
  FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  WHERE k.contype IN ('p', 'u') AND NOT k.condeferrable AND c.oid >= 16384 AND c.relpersistence <> 't'
    AND (c.relkind = 'p' OR (c.relkind = 'r' AND NOT c.relhassubclass))`;

export interface NameRow {
  readonly schema: string;
  readonly name: string;
}

/** Operators over a volatile function. */
const VOLATILE_OPERATORS = `
  SELECT DISTINCT n.nspname::pg_catalog.text AS schema, o.oprname::pg_catalog.text AS name
  FROM pg_catalog.pg_operator o
  JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
  JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
  WHERE p.provolatile = 'v'`;

/** Types that a volatile function makes: its input function, a cast to it, or the check of a domain or of what it is over. */
const VOLATILE_TYPES = `
  WITH RECURSIVE volatile_type AS (
    SELECT t.oid
    FROM pg_catalog.pg_type t
    LEFT JOIN pg_catalog.pg_cast k ON k.casttarget = t.oid
    JOIN pg_catalog.pg_proc p ON p.oid IN (t.typinput, k.castfunc)
    WHERE p.provolatile = 'v'
    UNION
    SELECT k.contypid
    FROM pg_catalog.pg_constraint k, LATERAL ${FUNCTIONS_IN('k.conbin::pg_catalog.text')} AS m
    JOIN pg_catalog.pg_proc p ON p.oid = m[1]::pg_catalog.oid
    WHERE k.contypid <> 0 AND k.oid >= 16384 AND p.provolatile = 'v'
    UNION
    SELECT t.oid FROM pg_catalog.pg_type t JOIN volatile_type v ON v.oid = t.typbasetype
  )
  SELECT DISTINCT n.nspname::pg_catalog.text AS schema, t.typname::pg_catalog.text AS name
  FROM volatile_type v
  JOIN pg_catalog.pg_type t ON t.oid = v.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace`;

export interface EventTriggerRow {
  readonly name: string;
}

const EVENT_TRIGGERS = `SELECT evtname::pg_catalog.text AS name FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D'`;

/** By the name under which `catalogFromRows` wants the rows. Columns are text and boolean. Run all in one transaction. */
export const CATALOG_QUERIES = {
  functions: FUNCTIONS,
  relations: RELATIONS,
  triggers: TRIGGERS,
  functionUses: FUNCTION_USES,
  relationUses: RELATION_USES,
  keys: KEYS,
  volatileOperators: VOLATILE_OPERATORS,
  volatileTypes: VOLATILE_TYPES,
  eventTriggers: EVENT_TRIGGERS,
} as const;

/** The answers to {@link CATALOG_QUERIES}. */
export interface CatalogRows {
  readonly functions: readonly FunctionRow[];
  readonly relations: readonly RelationRow[];
  readonly triggers: readonly TriggerRow[];
  readonly functionUses: readonly FunctionUseRow[];
  readonly relationUses: readonly RelationUseRow[];
  readonly keys: readonly KeyRow[];
  readonly volatileOperators: readonly NameRow[];
  readonly volatileTypes: readonly NameRow[];
  readonly eventTriggers: readonly EventTriggerRow[];
}
