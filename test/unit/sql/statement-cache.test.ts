import { beforeAll, describe, expect, it } from 'vitest';
import { type Catalog, unloadedCatalog } from '../../../src/sql/catalog.ts';
import { Generations } from '../../../src/sql/generations.ts';
import { loadParser } from '../../../src/sql/parser.ts';
import { MAX_SCAN_CHARACTERS } from '../../../src/sql/shape.ts';
import { StatementCache } from '../../../src/sql/statement-cache.ts';
import { corpusCatalog } from './corpus-catalog.ts';

const at = (database: string, version: number, catalog: Catalog = corpusCatalog): Catalog => ({ ...catalog, database, version });

describe('the statement cache', () => {
  beforeAll(loadParser);

  it('parses one text of a shape', () => {
    const cache = new StatementCache();
    const first = cache.facts('SELECT name FROM users WHERE id = 1', corpusCatalog, 'standard');
    for (let id = 2; id < 100; id += 1) {
      expect(cache.facts(`SELECT name FROM users WHERE id = ${id}`, corpusCatalog, 'standard')).toBe(first);
    }
    expect(cache.usage.misses).toBe(1);
  });

  it('parses batches of any size once', () => {
    const cache = new StatementCache();
    for (let rows = 1; rows < 50; rows += 1) {
      const values = Array.from({ length: rows }, (_, row) => `($${2 * row + 1}, $${2 * row + 2})`).join(', ');
      cache.facts(`INSERT INTO users (id, name) VALUES ${values}`, corpusCatalog, 'standard');
      cache.facts(
        `SELECT * FROM users WHERE id IN (${Array.from({ length: rows }, (_, row) => row).join(',')})`,
        corpusCatalog,
        'standard',
      );
    }
    expect(cache.usage.misses).toBe(2);
  });

  it('looks at the text itself where a literal matters', () => {
    const cache = new StatementCache();
    for (let round = 0; round < 3; round += 1) {
      expect(cache.facts("SELECT current_setting('port')", corpusCatalog, 'standard').effect).toBe('read');
      expect(cache.facts("SELECT current_setting('in_hot_standby')", corpusCatalog, 'standard').effect).toBe('write');
      expect(cache.facts('SET a.b = 1', corpusCatalog, 'standard').statements[0]).toMatchObject({ value: '1' });
      expect(cache.facts('SET a.b = 2', corpusCatalog, 'standard').statements[0]).toMatchObject({ value: '2' });
    }
    expect(cache.usage.misses).toBe(6);
  });

  it('takes a text that only parses with its own literals', () => {
    const cache = new StatementCache();
    expect(cache.facts('SELECT id::float(24) FROM users', corpusCatalog, 'standard').effect).toBe('read');
    expect(cache.facts('SELECT id::float(99) FROM users', corpusCatalog, 'standard').reason).toBe('plain read');
    expect(cache.facts("SELECT E'\\u00e9'", corpusCatalog, 'standard').effect).toBe('read');
  });

  it('resolves again when the catalog of the database changed', () => {
    const cache = new StatementCache();
    expect(cache.facts('SELECT touch_user(1)', { ...unloadedCatalog, database: 'd' }, 'standard').reason).toBe(
      'catalog not loaded',
    );
    expect(cache.facts('SELECT touch_user(1)', at('d', 1), 'standard').reason).toBe('volatile function');
    expect(cache.usage.misses).toBe(1);
  });

  it('keeps the facts of several databases apart and at hand', () => {
    const cache = new StatementCache();
    const other = { ...at('b', 1), relation: () => null };
    const inA = cache.facts('SELECT * FROM users', at('a', 1), 'standard');
    const inB = cache.facts('SELECT * FROM users', other, 'standard');
    expect([inA.effect, inB.effect]).toEqual(['read', 'unknown']);
    for (let round = 0; round < 5; round += 1) {
      expect(cache.facts('SELECT * FROM users', at('a', 1), 'standard')).toBe(inA);
      expect(cache.facts('SELECT * FROM users', other, 'standard')).toBe(inB);
    }
    for (let database = 0; database < 100; database += 1) {
      expect(cache.facts('SELECT * FROM users', at(`d${database}`, 1), 'standard').effect).toBe('read');
      expect(cache.facts('SELECT * FROM users', other, 'standard').effect).toBe('unknown');
    }
    expect(cache.usage.misses).toBe(1);
  });

  it('remembers what a replica refused, for that shape and database, until the catalog changes', () => {
    const cache = new StatementCache();
    const read = (id: number, catalog: Catalog) => cache.facts(`SELECT name FROM users WHERE id = ${id}`, catalog, 'standard');
    expect(read(1, at('a', 1)).effect).toBe('read');
    cache.learn('SELECT name FROM users WHERE id = 1', at('a', 1), '25006');
    expect(read(2, at('a', 1))).toMatchObject({
      effect: 'unknown',
      reason: 'learned',
      subject: '25006',
      statements: [{ kind: 'query' }],
    });
    expect(read(2, at('b', 1)).effect).toBe('read');
    expect(read(2, at('a', 2)).effect).toBe('read');
    cache.learn(`SELECT ${'x'.repeat(MAX_SCAN_CHARACTERS)}`, at('a', 2), '25006');
    expect(read(2, at('a', 2)).effect).toBe('read');
  });

  it('reads no text that it may read wrongly', () => {
    const cache = new StatementCache();
    const effect = (text: string, scan: Parameters<StatementCache['facts']>[2]) => cache.facts(text, corpusCatalog, scan);
    expect(effect("SELECT 'a\\'", 'standard').effect).toBe('read');
    expect(effect("SELECT 'a\\'", 'unsafe strings')).toMatchObject({ effect: 'unknown', reason: 'encoding not safe to scan' });
    expect(effect("SELECT 'a'", 'unsafe strings').effect).toBe('read');
    expect(effect("SELECT '\x83\\'", 'unsafe encoding')).toMatchObject({
      effect: 'unknown',
      reason: 'encoding not safe to scan',
    });
    expect(effect("SELECT 'a'", 'unsafe encoding').effect).toBe('read');
    expect(effect("SELECT '\xc3\xa9'", 'standard').effect).toBe('read');
  });

  it('looks at no text beyond the limit', () => {
    const cache = new StatementCache();
    const text = `SELECT '${'x'.repeat(MAX_SCAN_CHARACTERS)}'`;
    expect(cache.facts(text, corpusCatalog, 'standard')).toMatchObject({ effect: 'unknown', reason: 'text too long to parse' });
    expect(cache.usage.misses).toBe(0);
  });

  it('stays within its bounds', () => {
    const few = new StatementCache({ maxEntries: 10, maxBytes: 1_000_000 });
    const small = new StatementCache({ maxEntries: 1000, maxBytes: 50_000 });
    for (let i = 0; i < 200; i += 1) {
      few.facts(`SELECT a${i}`, corpusCatalog, 'standard');
      small.facts(`SELECT a${i}, ${'b,'.repeat(100)} 1`, corpusCatalog, 'standard');
      expect(few.usage.entries).toBeLessThanOrEqual(10);
      expect(small.usage.bytes).toBeLessThanOrEqual(50_000);
    }
    expect(small.usage.entries).toBeGreaterThan(5);
  });
});

describe('two generations', () => {
  it('keep what is used and forget what is not', () => {
    const map = new Generations<number>({ maxEntries: 10, maxBytes: 1_000_000 });
    map.set('kept', 1);
    for (let i = 0; i < 100; i += 1) {
      expect(map.get('kept')).toBe(1);
      map.set(`other ${i}`, i);
      expect(map.size).toBeLessThanOrEqual(10);
    }
    expect(map.get('other 0')).toBeUndefined();
    expect(map.get('other 99')).toBe(99);
  });

  it('keep nothing that is too large by itself', () => {
    const map = new Generations<number>({ maxEntries: 10, maxBytes: 10_000 });
    map.set('x'.repeat(5000), 1);
    expect([map.size, map.bytes]).toEqual([0, 0]);
  });
});
