import { describe, expect, it } from 'vitest';
import type { CatalogRows, RelationRow } from '../../../src/sql/catalog-queries.ts';
import { catalogFromRows } from '../../../src/sql/catalog-rows.ts';
import { corpusCatalog } from './corpus-catalog.ts';

const NO_ROWS: CatalogRows = {
  functions: [],
  relations: [],
  triggers: [],
  functionUses: [],
  relationUses: [],
  keys: [],
  volatileOperators: [],
  volatileTypes: [],
  eventTriggers: [],
};

const table = (oid: string, more: Partial<RelationRow> = {}): RelationRow => ({
  oid,
  schema: 'public',
  name: `t${oid}`,
  kind: 'r',
  persistence: 'p',
  wrapper: null,
  locks_rows: false,
  runs_code: false,
  ...more,
});

const catalogOf = (rows: Partial<CatalogRows>) => catalogFromRows({ database: 'd', version: 1 }, { ...NO_ROWS, ...rows });
const reading = (rows: Partial<CatalogRows>, name: string) => catalogOf(rows).relation({ schema: null, name })?.reading;

describe("a database's catalog", () => {
  it.each([
    ['users', 'plain read', true],
    ['orders', 'plain read', false],
    ['active_users', 'plain read', false],
    ['scratch', 'unlogged relation', false],
    ['scratch_view', 'unlogged relation', false],
    ['measurements', 'unlogged relation', false],
    ['measurements_2025', 'plain read', false],
    ['touching_view', 'volatile function', false],
    ['view_over_touching', 'volatile function', false],
    ['operator_view', 'volatile function', false],
    ['locking_view', 'explicit lock', false],
    ['activity', 'differs on a standby', false],
    ['recovering', 'differs on a standby', false],
    ['lottery', 'plain read', false],
    ['queue_head', 'row lock', false],
    ['next_ticket', 'sequence', false],
    ['ticket', 'sequence', false],
    ['secrets', 'volatile function', false],
    ['tenants', 'plain read', false],
    ['os_release', 'not proven a read', false],
    ['remote_users', 'plain read', false],
    ['user_stats', 'plain read', false],
    ['coded', 'plain read', true],
    ['audited', 'plain read', true],
    ['parent', 'plain read', true],
    ['child', 'plain read', true],
    ['conditional', 'plain read', true],
    ['things', 'plain read', false],
  ])('says of %s: %s; writing runs code: %s', (name, reason, runsCodeOnWrite) => {
    const relation = corpusCatalog.relation({ schema: null, name });
    expect({ reason: relation?.reading.reason, runsCodeOnWrite: relation?.runsCodeOnWrite }).toEqual({ reason, runsCodeOnWrite });
  });

  it('tells objects of one name in two schemas apart only by their schema', () => {
    const relations = [table('1', { name: 'a' }), table('2', { schema: 's', name: 'a', persistence: 'u' })];
    expect(reading({ relations }, 'a')?.reason).toBe('unlogged relation');
    expect(catalogOf({ relations }).relation({ schema: 'public', name: 'a' })?.reading.reason).toBe('plain read');
    expect(catalogOf({ relations }).relation({ schema: 's', name: 'a' })?.reading.reason).toBe('unlogged relation');
    expect(catalogOf({ relations }).relation({ schema: 'other', name: 'a' })).toBeNull();
  });

  it('ends for views that read each other', () => {
    const relations = [table('1', { kind: 'v' }), table('2', { kind: 'v' }), table('3', { persistence: 'u' })];
    const relationUses = [
      { upper: '1', lower: '2', on_write: false },
      { upper: '2', lower: '1', on_write: false },
      { upper: '2', lower: '3', on_write: false },
    ];
    expect(reading({ relations, relationUses }, 't1')?.reason).toBe('unlogged relation');
  });

  it('does not trust a view over something that it has no row of', () => {
    const relationUses = [{ upper: '1', lower: '99', on_write: false }];
    expect(reading({ relations: [table('1', { kind: 'v' })], relationUses }, 't1')?.effect).toBe('unknown');
  });

  it('follows foreign keys that cascade for writing only', () => {
    const relations = [table('1'), table('2', { persistence: 'u', runs_code: true })];
    const relationUses = [{ upper: '1', lower: '2', on_write: true }];
    expect(catalogOf({ relations, relationUses }).relation({ schema: null, name: 't1' })).toMatchObject({
      reading: { reason: 'plain read' },
      runsCodeOnWrite: true,
    });
  });

  it('finds names beyond ASCII as the bytes of UTF-8', () => {
    const catalog = catalogOf({
      relations: [table('1', { name: 'café' })],
      functions: [{ schema: 'public', name: 'größe', volatility: 's', field: false }],
    });
    expect(catalog.relation({ schema: null, name: 'caf\xc3\xa9' })).not.toBeNull();
    expect(catalog.relation({ schema: null, name: 'café' })).toBeNull();
    expect(catalog.userFunction({ schema: 'public', name: 'gr\xc3\xb6\xc3\x9fe' })?.effect).toBe('read');
  });

  it('knows no object by a name of JavaScript', () => {
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      expect(corpusCatalog.relation({ schema: null, name })).toBeNull();
      expect(corpusCatalog.userFunction({ schema: null, name })).toBeNull();
      expect(corpusCatalog.isVolatileField(name)).toBe(false);
    }
  });

  it('takes an event trigger for code that any DDL runs', () => {
    expect(catalogOf({}).hasEventTriggers).toBe(false);
    expect(catalogOf({ eventTriggers: [{ name: 'e' }] }).hasEventTriggers).toBe(true);
  });
});

describe('keys', () => {
  const rows = {
    relations: [table('1', { name: 'a' }), table('2', { name: 'a', schema: 'other' }), table('3', { name: 'b' }), table('4')],
    keys: [
      { relation: '1', columns: '["id"]' },
      { relation: '1', columns: '["x", "y"]' },
      { relation: '2', columns: '["id", "part"]' },
      { relation: '3', columns: '["\u00fc"]' },
    ],
  };
  it.each([
    ['other than a key', 'public', 'a', ['z'], false],
    ['a key', 'public', 'a', ['id'], true],
    ['a key and more', 'public', 'a', ['z', 'id'], true],
    ['a part of one', 'public', 'a', ['x'], false],
    ['another', 'public', 'a', ['y', 'x'], true],
    ['a key of one table of the name', null, 'a', ['id'], false],
    ['keys of all tables of the name', null, 'a', ['part', 'id'], true],
    ['a name beyond ASCII', null, 'b', ['\xc3\xbc'], true],
    ['a table without keys', null, 't4', ['id'], false],
    ['no table', null, 'nothing', ['id'], false],
  ] as const)('%s', (_what, schema, name, columns, expected) => {
    expect(catalogOf(rows).isKey({ schema, name }, new Set(columns))).toBe(expected);
  });
});
