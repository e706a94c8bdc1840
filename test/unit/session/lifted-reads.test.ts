import { beforeAll, expect, test } from 'vitest';
import { LiftedReads } from '../../../src/session/lifted-reads.ts';
import { StatementRegistry } from '../../../src/session/prepared-statements.ts';
import { type Catalog, unloadedCatalog } from '../../../src/sql/catalog.ts';
import { loadParser } from '../../../src/sql/parser.ts';
import { facts } from '../routing/fixtures.ts';

beforeAll(loadParser);

const catalog: Catalog = { ...unloadedCatalog, isKey: () => true };
const read = (n: number) => `SELECT a FROM t WHERE id = ${n}`;

test('texts of one shape are one statement, with the types of the literals', () => {
  const lifts = new LiftedReads(new StatementRegistry(10_000));
  const shape = facts();
  const [first, second] = [lifts.lift(shape, read(7), catalog), lifts.lift(shape, read(8), catalog)];
  expect(second?.statement).toBe(first?.statement);
  expect(first?.statement.text).toBe('SELECT a FROM t WHERE id = $1');
  expect(first?.statement.types.toString('hex')).toBe('000100000017');
});

test('one that does not fit is sent as it is, and the others go on', () => {
  const lifts = new LiftedReads(new StatementRegistry(10_000));
  const shape = facts();
  lifts.lift(shape, read(7), catalog);
  expect(lifts.lift(shape, `${read(7)} `, catalog)).toBe(null);
  expect(lifts.lift(shape, read(8), catalog)).not.toBe(null);
});

test('a shape that is right only as its client writes it is left alone, and its statement forgotten', () => {
  const registry = new StatementRegistry(10_000);
  const lifts = new LiftedReads(registry);
  const [shape, other] = [facts(), facts()];
  lifts.lift(shape, read(7), catalog);
  lifts.lift(other, 'SELECT b FROM t WHERE id = 7', catalog);
  expect(registry.size).toBe(2);
  lifts.leave(shape);
  expect(registry.size).toBe(1);
  expect(lifts.lift(shape, read(8), catalog)).toBe(null);
  expect(lifts.lift(other, 'SELECT b FROM t WHERE id = 8', catalog)).not.toBe(null);
});

test('of the memory for statements, half is left to the clients', () => {
  const registry = new StatementRegistry(1000);
  const lifts = new LiftedReads(registry);
  expect(lifts.lift(facts(), read(7), catalog)).not.toBe(null);
  expect(lifts.lift(facts(), read(7), catalog)).toBe(null);
  expect(registry.bytes).toBeLessThanOrEqual(500);
});

test('a statement is of one version of the catalog, and no client has it', () => {
  const registry = new StatementRegistry(10_000);
  const lifts = new LiftedReads(registry);
  const [before, after] = [lifts.lift(facts(), read(7), catalog), lifts.lift(facts(), read(7), catalog)];
  const types = before?.statement.types ?? Buffer.alloc(2);
  const ofClient = registry.acquire('SELECT a FROM t WHERE id = $1', types);
  expect(new Set([before?.statement.id, after?.statement.id, ofClient.id]).size).toBe(3);
});

test('a first text that is not like the others does not stay the template', () => {
  const lifts = new LiftedReads(new StatementRegistry(10_000));
  const shape = facts();
  expect(lifts.lift(shape, read(7), catalog)).not.toBe(null);
  const others = Array.from({ length: 20 }, (_, n) => lifts.lift(shape, `${read(n)} `, catalog) !== null);
  expect(others).toEqual([...Array(16).fill(false), ...Array(4).fill(true)]);
});

test('so many are held and no more', () => {
  const registry = new StatementRegistry(10_000_000);
  const lifts = new LiftedReads(registry);
  for (let n = 0; n < 2100; n++) lifts.lift(facts(), `SELECT a${n} FROM t WHERE id = 7`, catalog);
  expect(registry.size).toBe(2000);
});
