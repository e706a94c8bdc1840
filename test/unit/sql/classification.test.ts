import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { unloadedCatalog } from '../../../src/sql/catalog.ts';
import { classify } from '../../../src/sql/classify.ts';
import type { Facts } from '../../../src/sql/facts.ts';
import { fieldsOf, isLocation } from '../../../src/sql/grammar.ts';
import { loadParser } from '../../../src/sql/parser.ts';
import { resolve } from '../../../src/sql/resolve.ts';
import { StatementCache } from '../../../src/sql/statement-cache.ts';
import { collectStatement } from '../../../src/sql/statements.ts';
import { VOLATILE } from '../../../src/sql/verdict.ts';
import { readCorpus, wireText } from './corpus.ts';
import { corpusCatalog } from './corpus-catalog.ts';

const cache = new StatementCache();

function factsOf(text: string, catalog = corpusCatalog): Facts {
  return cache.facts(wireText(text), catalog, 'standard');
}

describe('classification', () => {
  beforeAll(loadParser);

  const corpus = readCorpus();

  it('has a corpus worth the name', () => {
    expect(corpus.texts.length).toBeGreaterThan(600);
  });

  it.each(corpus.texts)('line $line: $text', ({ text, effect, reason }) => {
    const { effect: isEffect, reason: isReason } = factsOf(text);
    expect({ effect: isEffect, reason: isReason }).toEqual({ effect, reason });
  });

  it('says the same when the text is not abbreviated to its shape', () => {
    for (const { text } of corpus.texts) {
      const whole = classify(wireText(text));
      if (whole.kind === 'findings')
        expect({ ...resolve(whole.findings, corpusCatalog, null), hint: null }, text).toEqual({ ...factsOf(text), hint: null });
    }
  });

  it('never reads what it calls a write, wherever the write is put', () => {
    const writes = [
      'DELETE FROM users RETURNING id',
      'SELECT id FROM users FOR UPDATE',
      "SELECT nextval('ticket') AS id",
      'SELECT id FROM scratch',
      'SELECT touch_user(1) AS id',
    ];
    const places = [
      'SELECT * FROM (WITH w AS (%) SELECT * FROM w) x',
      'WITH w AS (%) SELECT 1',
      'WITH a AS (SELECT 1), w AS (%), b AS (SELECT 2) SELECT * FROM b',
      'SELECT 1; %',
      'WITH w AS (%) TABLE users',
      'WITH w AS (%) VALUES (1)',
      'COPY (WITH w AS (%) SELECT * FROM w) TO STDOUT',
      'EXPLAIN (ANALYZE) WITH w AS (%) SELECT * FROM w',
      'DECLARE c CURSOR FOR WITH w AS (%) SELECT * FROM w',
    ];
    for (const place of places)
      for (const write of writes) expect(factsOf(place.replace('%', write)).effect, `${place} ${write}`).not.toBe('read');
  });

  it('finds a function in every place where an expression can stand', () => {
    const places = `
      SELECT %|SELECT 1 WHERE %|SELECT 1 ORDER BY %|SELECT 1 LIMIT %|SELECT 1 OFFSET %|SELECT 1 GROUP BY %|SELECT 1 HAVING %
      SELECT DISTINCT ON (%) 1|VALUES (%)|SELECT * FROM users u JOIN orders o ON %|SELECT CASE WHEN % THEN 1 END|SELECT CASE % WHEN 1 THEN 1 END
      SELECT CASE 1 WHEN 1 THEN % END|SELECT CASE 1 WHEN 1 THEN 1 ELSE % END|SELECT COALESCE(1, %)|SELECT GREATEST(1, %)|SELECT NULLIF(1, %)
      SELECT ARRAY[%]|SELECT ROW(%)|SELECT (ARRAY[1])[%]|SELECT (ARRAY[1])[1:%]|SELECT %::text|SELECT (%).a|SELECT % COLLATE "C"|SELECT NOT %
      SELECT % IS NULL|SELECT % IS TRUE|SELECT % BETWEEN 1 AND 2|SELECT 1 BETWEEN % AND 2|SELECT 1 IN (%)|SELECT % IN (1)|SELECT % LIKE 'x' ESCAPE 'y'
      SELECT 1 = ANY (%)|SELECT % = ANY (SELECT 1)|SELECT EXISTS (SELECT %)|SELECT count(*) FILTER (WHERE %)|SELECT count(%)|SELECT array_agg(1 ORDER BY %)
      SELECT percentile_cont(%) WITHIN GROUP (ORDER BY 1)|SELECT rank() OVER (PARTITION BY %)|SELECT rank() OVER (ORDER BY %)
      SELECT sum(1) OVER (ROWS BETWEEN % PRECEDING AND CURRENT ROW)|SELECT 1 FROM users WINDOW w AS (PARTITION BY %)|SELECT * FROM users TABLESAMPLE system (%)
      SELECT * FROM users TABLESAMPLE system (1) REPEATABLE (%)|SELECT * FROM generate_series(1, %)|SELECT * FROM ROWS FROM (generate_series(1, %))
      SELECT * FROM users, LATERAL (SELECT %) x|SELECT xmlelement(name a, %)|SELECT xmlelement(name a, xmlattributes(% AS b))|SELECT xmlforest(% AS a)
      SELECT xmlserialize(content % AS text)|SELECT xmlparse(content %)|SELECT xmlroot(%, version '1')|SELECT xmlexists(% PASSING '<a/>')
      SELECT * FROM XMLTABLE('/a' PASSING (%) COLUMNS a int)|SELECT * FROM XMLTABLE(% PASSING '<a/>' COLUMNS a int)
      SELECT * FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS a int PATH % DEFAULT 1)|SELECT JSON_OBJECT('a' : %)|SELECT JSON_OBJECT(% : 1)|SELECT JSON_ARRAY(%)
      SELECT JSON_ARRAY(SELECT %)|SELECT JSON_OBJECTAGG('a' : %)|SELECT JSON_ARRAYAGG(% ORDER BY 1)|SELECT JSON_ARRAYAGG(1) FILTER (WHERE %)
      SELECT JSON_VALUE(%, '$')|SELECT JSON_QUERY('{}', '$' PASSING % AS x)|SELECT JSON_EXISTS('{}', %)|SELECT JSON_VALUE('{}', '$' DEFAULT % ON ERROR)
      SELECT * FROM JSON_TABLE(%, '$' COLUMNS (a int))|SELECT * FROM JSON_TABLE('{}', '$' PASSING % AS x COLUMNS (a int))
      SELECT * FROM JSON_TABLE('{}', '$' COLUMNS (a int DEFAULT % ON EMPTY))|SELECT JSON(%)|SELECT JSON_SCALAR(%)|SELECT JSON_SERIALIZE(%)
      SELECT % IS JSON|SELECT make_date(year := %, month := 1, day := 1)|SELECT concat(VARIADIC %)|SELECT extract(year FROM %)|SELECT % AT TIME ZONE 'UTC'
      SELECT substring(% FROM 1)|SELECT position('a' IN %)|SELECT trim(% FROM 'x')|SELECT 1 OPERATOR(pg_catalog.+) %|SELECT - %|SELECT (%, 1) OVERLAPS (1, 2)
      WITH RECURSIVE t AS (SELECT 1 UNION SELECT %) SELECT 1|SELECT 1 UNION SELECT %|(SELECT %) EXCEPT SELECT 1|SELECT 1 FETCH FIRST (%) ROWS ONLY
      EXPLAIN SELECT %|COPY (SELECT %) TO STDOUT|DECLARE c CURSOR FOR SELECT %|SELECT GROUPING(%)|SELECT 1 GROUP BY CUBE (%)|SELECT 1 GROUP BY GROUPING SETS ((%))`;
    const texts = places
      .split(/[|\n]/)
      .map((place) => place.trim())
      .filter((place) => place !== '');
    expect(texts.length).toBeGreaterThan(90);
    for (const place of texts) {
      const facts = factsOf(place.replace('%', 'touch_user(1)'));
      expect({ reason: facts.reason, residue: [...facts.residue] }, place).toEqual({
        reason: 'volatile function',
        residue: ['unknown'],
      });
      expect(factsOf(place.replace('%', 'add_one(1)')).effect, place).toBe('read');
    }
  });

  it('calls a node or a field that it does not know not proven', () => {
    const unknown = (fields: object): string => {
      const collector = collectStatement({ type: 'SelectStmt', fields: { ...fields } });
      return `${collector.effect} ${collector.reason} ${collector.subject}`;
    };
    expect(unknown({ targetList: [{ FutureExpr: { arg: 1 } }] })).toBe('unknown not proven a read FutureExpr');
    expect(unknown({ futureClause: [] })).toBe('unknown not proven a read SelectStmt.futureClause');
    expect(unknown({ whereClause: { A_Const: {}, Second: {} } })).toBe('unknown not proven a read a node without a type');
    expect(unknown({ whereClause: 'text' })).toBe('unknown not proven a read a node without a type');
    expect(unknown({ larg: 5 })).toBe('unknown not proven a read SelectStmt');
    const future = collectStatement({
      type: 'FutureStmt',
      fields: { query: { FuncCall: { funcname: [{ String: { sval: 'f' } }] } } },
    });
    expect(future).toMatchObject({ effect: 'unknown', functions: [{ schema: null, name: 'f' }], changesCatalog: true });
    expect(future.residue).toContain('unknown');
  });

  it('has a place for every statement of PostgreSQL 18', () => {
    const statements = [...types().keys()].filter((type) => type.endsWith('Stmt') && !PARTS.has(type));
    expect(statements.length).toBeGreaterThan(110);
    for (const type of statements) {
      const collector = collectStatement({ type, fields: {} });
      expect.soft(collector.changesCatalog && collector.subject === type, type).toBe(false);
    }
  });

  it('knows the fields of query nodes as libpg_query 18 declares them', () => {
    const declared = types();
    let compared = 0;
    for (const [type, fields] of declared) {
      const known = fieldsOf(type);
      if (known === undefined) continue;
      compared += 1;
      for (const [field, content] of known) {
        const typeScript = fields.get(field);
        expect.soft(typeScript, `${type}.${field}`).toBeDefined();
        const expected =
          content === null ? /^(?!Node|.*\bNode\b)/ : content === '' ? /^Node(?:\[\])?$/ : new RegExp(`^${content}$`);
        expect.soft(typeScript, `${type}.${field}`).toMatch(expected);
      }
      for (const field of fields.keys()) {
        if (!known.has(field) && !isLocation(field)) expect.soft(ANALYSED, `${type}.${field}`).toContain(field);
      }
    }
    expect(compared).toBeGreaterThan(70);
  });
});

describe('facts beyond effect and reason', () => {
  beforeAll(loadParser);

  it.each([
    ["SELECT nextval('ticket')", ['sequence value']],
    ["SELECT setval('ticket', 3)", ['sequence value']],
    ["SELECT currval('ticket')", []],
    ['SELECT pg_advisory_lock(1)', ['advisory lock']],
    ['SELECT pg_try_advisory_lock_shared(1)', ['advisory lock']],
    ['SELECT pg_advisory_xact_lock(1)', []],
    ['SELECT pg_advisory_unlock(1)', []],
    ["SELECT set_config('a.b', $1, false)", []],
    ["SELECT set_config($1, 'c', false)", ['settings']],
    ["SELECT set_config('a.b', $1, true)", []],
    ["SELECT set_config('a.b', $1, $2)", []],
    ["SELECT set_config('a.b', 'c', false)", []],
    ['SELECT random(), pg_sleep(0)', []],
    ['SELECT touch_user(1)', ['unknown']],
    ['SELECT setseed(0)', ['process state']],
    ['CALL do_nothing()', ['unknown']],
    ["DO 'BEGIN END'", ['unknown']],
    ['LISTEN a', ['listen']],
    ['UNLISTEN a', []],
    ['DECLARE c CURSOR WITH HOLD FOR SELECT 1', ['held cursor']],
    ['DECLARE c CURSOR FOR SELECT 1', []],
    ['PREPARE q AS SELECT touch_user(1)', ['prepared statement']],
    ['EXECUTE q', ['unknown']],
    ["LOAD 'x'", ['library']],
    ['CREATE TEMP TABLE t (id int)', ['temporary object']],
    ['SELECT 1 INTO TEMP t', ['temporary object']],
    ['CREATE TABLE t (id int)', ['temporary object']],
    ['INSERT INTO orders VALUES (1)', []],
    ['INSERT INTO public.users VALUES (1)', []],
    ['INSERT INTO users VALUES (1)', ['unknown']],
    ['INSERT INTO app.audited VALUES (1)', ['unknown']],
    ['INSERT INTO app.users VALUES (1)', ['unknown']],
    ['INSERT INTO coded VALUES (1)', ['unknown']],
    ['INSERT INTO users SELECT touch_user(1)', ['unknown']],
    ['INSERT INTO users VALUES (1) RETURNING touch_user(1)', ['unknown']],
    ['UPDATE orders SET total = 1', []],
    ['DELETE FROM parent', ['unknown']],
    ['DELETE FROM public.users', []],
    ['TRUNCATE child', ['unknown']],
    ['COPY app.audited FROM STDIN', ['unknown']],
    ['COPY orders FROM STDIN', []],
    ['WITH w AS (INSERT INTO app.audited VALUES (1)) SELECT 1', ['unknown']],
    ['INSERT INTO no_such_table VALUES (1)', ['unknown']],
    ['EXPLAIN ANALYZE INSERT INTO app.audited VALUES (1)', ['unknown']],
    ["SELECT query_to_xml('x', true, true, '')", ['unknown']],
    ['SELEC', ['unknown']],
  ])('%s may leave %j', (text, residue) => {
    expect([...factsOf(text).residue]).toEqual(residue);
  });

  it.each([
    ["SELECT currval('ticket')", 'sequence value'],
    ['SELECT pg_backend_pid(), lastval()', 'sequence value'],
    ['SELECT pg_backend_pid()', 'connection'],
    ['SELECT * FROM pg_prepared_statements', 'connection'],
    ['SELECT * FROM pg_cursors', 'connection'],
    ['SELECT pg_listening_channels()', 'connection'],
    ['SELECT pg_my_temp_schema()', 'temporary schema'],
    ["CREATE TABLE numbered (n int, m int DEFAULT currval('ticket'))", 'sequence default'],
    ["CREATE TABLE numbered AS SELECT currval('ticket')", 'sequence value'],
    ['EXECUTE q', 'connection'],
    ["SELECT nextval('ticket')", null],
    ['SELECT * FROM users', null],
  ])('%s asks its connection for %j', (text, sessionState) => {
    expect(factsOf(text).sessionState).toBe(sessionState);
  });

  it.each([
    ['SELECT random()', true],
    ['SELECT * FROM lottery', true],
    ['SELECT * FROM users TABLESAMPLE system (1)', true],
    ['SELECT touch_user(1)', true],
    ['SELECT now(), user_count()', false],
    ['SELECT * FROM users', false],
  ])('%s calls something volatile: %j', (text, callsVolatile) => {
    expect(factsOf(text).callsVolatile).toBe(callsVolatile);
  });

  it.each([
    ['CREATE TABLE t (id int)', true],
    ['CREATE TEMP TABLE t (id int)', false],
    ['ALTER FUNCTION add_one(int) VOLATILE', true],
    ['DROP VIEW active_users', true],
    ['CREATE TABLE t AS SELECT 1', true],
    ['SELECT 1 AS a INTO t', true],
    ['SELECT 1; CREATE VIEW v AS SELECT 1', true],
    ['GRANT SELECT ON users TO corpus_role', false],
    ["COMMENT ON TABLE users IS 'x'", false],
    ['INSERT INTO users VALUES (1)', false],
    ['SELECT 1', false],
  ])('%s changes the catalog: %j', (text, changesCatalog) => {
    expect(factsOf(text).changesCatalog).toBe(changesCatalog);
  });

  it('names what decided', () => {
    expect(factsOf('SELECT add_one(touch_user(1))').subject).toBe('touch_user');
    expect(factsOf('SELECT * FROM active_users, scratch').subject).toBe('scratch');
    expect(factsOf('SHOW in_hot_standby').subject).toBe('in_hot_standby');
    expect(factsOf('SELECT * FROM users').subject).toBeNull();
  });

  it('takes the strongest effect of several statements, and the first of equals', () => {
    expect(factsOf("SELECT touch_user(1); DELETE FROM users; SELECT pg_notify('a', 'b')")).toMatchObject({
      effect: 'write',
      reason: 'data modification',
    });
    expect(factsOf('BEGIN; SELECT * FROM users; COMMIT')).toMatchObject({ effect: 'read', reason: 'plain read' });
    expect(factsOf('BEGIN; SELECT 1; SELECT unmarked(1)')).toMatchObject({
      effect: 'unknown',
      reason: 'volatile function',
      subject: 'unmarked',
    });
    expect(factsOf('SET work_mem = 1; SHOW work_mem')).toMatchObject({ effect: 'read', reason: 'SHOW' });
  });
});

describe('a name', () => {
  beforeAll(loadParser);

  it('without a schema is the worst object that has it, built-in or not', () => {
    expect(factsOf('SELECT round(1.5)').reason).toBe('volatile function');
    expect(factsOf('SELECT pg_catalog.round(1.5)').reason).toBe('plain read');
    expect(factsOf('SELECT format(1)').reason).toBe('plain read');
    expect(factsOf('SELECT app.remember(1)').reason).toBe('volatile function');
    expect(factsOf('SELECT public.remember(1)').reason).toBe('unknown function');
  });

  it('that became syntax is still a function where users made one', () => {
    const made = { ...corpusCatalog, version: 2, userFunction: () => VOLATILE };
    expect(factsOf("SELECT JSON_VALUE('{}', '$.a')").effect).toBe('read');
    expect(factsOf("SELECT JSON_VALUE('{}', '$.a')", made).reason).toBe('volatile function');
    expect(factsOf('SELECT JSON_ARRAY(1)', made).reason).toBe('volatile function');
    expect(factsOf('SELECT id FROM users', made).effect).toBe('read');
  });

  it('of a WITH query hides a relation only where the query is visible', () => {
    expect(factsOf('WITH scratch AS (SELECT 1) SELECT * FROM scratch').effect).toBe('read');
    expect(factsOf('WITH scratch AS (SELECT 1) SELECT * FROM public.scratch').reason).toBe('unlogged relation');
    expect(factsOf('SELECT * FROM (WITH scratch AS (SELECT 1) SELECT * FROM scratch) a, scratch').reason).toBe(
      'unlogged relation',
    );
    expect(factsOf('WITH a AS (SELECT * FROM scratch), scratch AS (SELECT 1) SELECT * FROM a').reason).toBe('unlogged relation');
    expect(factsOf('WITH RECURSIVE a AS (SELECT * FROM scratch), scratch AS (SELECT 1) SELECT * FROM a').effect).toBe('read');
    expect(factsOf('WITH scratch AS (SELECT * FROM scratch) SELECT * FROM scratch').reason).toBe('unlogged relation');
    expect(factsOf('WITH scratch AS (SELECT 1) INSERT INTO users SELECT * FROM scratch').effect).toBe('write');
  });

  it('beyond what libpg_query passes on whole is not trusted', () => {
    expect(factsOf(`SELECT "${'é'.repeat(20)}"()`).reason).toBe('not proven a read');
    expect(factsOf(`SELECT * FROM "${'é'.repeat(20)}"`).reason).toBe('not proven a read');
    expect(factsOf(`SELECT * FROM "${'e'.repeat(62)}"`).reason).toBe('not proven a read');
    expect(factsOf(`SELECT * FROM "${'é'.repeat(20)}"`, unloadedCatalog).reason).toBe('not proven a read');
  });
});

describe('before the catalog is loaded', () => {
  beforeAll(loadParser);

  it.each([
    ['SELECT * FROM users', 'read', 'plain read'],
    ['SELECT upper(name), now() FROM users', 'read', 'plain read'],
    ['SELECT my_function(1)', 'unknown', 'catalog not loaded'],
    ['SELECT pg_catalog.my_function(1)', 'unknown', 'unknown function'],
    ["SELECT nextval('a')", 'write', 'sequence'],
    ['SELECT * FROM pg_stat_activity', 'write', 'differs on a standby'],
    ['SELECT * FROM pg_class', 'read', 'plain read'],
    ['SELECT * FROM pg_stat_statements', 'write', 'differs on a standby'],
  ])('%s is a %s: %s', (text, effect, reason) => {
    expect(factsOf(text, unloadedCatalog)).toMatchObject({ effect, reason });
  });

  it('a write may leave anything', () => {
    expect([...factsOf('INSERT INTO users VALUES (1)', unloadedCatalog).residue]).toEqual(['unknown']);
  });
});

describe('a text that cannot be looked into', () => {
  beforeEach(loadParser);

  it.each([
    ['deep parentheses', `SELECT ${'('.repeat(16_000)}1${')'.repeat(16_000)}`],
    ['a sum of many terms', `SELECT a${'+a'.repeat(16_000)}`],
    ['deep subqueries', `${'SELECT ('.repeat(3_000)}SELECT 1${')'.repeat(3_000)}`],
    ['deep arrays', `SELECT ${'ARRAY['.repeat(5_000)}a${']'.repeat(5_000)}`],
    ['deep NOT', `SELECT ${'NOT '.repeat(8_000)}true`],
    ['deep casts', `SELECT a${'::int'.repeat(6_000)}`],
    ['too many characters', `SELECT ${'a,'.repeat(20_000)}a`],
    ['a megabyte', `SELECT '${'x'.repeat(1_000_000)}'`],
    ['a zero byte', 'SELECT 1\0; DELETE FROM users'],
    ['a zero byte before a hint', 'SELECT 1\0 pgweir: route=replica'],
  ])('may be anything: %s', async (_what, text) => {
    expect(factsOf(text)).toMatchObject({ effect: 'unknown', statements: [{ kind: 'query' }], residue: new Set(['unknown']) });
    await loadParser();
    expect(new StatementCache().facts('SELECT 1', corpusCatalog, 'standard').effect).toBe('read');
  });

  it('breaks no parser, however often it comes', async () => {
    for (let i = 0; i < 35; i += 1) {
      expect(factsOf(`SELECT a${i}${'+a'.repeat(16_000)}`).effect).toBe('unknown');
      await loadParser();
      expect(new StatementCache().facts('SELECT id FROM users', corpusCatalog, 'standard').effect).toBe('read');
    }
  });

  it('is asked again when only the parser was not ready', async () => {
    const fresh = new StatementCache();
    for (let i = 0; i < 3; i += 1) fresh.facts(`SELECT a${'+a'.repeat(16_000 + i)}`, corpusCatalog, 'standard');
    expect(fresh.facts('SELECT 42', corpusCatalog, 'standard')).toMatchObject({ effect: 'unknown', reason: 'not proven a read' });
    await loadParser();
    expect(fresh.facts('SELECT 42', corpusCatalog, 'standard').effect).toBe('read');
  });

  it('is not what a long list or a long literal is', () => {
    expect(factsOf(`SELECT * FROM users WHERE id IN (${'12345, '.repeat(20_000)}1)`).effect).toBe('read');
    expect(factsOf(`SELECT * FROM users WHERE name = '${'x'.repeat(200_000)}'`).effect).toBe('read');
    expect(factsOf(`SELECT * FROM users WHERE ${'id = 1 OR '.repeat(2_000)}false`).effect).toBe('read');
  });
});

/** Statement nodes that stand inside others only, or are made by analysis. */
const PARTS: ReadonlySet<string> = new Set([
  'RawStmt',
  'SetOperationStmt',
  'ReturnStmt',
  'PLAssignStmt',
  'ReplicaIdentityStmt',
  'CreateOpClassItem',
]);

/** Fields that only parse analysis fills in; the raw grammar leaves them out. */
const ANALYSED: readonly string[] = `
  xpr typeOid casetype casecollid coalescetype coalescecollid minmaxtype minmaxcollid inputcollid type row_typeid cvarno refs
  agglevelsup subLinkId cterecursive cterefcount ctecolnames ctecoltypes ctecoltypmods ctecolcollations cycle_mark_type
  cycle_mark_typmod cycle_mark_collation cycle_mark_neop viewQuery msftype msfcollid typeId typeMod collation arg_names
  formatted_expr typid groupDistinct inhcount is_not_null is_from_type storage storage_name raw_default cooked_default identity
  identitySequence generated collOid constraints fdwoptions compression
`
  .trim()
  .split(/\s+/);

/** The fields of every node of libpg_query 18, by its own type declarations. */
function types(): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const require = createRequire(createRequire(import.meta.url).resolve('libpg-query'));
  const source = readFileSync(require.resolve('@pgsql/types').replace(/[^/]+$/, 'types.d.ts'), 'utf8');
  const all = new Map<string, ReadonlyMap<string, string>>();
  for (const [, type = '', body = ''] of source.matchAll(/export interface (\w+) \{([^}]*)\}/g)) {
    all.set(type, new Map([...body.matchAll(/(\w+)\?: ([^;]+);/g)].map(([, field = '', content = '']) => [field, content])));
  }
  return all;
}
