import { combinedNames, SettingMentions } from './setting-names.ts';

/** What the code in a database does to settings with a name of their own (`setting-names.ts`). */
export interface SettingCode {
  /** Those that its functions name. */
  readonly names: ReadonlySet<string>;
  /** What they make names from. */
  readonly prefixes: ReadonlySet<string>;
  /**
   * Functions, and relations that run them, that may set what they do not name; by name, in all schemas together. With the
   * names that may come of it: of those that only call others, what their own literals make.
   */
  readonly makers: ReadonlyMap<string, ReadonlySet<string>>;
  /** All of it was looked at. */
  readonly complete: boolean;
}

/** Nothing is known: any function may set anything. */
export const UNREAD_CODE: SettingCode = { names: new Set(), prefixes: new Set(), makers: new Map(), complete: false };

/** Sources of more functions are not looked at; bytes in the database's encoding. Ours: they are answered in one piece. */
const MAX_SOURCE_BYTES = 1024 * 1024;
/** Names and beginnings that are kept. Each name costs PostgreSQL about a microsecond whenever all settings are asked for. */
const MAX_NAMES = 256;
const MAX_PREFIXES = 32;

/** In an E'' literal. Characters beyond ASCII may not exist in the client's encoding. */
const plain = (column: string) => `pg_catalog.regexp_replace(${column}, E'[^\\\\x01-\\\\x7f]', '?', 'g')`;

/**
 * Of each function that may set a setting with a name of its own, or that may call one that makes up names: its name, its
 * source (null beyond the bound), and the relations that run it, one in a line. PostgreSQL's own are not among them, nor what
 * is written in C. Asked of a client's connection under its settings, so standard_conforming_strings may be off.
 */
export const SETTING_CODE_QUERY = `WITH RECURSIVE code AS MATERIALIZED (
  SELECT p.oid, p.proname::pg_catalog.text AS name,
    CASE WHEN p.prosrc = '' THEN pg_catalog.pg_get_functiondef(p.oid) ELSE p.prosrc END AS source
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  WHERE p.oid >= 16384 AND p.prokind <> 'a' AND l.lanname NOT IN ('internal', 'c')
), maker AS (
  SELECT oid, name FROM code
  WHERE pg_catalog.regexp_replace(source, 'set_config[[:space:]]*[(][[:space:]]*''[^'']+''[[:space:]]*,', '', 'gi') ~* 'set_config'
    OR source ~* '''[[:space:]]*set[[:space:]]'
  UNION
  SELECT c.oid, c.name FROM maker m JOIN code c ON pg_catalog.strpos(pg_catalog.lower(c.source), pg_catalog.lower(m.name)) > 0
), relevant AS (
  SELECT oid, name, source, pg_catalog.sum(pg_catalog.octet_length(source)) OVER (ORDER BY oid) AS bytes FROM code
  WHERE oid IN (SELECT oid FROM maker) OR source ~* '(^|[^[:alnum:]_])(set_config|set[[:space:]]+(session[[:space:]]+)?["[:alnum:]_]+[[:space:]]*[.])'
)
SELECT ${plain('r.name')}, CASE WHEN r.bytes <= ${MAX_SOURCE_BYTES} THEN ${plain('r.source')} END,
  ${plain(`pg_catalog.array_to_string(ARRAY(
    SELECT c.relname::pg_catalog.text FROM pg_catalog.pg_class c WHERE c.oid IN (
      SELECT t.tgrelid FROM pg_catalog.pg_trigger t WHERE t.tgfoid = r.oid
      UNION ALL
      SELECT COALESCE(w.ev_class, a.adrelid, o.polrelid) FROM pg_catalog.pg_depend d
      LEFT JOIN pg_catalog.pg_rewrite w ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND w.oid = d.objid
      LEFT JOIN pg_catalog.pg_attrdef a ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND a.oid = d.objid
      LEFT JOIN pg_catalog.pg_policy o ON d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND o.oid = d.objid
      WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refobjid = r.oid
    )), E'\\n')`)}
FROM relevant r`;

/** Reads the answer to {@link SETTING_CODE_QUERY}; null when it is not one. */
export function readSettingCode(rows: readonly (readonly (string | null)[])[]): SettingCode | null {
  const functions: CodeOfFunction[] = [];
  for (const [name, source, relations] of rows) {
    if (typeof name !== 'string' || source === undefined || typeof relations !== 'string') return null;
    const said = new SettingMentions();
    if (source !== null) said.read(source);
    const runBy = relations.split('\n').filter((relation) => relation !== '');
    functions.push({ name, runBy, said, isMaker: source === null || said.makesNames });
  }
  const names = new Set(functions.flatMap(({ said }) => [...said.names]));
  const prefixes = new Set(functions.flatMap(({ said }) => [...said.prefixes]));
  const makers = makersAmong(functions, prefixes);
  const complete = names.size <= MAX_NAMES && prefixes.size <= MAX_PREFIXES;
  return { names: firstOf(names, MAX_NAMES), prefixes: firstOf(prefixes, MAX_PREFIXES), makers, complete };
}

interface CodeOfFunction {
  readonly name: string;
  readonly runBy: readonly string[];
  readonly said: SettingMentions;
  /** By itself. */
  readonly isMaker: boolean;
}

/** Those that make names, and whoever may call one of them. */
function makersAmong(
  functions: readonly CodeOfFunction[],
  prefixes: ReadonlySet<string>,
): ReadonlyMap<string, ReadonlySet<string>> {
  const makers = new Map<string, Set<string>>();
  const rest = new Set(functions);
  for (let before = -1; before < makers.size; ) {
    before = makers.size;
    for (const one of rest) {
      const { name, runBy, said, isMaker } = one;
      const called = [...makers].filter(([maker]) => said.identifiers.has(maker));
      if (!isMaker && called.length === 0) continue;
      rest.delete(one);
      const own = isMaker ? [] : [...said.names, ...combinedNames(prefixes, said.words)];
      const made = [...own, ...called.flatMap(([, names]) => [...names])];
      for (const by of [name, ...runBy]) makers.set(by, new Set([...(makers.get(by) ?? []), ...made]));
    }
  }
  return makers;
}

function firstOf(all: ReadonlySet<string>, most: number): ReadonlySet<string> {
  return all.size <= most ? all : new Set([...all].slice(0, most));
}
