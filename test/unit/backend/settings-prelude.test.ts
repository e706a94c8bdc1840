import { describe, expect, test } from 'vitest';
import { quoteLiteral, settingsPrelude } from '../../../src/backend/settings-prelude.ts';
import { SettingsSet } from '../../../src/util/settings-set.ts';

const of = (entries: Record<string, string>) => SettingsSet.of(new Map(Object.entries(entries)));
const BEGIN = 'BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;';

describe('the way from one set of settings to another', () => {
  test.each<[what: string, from: Record<string, string>, to: Record<string, string>, between: string]>([
    ['sets what is new', {}, { a: '1' }, "SELECT pg_catalog.set_config(E'a', E'1', false);"],
    [
      'sets what differs, and leaves what does not',
      { a: '1', b: '2' },
      { a: '1', b: '3' },
      "SELECT pg_catalog.set_config(E'b', E'3', false);",
    ],
    [
      'sets the encoding first, and spells out in bytes what is not ASCII',
      {},
      { a: 'z\xe4h', client_encoding: 'LATIN1' },
      "SELECT pg_catalog.set_config(E'client_encoding', E'LATIN1', false);SELECT pg_catalog.set_config(E'a', pg_catalog.convert_from(pg_catalog.decode('7ae468', 'hex'), pg_catalog.current_setting('client_encoding')), false);",
    ],
    ['resets what is no more', { 'a.b': '1' }, {}, 'RESET "a"."b";'],
    ['quotes names', { 'a"b': '1' }, {}, 'RESET "a""b";'],
    ['takes a role off before everything else', { role: 'x', a: '1' }, {}, 'RESET ROLE;RESET "a";'],
    [
      'puts a role on after everything else',
      {},
      { a: '1', role: 'x' },
      "SELECT pg_catalog.set_config(E'a', E'1', false);SELECT pg_catalog.set_config('role', E'x', false);",
    ],
    [
      'changes settings as the user that logged in',
      { role: 'x', a: '1' },
      { role: 'x', a: '2' },
      "RESET ROLE;SELECT pg_catalog.set_config(E'a', E'2', false);SELECT pg_catalog.set_config('role', E'x', false);",
    ],
    [
      'becomes another user before it takes a role',
      {},
      { session_authorization: 'u', role: 'x' },
      "SET SESSION AUTHORIZATION E'u';SELECT pg_catalog.set_config('role', E'x', false);",
    ],
    [
      'leaves a role before it leaves a user',
      { session_authorization: 'u', role: 'x' },
      {},
      'RESET ROLE;RESET SESSION AUTHORIZATION;',
    ],
  ])('%s', (_what, from, to, between) => {
    expect([...settingsPrelude(of(from), of(to)), ''].join(';')).toBe(`${BEGIN}${between}`);
  });
});

test.each([
  ["it's", "E'it''s'"],
  ['a\\b', "E'a\\\\b'"],
  ["\\'; DROP TABLE x; --", "E'\\\\''; DROP TABLE x; --'"],
])('the literal of %s means itself', (value, literal) => {
  expect(quoteLiteral(value)).toBe(literal);
});
