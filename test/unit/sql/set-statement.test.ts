import { beforeAll, describe, expect, it } from 'vitest';
import { unloadedCatalog } from '../../../src/sql/catalog.ts';
import type { Facts, StatementFacts } from '../../../src/sql/facts.ts';
import { loadParser } from '../../../src/sql/parser.ts';
import { StatementCache } from '../../../src/sql/statement-cache.ts';

const cache = new StatementCache();
const factsOf = (text: string): Facts => cache.facts(text, unloadedCatalog, 'standard');
const statementOf = (text: string): StatementFacts | undefined => factsOf(text).statements[0];

interface Options {
  readonly local?: boolean;
  readonly returnsRow?: boolean;
}

const set = (name: string, value: string | null, { local = false, returnsRow = false }: Options = {}): StatementFacts => ({
  kind: 'set',
  name,
  value,
  toDefault: false,
  local,
  returnsRow,
});
const toDefault = (name: string, local = false): StatementFacts => ({
  kind: 'set',
  name,
  value: null,
  toDefault: true,
  local,
  returnsRow: false,
});

describe('a SET', () => {
  beforeAll(loadParser);

  it.each<readonly [string, StatementFacts]>([
    ["SET work_mem = '8MB'", set('work_mem', '8MB')],
    ['SET work_mem TO 8192', set('work_mem', '8192')],
    ['SET SESSION work_mem = 8192', set('work_mem', '8192')],
    ['SET LOCAL work_mem = 8192', set('work_mem', '8192', { local: true })],
    ['SET extra_float_digits = -5', set('extra_float_digits', '-5')],
    ['SET seq_page_cost = 1.50', set('seq_page_cost', '1.50')],
    ['SET enable_seqscan = off', set('enable_seqscan', 'off')],
    ['SET enable_seqscan = TRUE', set('enable_seqscan', 'true')],
    ["SET application_name = ''", set('application_name', '')],
    ['SET "DateStyle" = iso, mdy', set('datestyle', 'iso, mdy')],
    ['SET DATESTYLE TO DEFAULT', toDefault('datestyle')],
    ['SET LOCAL work_mem TO DEFAULT', toDefault('work_mem', true)],
    ['SET sort_mem = 64', set('work_mem', '64')],
    ["SET App.Tenant = 'X''y'", set('app.tenant', "X'y")],
    ['SET search_path TO app, public', set('search_path', 'app, public')],
    ["SET search_path TO 'app, public'", set('search_path', '"app, public"')],
    ['SET search_path TO "$user", "Mixed", public', set('search_path', '"$user", "Mixed", public')],
    ["SET search_path TO '', 'a\"b', 'user', 'zone'", set('search_path', '"", "a""b", "user", zone')],
    ["SET SCHEMA 'app'", set('search_path', 'app')],
    ["SET temp_tablespaces = 'A', b", set('temp_tablespaces', '"A", b')],
    ["SET DateStyle = 'ISO', 'DMY'", set('datestyle', 'ISO, DMY')],
    ["SET TIME ZONE 'Europe/Berlin'", set('timezone', 'Europe/Berlin')],
    ['SET TIME ZONE -7', set('timezone', '-7')],
    ['SET TIME ZONE 5.5', set('timezone', '5.5')],
    ['SET TIME ZONE PST8PDT', set('timezone', 'pst8pdt')],
    ['SET TIME ZONE LOCAL', toDefault('timezone')],
    ['SET TIME ZONE DEFAULT', toDefault('timezone')],
    ["SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE", set('timezone', "INTERVAL '-08:00'")],
    ["SET TIME ZONE INTERVAL '+1:30'", set('timezone', "INTERVAL '+1:30'")],
    ["SET TIME ZONE INTERVAL '8' HOUR", set('timezone', null)],
    ["SET NAMES 'LATIN1'", set('client_encoding', 'LATIN1')],
    ['SET NAMES DEFAULT', toDefault('client_encoding')],
    ['SET NAMES', toDefault('client_encoding')],
    ['SET ROLE app', set('role', 'app')],
    ["SET ROLE 'App'", set('role', 'App')],
    ['SET ROLE NONE', set('role', 'none')],
    ['SET LOCAL ROLE app', set('role', 'app', { local: true })],
    ['SET SESSION AUTHORIZATION app', set('session_authorization', 'app')],
    ['SET SESSION AUTHORIZATION DEFAULT', toDefault('session_authorization')],
    ['SET XML OPTION DOCUMENT', set('xmloption', 'DOCUMENT')],
    ['SET default_transaction_read_only = on', set('default_transaction_read_only', 'on')],
    ["SELECT set_config('app.x', 'y', false)", set('app.x', 'y', { returnsRow: true })],
    ["SELECT set_config('App.X', 'y', true)", set('app.x', 'y', { local: true, returnsRow: true })],
    ["select pg_catalog.set_config('search_path', '', 'f')", set('search_path', '', { returnsRow: true })],
    ["SELECT set_config('app.x'::text, 'y', 'true'::boolean)", set('app.x', 'y', { local: true, returnsRow: true })],
    ["SELECT set_config('app.x', 'y', false) AS z", set('app.x', 'y', { returnsRow: true })],
    [
      "SET transaction_isolation = 'repeatable read'",
      { kind: 'set transaction', modes: { isolation: 'repeatable read' }, snapshot: false },
    ],
    ['SET transaction_read_only = on', { kind: 'set transaction', modes: { readOnly: true }, snapshot: false }],
    ['SET LOCAL transaction_read_only = f', { kind: 'set transaction', modes: { readOnly: false }, snapshot: false }],
    ['SET transaction_deferrable TO 1', { kind: 'set transaction', modes: { deferrable: true }, snapshot: false }],
    ["SET transaction_read_only = 'maybe'", set('transaction_read_only', 'maybe')],
    ['RESET work_mem', { kind: 'reset', name: 'work_mem' }],
    ['RESET "DateStyle"', { kind: 'reset', name: 'datestyle' }],
    ['RESET TIME ZONE', { kind: 'reset', name: 'timezone' }],
    ['RESET ROLE', { kind: 'reset', name: 'role' }],
    ['RESET SESSION AUTHORIZATION', { kind: 'reset', name: 'session_authorization' }],
    ['RESET TRANSACTION ISOLATION LEVEL', { kind: 'reset', name: 'transaction_isolation' }],
    ['RESET ALL', { kind: 'reset all' }],
    ['SHOW TIME ZONE', { kind: 'show', name: 'timezone' }],
    ['SHOW "Work_Mem"', { kind: 'show', name: 'work_mem' }],
    ['SHOW ALL', { kind: 'show', name: 'all' }],
  ])('%s', (text, statement) => {
    expect(statementOf(text)).toEqual(statement);
  });

  it.each([
    "SELECT set_config('app.x', $1, false)",
    "SELECT set_config('app.x', 'y', $1)",
    "SELECT set_config('app.x', 'y', false), 1",
    "SELECT set_config('app.x', 'y', false) FROM users",
    "SELECT set_config('app.x', 'y', false) WHERE false",
    "SELECT set_config('app.x', 'y', false) LIMIT 0",
    "SELECT set_config('app.x', 'a' || 'b', false)",
    "SELECT set_config('app.x', NULL, false)",
    "SELECT set_config('app.x', 'y', false) FILTER (WHERE false)",
    "SELECT DISTINCT set_config('app.x', 'y', false)",
    "SELECT set_config('app.x', 'y', false) UNION SELECT 'z'",
    "SELECT app.set_config('app.x', 'y', false)",
    "WITH w AS (SELECT 1) SELECT set_config('app.x', 'y', false)",
    "EXPLAIN SELECT set_config('app.x', 'y', false)",
    "SELECT upper(set_config('app.x', 'y', false))",
  ])('is not made of %s, which may still change it', (text) => {
    const facts = factsOf(text);
    expect(facts.statements).toEqual([{ kind: 'query' }]);
    expect(facts.effect).not.toBe('read');
    expect([...facts.settings]).toEqual(['app.x']);
  });

  it('whose name is not known may be any', () => {
    expect([...factsOf("SELECT set_config($1, 'y', false)").residue]).toEqual(['settings']);
    expect([...factsOf("SELECT set_config('app.' || 'x', 'y', false)").residue]).toEqual(['settings']);
  });

  it('that is local to the transaction changes nothing for longer', () => {
    expect(factsOf("SELECT set_config('app.x', $1, true)")).toMatchObject({ settings: new Set(), residue: new Set() });
  });

  it('whose value is not known may have set anything', () => {
    expect([...factsOf("SET TIME ZONE INTERVAL '8' HOUR").residue]).toEqual(['settings']);
    expect([...factsOf('SET work_mem FROM CURRENT').residue]).toEqual(['settings']);
    expect(factsOf("SET TIME ZONE 'UTC'").residue.size).toBe(0);
  });

  it('has its own facts for each value', () => {
    expect(statementOf('SET a.b = 1')).toEqual(set('a.b', '1'));
    expect(statementOf('SET a.b = 2')).toEqual(set('a.b', '2'));
    expect(statementOf("SET a.b = '2'")).toEqual(set('a.b', '2'));
  });
});

describe('transaction control', () => {
  beforeAll(loadParser);

  it.each<readonly [string, StatementFacts]>([
    ['BEGIN', { kind: 'begin', modes: {} }],
    ['START TRANSACTION READ ONLY', { kind: 'begin', modes: { readOnly: true } }],
    ['BEGIN READ WRITE', { kind: 'begin', modes: { readOnly: false } }],
    [
      'BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE',
      { kind: 'begin', modes: { isolation: 'serializable', readOnly: true, deferrable: true } },
    ],
    [
      'BEGIN ISOLATION LEVEL READ UNCOMMITTED NOT DEFERRABLE',
      { kind: 'begin', modes: { isolation: 'read uncommitted', deferrable: false } },
    ],
    ['BEGIN READ ONLY READ WRITE', { kind: 'begin', modes: { readOnly: false } }],
    ['COMMIT', { kind: 'commit', chain: false }],
    ['END AND CHAIN', { kind: 'commit', chain: true }],
    ['ROLLBACK AND CHAIN', { kind: 'rollback', chain: true }],
    ['ABORT', { kind: 'rollback', chain: false }],
    ['SAVEPOINT "My Point"', { kind: 'savepoint', name: 'My Point' }],
    ['RELEASE a', { kind: 'release', name: 'a' }],
    ['ROLLBACK TO A', { kind: 'rollback to', name: 'a' }],
    ["PREPARE TRANSACTION 'x'", { kind: 'prepare transaction' }],
    ["COMMIT PREPARED 'x'", { kind: 'commit prepared' }],
    ["ROLLBACK PREPARED 'x'", { kind: 'rollback prepared' }],
    ['SET TRANSACTION READ ONLY', { kind: 'set transaction', modes: { readOnly: true }, snapshot: false }],
    [
      'SET LOCAL TRANSACTION ISOLATION LEVEL SERIALIZABLE',
      { kind: 'set transaction', modes: { isolation: 'serializable' }, snapshot: false },
    ],
    ["SET TRANSACTION SNAPSHOT '1'", { kind: 'set transaction', modes: {}, snapshot: true }],
    ['SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY', { kind: 'set characteristics', modes: { readOnly: true } }],
    ['DISCARD ALL', { kind: 'discard', target: 'all' }],
    ['DISCARD PLANS', { kind: 'discard', target: 'plans' }],
    ['DISCARD SEQUENCES', { kind: 'discard', target: 'sequences' }],
    ['DISCARD TEMPORARY', { kind: 'discard', target: 'temp' }],
    ['PREPARE "Q" AS SELECT 1', { kind: 'prepare', name: 'Q' }],
    ['EXECUTE q(1)', { kind: 'execute', name: 'q' }],
    ['DEALLOCATE q', { kind: 'deallocate', name: 'q' }],
    ['DEALLOCATE ALL', { kind: 'deallocate', name: null }],
    ['LISTEN a', { kind: 'listen' }],
    ['UNLISTEN *', { kind: 'unlisten' }],
    ['DECLARE c CURSOR WITH HOLD FOR SELECT 1', { kind: 'declare cursor', hold: true }],
    ['DECLARE c CURSOR FOR SELECT 1', { kind: 'declare cursor', hold: false }],
    ['CLOSE c', { kind: 'close cursor' }],
    ['COPY t FROM STDIN', { kind: 'copy', direction: 'in' }],
    ['COPY t TO STDOUT', { kind: 'copy', direction: 'out' }],
  ])('%s', (text, statement) => {
    expect(statementOf(text)).toEqual(statement);
  });

  it('keeps the order of several statements', () => {
    expect(factsOf("BEGIN; SET LOCAL a.b = 'c'; SELECT 1; COMMIT").statements.map((statement) => statement.kind)).toEqual([
      'begin',
      'set',
      'query',
      'commit',
    ]);
  });
});
