import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { unloadedCatalog } from '../../../src/sql/catalog.ts';
import type { Hint } from '../../../src/sql/facts.ts';
import { parseHint } from '../../../src/sql/hints.ts';
import { loadParser } from '../../../src/sql/parser.ts';
import { StatementCache } from '../../../src/sql/statement-cache.ts';

describe('a hint', () => {
  beforeAll(loadParser);

  it.each<readonly [string, Hint | null]>([
    [' pgweir: route=primary ', { route: 'primary' }],
    ['pgweir:route=replica', { route: 'replica' }],
    ['PGWEIR: Route = Primary', { route: 'primary' }],
    [' pgweir: route=primary, max_staleness=5s', { route: 'primary', maxStalenessMs: 5000 }],
    [' pgweir: max_staleness=250 route=replica', { route: 'replica', maxStalenessMs: 250 }],
    [' pgweir: max_staleness=0', { maxStalenessMs: 0 }],
    [' pgweir: max_staleness=1500us', { maxStalenessMs: 1.5 }],
    [' pgweir: max_staleness=2min', { maxStalenessMs: 120_000 }],
    [' pgweir: max_staleness=1h', { maxStalenessMs: 3_600_000 }],
    [' pgweir: route=elsewhere', null],
    [' pgweir: max_staleness=-1', null],
    [' pgweir: max_staleness=soon, route=primary', { route: 'primary' }],
    [' pgweir: unknown=1, route=primary', { route: 'primary' }],
    [' pgweir:', null],
    [' pgweir route=primary', null],
    [' about pgweir: route=primary', null],
    [' route=primary', null],
  ])('from /*%s*/ is %j', (comment, hint) => {
    expect(parseHint(comment)).toEqual(hint);
  });

  it('never fails, whatever a comment holds', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseHint(`pgweir: ${text}`);
      }),
    );
  });

  it.each<readonly [string, Hint | null]>([
    ['/* pgweir: route=primary */ SELECT 1', { route: 'primary' }],
    ['SELECT 1 -- pgweir: route=primary', { route: 'primary' }],
    ['SELECT /* pgweir: route=replica */ 1', { route: 'replica' }],
    ['SELECT 1 /* pgweir: route=replica */ /* pgweir: route=primary */', { route: 'primary' }],
    [
      '/* pgweir: max_staleness=5s */ SELECT 1 /* pgweir: max_staleness=1s, route=replica */',
      { route: 'replica', maxStalenessMs: 1000 },
    ],
    ["SELECT '/* pgweir: route=primary */'", null],
    ['SELECT "/* pgweir: route=primary */"', null],
    ['SELECT $$/* pgweir: route=primary */$$', null],
    ['SELECT 1 /* no hint */', null],
    ['/* pgweir: route=primary */ SELEC', { route: 'primary' }],
    ["/* pgweir: route=primary */ SET a.b = 'c'", { route: 'primary' }],
    ['/* pgweir: route=primary', null],
  ])('of the text %j is %j', (text, hint) => {
    expect(new StatementCache().facts(text, unloadedCatalog, 'standard').hint).toEqual(hint);
  });

  it('makes no other statement of the text it stands in', () => {
    const cache = new StatementCache();
    expect(cache.facts('/* pgweir: route=primary */ SELECT 1', unloadedCatalog, 'standard').hint).toEqual({ route: 'primary' });
    expect(cache.facts('/* other */ SELECT 1', unloadedCatalog, 'standard').hint).toBeNull();
    expect(cache.facts('/* pgweir: route=replica */ DELETE FROM t', unloadedCatalog, 'standard').effect).toBe('write');
  });
});
