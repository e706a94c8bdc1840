import assert from 'node:assert/strict';
import { beforeAll, describe, expect, test } from 'vitest';
import { type KeyTest, liftedValues, templateOf } from '../../../src/sql/lifting.ts';
import { loadParser } from '../../../src/sql/parser.ts';

beforeAll(loadParser);

/** Of the tables `t` and `s.t`: their key is `id`. */
const isKey: KeyTest = ({ name }, columns) => name === 't' && columns.has('id');

describe('what is lifted', () => {
  test.each([
    ['a key', 'SELECT a FROM t WHERE id = 7;', 'SELECT a FROM t WHERE id = $1;', ['7']],
    ['in front of the column', 'SELECT a FROM s.t AS u WHERE 7 = u.id', 'SELECT a FROM s.t AS u WHERE $1 = u.id', ['7']],
    [
      'all that a row must be equal to, in their order',
      'SELECT a FROM t WHERE b=7 AND (id = 0 AND d = 2147483647) LIMIT 5',
      'SELECT a FROM t WHERE b=$1 AND (id = $2 AND d = $3) LIMIT 5',
      ['7', '0', '2147483647'],
    ],
    [
      'behind characters of more than one byte',
      'SELECT "\xc3\xbc" FROM t WHERE id = 7',
      'SELECT "\xc3\xbc" FROM t WHERE id = $1',
      ['7'],
    ],
    [
      'beside functions that are what they are',
      'SELECT count(a), now() FROM t WHERE id = 7',
      'SELECT count(a), now() FROM t WHERE id = $1',
      ['7'],
    ],
    [
      'beside what stays',
      'SELECT 1, a FROM t WHERE id = 7 AND c < 7 AND d IN (1, 2) AND (e = 1 OR f = 2) GROUP BY 1 ORDER BY 1 LIMIT 1',
      'SELECT 1, a FROM t WHERE id = $1 AND c < 7 AND d IN (1, 2) AND (e = 1 OR f = 2) GROUP BY 1 ORDER BY 1 LIMIT 1',
      ['7'],
    ],
  ])('%s', (_what, text, lifted, values) => {
    const template = templateOf(text, isKey);
    expect(template?.text).toBe(lifted);
    expect(template === null ? null : liftedValues(template, text)).toEqual(values);
  });

  test.each([
    ['what is no key', 'SELECT a FROM t WHERE b = 7'],
    ['a key that need not hold', 'SELECT a FROM t WHERE id = 7 OR b = 7'],
    ['a key that must not', 'SELECT a FROM t WHERE NOT (id = 7)'],
    ['a key in a query inside', 'SELECT a FROM t WHERE EXISTS (SELECT FROM t WHERE id = 7)'],
    ['a query beside', 'SELECT (SELECT b FROM u LIMIT 1) FROM t WHERE id = 7'],
    ['two tables', 'SELECT a FROM t, u WHERE id = 7'],
    ['a join', 'SELECT a FROM t JOIN u USING (id) WHERE id = 7'],
    ['another table', 'SELECT a FROM u WHERE id = 7'],
    ['no table', 'SELECT 7'],
    ['columns under other names', 'SELECT a FROM t AS u (x, id) WHERE id = 7'],
    ['another operator', 'SELECT a FROM t WHERE id OPERATOR(pg_catalog.=) 7'],
    ['a larger number', 'SELECT a FROM t WHERE id = 2147483648'],
    ['a number with a sign', 'SELECT a FROM t WHERE id = -7'],
    ['another notation', 'SELECT a FROM t WHERE id = 0x7'],
    ['digits in groups', 'SELECT a FROM t WHERE id = 1_000'],
    ['a number of another type', 'SELECT a FROM t WHERE id = 7::int8'],
    ['a text with a parameter', 'SELECT a FROM t WHERE id = $1 AND b = 7'],
    ['dollar quotes', 'SELECT a FROM t WHERE id = 7 AND b = $$x$$'],
    ['set operations', 'SELECT a FROM t WHERE id = 7 UNION SELECT 1'],
    ['several statements', 'SELECT a FROM t WHERE id = 7; SELECT 1'],
    ['anything but a SELECT', 'DELETE FROM t WHERE id = 7'],
    ['what does not parse', 'SELECT a FROM t WHERE id = 7 AND'],
    ['more integers than a bound', `SELECT a FROM t WHERE ${Array(33).fill('id = 7').join(' AND ')}`],
    ['strings, which PostgreSQL may read by the clock or the session', "SELECT a FROM t WHERE id = 7 AND c < 'today'"],
    ['typed ones', "SELECT a FROM t WHERE id = 7 AND c < date '1.2.2026'"],
    ['those deep inside', "SELECT CASE WHEN a THEN coalesce('now', c) END FROM t WHERE id = 7"],
    ['bit strings', "SELECT a FROM t WHERE id = 7 AND c = B'1'"],
    ['functions that may be called when it is planned', 'SELECT a FROM t WHERE id = 7 AND c = tenant()'],
    ['qualified ones', 'SELECT a FROM t WHERE id = 7 AND c = app.lower(d)'],
  ])('not %s', (_what, text) => {
    expect(templateOf(text, isKey)).toBe(null);
  });
});

describe('what fits a template', () => {
  function values(text: string): string[] | null {
    const template = templateOf('SELECT a FROM t WHERE id = 7 AND n = 7 LIMIT 5', isKey);
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
