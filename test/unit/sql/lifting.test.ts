import assert from 'node:assert/strict';
import { beforeAll, describe, expect, test } from 'vitest';
import { liftedValues, templateOf } from '../../../src/sql/lifting.ts';
import { loadParser } from '../../../src/sql/parser.ts';

beforeAll(loadParser);

describe('what is lifted', () => {
  test.each([
    ['an integer', 'SELECT a FROM t WHERE id = 7;', 'SELECT a FROM t WHERE id = $1;', ['7']],
    ['what stands in front of the column', 'SELECT a FROM t WHERE 7 = t.id', 'SELECT a FROM t WHERE $1 = t.id', ['7']],
    [
      'each of several, in their order',
      'SELECT a FROM t WHERE (b=7 OR NOT c = 0) AND d = 2147483647 LIMIT 5',
      'SELECT a FROM t WHERE (b=$1 OR NOT c = $2) AND d = $3 LIMIT 5',
      ['7', '0', '2147483647'],
    ],
    [
      'behind characters of more than one byte',
      'SELECT "\xc3\xbc" FROM t WHERE a = 7',
      'SELECT "\xc3\xbc" FROM t WHERE a = $1',
      ['7'],
    ],
    ['nothing, where there is nothing to lift', 'SELECT a FROM t', 'SELECT a FROM t', []],
    [
      'beside functions that are what they are',
      'SELECT count(a), now() FROM t WHERE a = 7',
      'SELECT count(a), now() FROM t WHERE a = $1',
      ['7'],
    ],
  ])('%s', (_what, text, lifted, values) => {
    const template = templateOf(text);
    expect(template?.text).toBe(lifted);
    expect(template === null ? null : liftedValues(template, text)).toEqual(values);
  });

  test.each([
    ['what a parameter would change', 'SELECT 1, a FROM t GROUP BY 1 ORDER BY 1 LIMIT 1 OFFSET 1'],
    ['what the planner looks at', 'SELECT a FROM t WHERE c < 7 AND d BETWEEN 1 AND 2 AND e IN (1, 2) AND f <> 1'],
    ['literals of another type', 'SELECT a FROM t WHERE b = 7.5 AND c = 7::int8 AND e = 2147483648 AND f = true'],
    ['integers with a sign, or in another notation', 'SELECT a FROM t WHERE b = -7 AND c = +7 AND d = 0x7 AND e = 1_000'],
    ['what no column is compared with', 'SELECT a FROM t WHERE 7 = 7 AND b + 1 = 7'],
    ['what is compared by another operator', 'SELECT a FROM t WHERE a OPERATOR(pg_catalog.=) 7'],
    [
      'conditions of queries inside',
      'SELECT (SELECT b FROM u WHERE c = 7) FROM t JOIN u ON u.d = 7 WHERE EXISTS (SELECT FROM u WHERE e = 7)',
    ],
  ])('not %s', (_what, text) => {
    expect(templateOf(text)?.text).toBe(text);
  });

  test.each([
    ['a text with a parameter', 'SELECT a FROM t WHERE id = $1 AND b = 7'],
    ['dollar quotes', 'SELECT a FROM t WHERE b = $$x$$'],
    ['set operations', 'SELECT a FROM t WHERE b = 7 UNION SELECT 1'],
    ['several statements', 'SELECT a FROM t WHERE b = 7; SELECT 1'],
    ['anything but a SELECT', 'DELETE FROM t WHERE b = 7'],
    ['what does not parse', 'SELECT a FROM t WHERE b = 7 AND'],
    ['more integers than a bound', `SELECT a FROM t WHERE ${Array(33).fill('b = 7').join(' OR ')}`],
    ['strings, which PostgreSQL may read by the clock or the session', "SELECT a FROM t WHERE b = 7 AND c < 'today'"],
    ['typed ones', "SELECT a FROM t WHERE b = 7 AND c < date '1.2.2026'"],
    ['those deep inside', "SELECT a FROM t WHERE b = 7 AND EXISTS (SELECT coalesce('now', c) FROM u)"],
    ['bit strings', "SELECT a FROM t WHERE b = 7 AND c = B'1'"],
    ['functions that may be called when it is planned', 'SELECT a FROM t WHERE b = 7 AND c = tenant()'],
    ['qualified ones', 'SELECT a FROM t WHERE b = 7 AND c = app.lower(d)'],
  ])('there is no template of %s', (_what, text) => {
    expect(templateOf(text)).toBe(null);
  });
});

describe('what fits a template', () => {
  function values(text: string): string[] | null {
    const template = templateOf('SELECT a FROM t WHERE id = 7 AND n = 7 LIMIT 5');
    assert(template !== null, 'there is a template');
    return liftedValues(template, text);
  }

  test.each([
    ['SELECT a FROM t WHERE id = 8 AND n = 0 LIMIT 5', ['8', '0']],
    ['SELECT a FROM t WHERE id = 007 AND n = 2147483647 LIMIT 5', ['007', '2147483647']],
  ])('%s', (text, expected) => {
    expect(values(text)).toEqual(expected);
  });

  test.each([
    ['another literal that stays', 'SELECT a FROM t WHERE id = 8 AND n = 7 LIMIT 6'],
    ['an integer that is too large', 'SELECT a FROM t WHERE id = 2147483648 AND n = 7 LIMIT 5'],
    ['one far too large', 'SELECT a FROM t WHERE id = 10000000000 AND n = 7 LIMIT 5'],
    ['another kind of literal', "SELECT a FROM t WHERE id = '8' AND n = 7 LIMIT 5"],
    ['another kind of number', 'SELECT a FROM t WHERE id = 8.5 AND n = 7 LIMIT 5'],
    ['an exponent', 'SELECT a FROM t WHERE id = 8 AND n = 7e1 LIMIT 5'],
    ['a sign', 'SELECT a FROM t WHERE id = -8 AND n = 7 LIMIT 5'],
    ['no literal', 'SELECT a FROM t WHERE id =  AND n = 7 LIMIT 5'],
    ['another blank', 'SELECT a FROM t WHERE id = 8  AND n = 7 LIMIT 5'],
    ['a comment', '/* 1 */ SELECT a FROM t WHERE id = 8 AND n = 7 LIMIT 5'],
    ['more behind it', 'SELECT a FROM t WHERE id = 8 AND n = 7 LIMIT 5 '],
    ['its beginning', 'SELECT a FROM t WHERE id = 8'],
  ])('not %s', (_what, text) => {
    expect(values(text)).toBe(null);
  });
});
