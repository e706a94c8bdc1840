import { Client, type QueryArrayResult } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Catalog } from '../../src/sql/catalog.ts';
import { CATALOG_QUERIES, type CatalogRows } from '../../src/sql/catalog-queries.ts';
import { catalogFromRows } from '../../src/sql/catalog-rows.ts';
import type { Facts } from '../../src/sql/facts.ts';
import { builtinFunction } from '../../src/sql/functions.ts';
import { loadParser } from '../../src/sql/parser.ts';
import { isReadableSetting } from '../../src/sql/server-settings.ts';
import { StatementCache } from '../../src/sql/statement-cache.ts';
import { systemRelation } from '../../src/sql/system-relations.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type CorpusText, readCorpus, wireText } from '../unit/sql/corpus.ts';
import { builtinsModule, catalogFixture } from '../unit/sql/generated.ts';

/**
 * Classification against the truth: a primary and a real hot standby. What is called a read must run on the standby and
 * answer what the primary answers; what a standby accepts but does differently must not be called a read.
 */

type Node = Cluster['primary'];

/** What running a text came to: the SQLSTATE of its error, or its rows as PostgreSQL printed them. */
interface Outcome {
  readonly code: string | null;
  readonly rows: string;
}

/** A standby refuses with these. */
const REFUSALS: ReadonlySet<string | null> = new Set(['25006', '0A000', '55000', 'XX000']);

const PARALLEL = 4;

describe('classification', () => {
  const corpus = readCorpus();
  const cache = new StatementCache();
  let cluster: Cluster;
  let standby: Node;
  let catalog: Catalog;
  let rows: CatalogRows;

  const factsOf = (text: string): Facts => cache.facts(wireText(text), catalog, 'standard');

  beforeAll(async () => {
    await loadParser();
    cluster = await startCluster({ replicas: 1, settings: { max_prepared_transactions: '5' } });
    const [replica] = cluster.replicas;
    if (replica === undefined) throw new Error('a cluster without a standby');
    standby = replica;
    for (const statement of corpus.setup) await cluster.primary.query(statement);
    rows = await catalogRows(cluster.primary);
    catalog = catalogFromRows({ database: 'postgres', version: 1 }, rows);
    await cluster.waitForReplay();
  });

  afterAll(() => cluster?.[Symbol.asyncDispose]());

  it('knows the functions and relations of PostgreSQL 18 (vitest -u writes the list anew)', async () => {
    await expect(await builtinsModule((sql) => cluster.primary.query(sql))).toMatchFileSnapshot('../../src/sql/builtins.ts');
  });

  it('has its unit tests use the catalog that this database has (vitest -u writes it anew)', async () => {
    await expect(catalogFixture(rows)).toMatchFileSnapshot('../corpus/classification-catalog.json');
  });

  it('says of each text of the corpus what is written there', () => {
    const wrong = corpus.texts.filter(({ text, effect, reason }) => {
      const facts = factsOf(text);
      return facts.effect !== effect || facts.reason !== reason;
    });
    expect(wrong).toEqual([]);
  });

  it('calls nothing a read that a standby refuses or answers differently', async () => {
    const wrong: string[] = [];
    await eachOf(corpus.texts, async (item) => {
      if (factsOf(item.text).effect !== 'read') return;
      const there = await run(standby, item.text);
      if (REFUSALS.has(there.code)) wrong.push(`${item.line}: ${item.text}: refused with ${there.code}`);
      if (item.tags.has('varies') || item.tags.has('node')) return;
      const here = await run(cluster.primary, item.text);
      if (here.code !== there.code || here.rows !== there.rows) wrong.push(`${item.line}: ${item.text}: ${explain(here, there)}`);
    });
    expect(wrong).toEqual([]);
  });

  it('needs the primary for all that a standby accepts and does differently', async () => {
    const refused: string[] = [];
    await eachOf(
      corpus.texts.filter((item) => item.tags.has('differs')),
      async (item) => {
        expect(factsOf(item.text).effect, item.text).not.toBe('read');
        const there = await run(standby, item.text);
        if (REFUSALS.has(there.code)) refused.push(`${item.line}: ${item.text}: ${there.code}`);
      },
    );
    expect(refused, 'tagged as accepted by a standby').toEqual([]);
  });

  it('denies little that a standby would have run as well', async () => {
    const denied = corpus.texts.filter((item) => factsOf(item.text).effect !== 'read' && !item.tags.has('differs'));
    const accepted: CorpusText[] = [];
    await eachOf(denied, async (item) => {
      const there = await run(standby, item.text);
      if (there.code === null) accepted.push(item);
    });
    const share = ((100 * accepted.length) / corpus.texts.length).toFixed(1);
    console.info(`over-denial: of ${corpus.texts.length} texts, ${accepted.length} (${share} %) would have run on a standby:`);
    for (const item of accepted.sort((a, b) => a.line - b.line)) console.info(`  ${item.reason}: ${item.text}`);
    expect(accepted.length).toBeLessThan(corpus.texts.length / 10);
  });

  it('says of a SET what PostgreSQL makes of it', async () => {
    let compared = 0;
    for (const { text } of corpus.texts) {
      const [statement, second] = factsOf(text).statements;
      if (statement?.kind !== 'set' || second !== undefined || statement.value === null) continue;
      const { name, value } = statement;
      const quoted = value.replaceAll("'", "''");
      const show = `SELECT current_setting('${name}')`;
      const [bySet, byFacts] = [
        await run(cluster.primary, `${text}; ${show}`),
        await run(cluster.primary, `SELECT set_config('${name}', '${quoted}', false); ${show}`),
      ];
      const last = (outcome: Outcome): unknown => (outcome.code === null ? JSON.parse(outcome.rows).at(-1) : outcome.code);
      expect(last(bySet), text).toEqual(last(byFacts));
      compared += 1;
    }
    expect(compared).toBeGreaterThan(20);
  });

  it('reads only relations of pg_catalog that are alike on both nodes', async () => {
    const names = await column(
      cluster.primary,
      "SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')",
    );
    const read = names.filter((name) => systemRelation(name)?.effect === 'read');
    expect(read.length).toBeGreaterThan(70);
    await expectAlike(read.map((name) => `SELECT t::text FROM pg_catalog.${name} t ORDER BY 1`));
  });

  it('reads only through views of information_schema that are alike on both nodes', async () => {
    const names = await column(
      cluster.primary,
      "SELECT relname FROM pg_class WHERE relnamespace = 'information_schema'::regnamespace AND relkind IN ('r', 'v')",
    );
    expect(names.length).toBeGreaterThan(50);
    await expectAlike(names.map((name) => `SELECT t::text FROM information_schema.${name} t ORDER BY 1`));
  });

  it('reads only with functions of pg_catalog that answer alike on both nodes', async () => {
    const calls = await functionCalls(cluster.primary);
    expect(calls.length).toBeGreaterThan(1400);
    await expectAlike(calls);
  });

  it('takes only settings for readable that a session sets or a replica has in common', async () => {
    const settings = await cluster.primary.query('SELECT lower(name) AS name, context FROM pg_settings');
    const own = settings.filter(({ context }) => ['user', 'superuser', 'backend', 'superuser-backend'].includes(String(context)));
    const missing = own
      .map(({ name }) => String(name))
      .filter((name) => !isReadableSetting(name) && name !== 'transaction_read_only');
    expect(missing).toEqual([]);
    const others = settings.map(({ name }) => String(name)).filter((name) => isReadableSetting(name) && name !== 'port');
    await expectAlike(others.map((name) => `SHOW ${name}`));
  });

  /** Runs each on both nodes and names those with different outcomes. */
  async function expectAlike(texts: readonly string[]): Promise<void> {
    const different: string[] = [];
    const [here, there] = await Promise.all([runAll(cluster.primary, texts), runAll(standby, texts)]);
    for (const [index, text] of texts.entries()) {
      const [first, second] = [here[index], there[index]];
      if (first === undefined || second === undefined) throw new Error(`no outcome of ${text}`);
      if (first.code !== second.code || first.rows !== second.rows) different.push(`${text}: ${explain(first, second)}`);
    }
    expect(different).toEqual([]);
  }
});

async function catalogRows(node: Node): Promise<CatalogRows> {
  const answers: Record<string, unknown> = {};
  for (const [name, sql] of Object.entries(CATALOG_QUERIES)) answers[name] = await node.query(sql);
  return answers as unknown as CatalogRows;
}

async function column(node: Node, sql: string): Promise<string[]> {
  return (await node.query(sql)).map((row) => String(Object.values(row)[0])).sort();
}

function explain(here: Outcome, there: Outcome): string {
  return `primary ${here.code ?? here.rows.slice(0, 200)}, standby ${there.code ?? there.rows.slice(0, 200)}`;
}

async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
}

async function connect(node: Node): Promise<Client> {
  const client = new Client({ host: node.host, port: node.port, user: 'postgres', database: 'postgres', ssl: false });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Runs a text on a connection of its own, in a transaction that is rolled back where the text allows one. */
async function run(node: Node, text: string): Promise<Outcome> {
  const client = await connect(node);
  try {
    await client.query("SET statement_timeout = '10s'");
    await client.query('BEGIN');
    const outcome = await outcomeOf(client, text);
    await client.query('ROLLBACK');
    // 25001: not inside a transaction block.
    return outcome.code === '25001' ? await outcomeOf(client, text) : outcome;
  } finally {
    await client.end();
  }
}

/** Runs texts that change nothing, one after the other on one connection. */
async function runAll(node: Node, texts: readonly string[]): Promise<Outcome[]> {
  const client = await connect(node);
  try {
    await client.query("SET statement_timeout = '10s'");
    const outcomes: Outcome[] = [];
    for (const text of texts) outcomes.push(await outcomeOf(client, text));
    return outcomes;
  } finally {
    await client.end();
  }
}

const AS_PRINTED = { getTypeParser: () => (value: string) => value };

async function outcomeOf(client: Client, text: string): Promise<Outcome> {
  try {
    const answer: QueryArrayResult | QueryArrayResult[] = await client.query({ text, rowMode: 'array', types: AS_PRINTED });
    const results = Array.isArray(answer) ? answer : [answer];
    return { code: null, rows: JSON.stringify(results.map((result) => result.rows)) };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return { code, rows: '' };
  }
}

/** Arguments that make sense to many functions, by type. */
const SAMPLES: Readonly<Record<string, string>> = {
  bool: 'true',
  int2: '1::int2',
  int4: '1',
  int8: '1::int8',
  oid: "'users'::regclass::oid",
  regclass: "'users'::regclass",
  name: "'users'::name",
  text: "'users'::text",
  xid: "'3'::xid",
  xid8: "'3'::xid8",
  float8: '1.5::float8',
  numeric: '2.5',
  date: "date '2026-01-01'",
  timestamp: "timestamp '2026-01-01'",
  timestamptz: "timestamptz '2026-01-01'",
  interval: "interval '1 day'",
  json: `'{"a":1}'::json`,
  jsonb: `'{"a":1}'::jsonb`,
  bytea: "'\\\\x61'::bytea",
  varchar: "'users'::varchar",
  bpchar: "'users'::bpchar",
  inet: "'10.0.0.1'::inet",
  uuid: "'00000000-0000-4000-8000-000000000000'::uuid",
  point: "'(1,2)'::point",
  box: "'(1,2),(3,4)'::box",
  time: "time '12:00'",
  money: "'1'::money",
  tsvector: "'a b'::tsvector",
  tsquery: "'a'::tsquery",
  xml: "'<a/>'::xml",
  pg_lsn: "'0/1'::pg_lsn",
  anyarray: 'ARRAY[1, 2]',
  anyelement: '1',
  any: '1',
};

/** By design they tell the time or the place. */
const TIME_OR_PLACE: ReadonlySet<string> = new Set([
  'inet_client_addr',
  'inet_client_port',
  'inet_server_addr',
  'inet_server_port',
  'now',
  'statement_timestamp',
  'transaction_timestamp',
  'age',
]);

/** Every function of pg_catalog that is called a read and barred from nothing, with up to three arguments of known types. */
async function functionCalls(node: Node): Promise<string[]> {
  const functions = await node.query(`
    SELECT proname AS name, ARRAY(SELECT typname::text FROM unnest(proargtypes) WITH ORDINALITY a(t, n)
      JOIN pg_type ON oid = t ORDER BY n) AS types
    FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND pronargs <= 3 ORDER BY oid`);
  const calls: string[] = [];
  for (const { name, types } of functions) {
    const meaning = builtinFunction(String(name));
    if (meaning?.effect !== 'read' || meaning.callsVolatile || TIME_OR_PLACE.has(String(name)) || !Array.isArray(types)) continue;
    const samples = types.map((type) => SAMPLES[String(type)]);
    if (samples.every((sample) => sample !== undefined))
      calls.push(`SELECT * FROM pg_catalog.${String(name)}(${samples.join(', ')}) LIMIT 50`);
  }
  return calls;
}
