import { describe, expect, test } from 'vitest';
import { readSettingCode } from '../../../src/sql/setting-code.ts';
import { combinedNames, SettingMentions } from '../../../src/sql/setting-names.ts';

function said(text: string): SettingMentions {
  const mentions = new SettingMentions();
  mentions.read(text);
  return mentions;
}

describe('names of settings in a text', () => {
  test.each([
    ["SELECT set_config('App.Tenant', $1, false)", ['app.tenant']],
    ["SELECT f(E'app.tenant', 'x')", ['app.tenant']],
    ['SET app.tenant = 1; SET SESSION "app" . b.c TO 2', ['app.tenant', 'app.b.c']],
    ["DO $$ BEGIN EXECUTE 'SELECT set_config(''app.inner'', ''x'', false)'; END $$", ['app.inner']],
    ['DO LANGUAGE plpgsql $code$ BEGIN PERFORM f($x$app.deep$x$); END $code$', ['app.deep']],
    ["SELECT 'no name.', 'a b.c', '1.5', 'x.', 'file.txt, and more'", []],
    ["SELECT 1 -- 'app.comment'\n/* 'app.other' */", []],
  ])('%s', (text, names) => {
    expect([...said(text).names]).toEqual(names);
  });

  test('may be made of a beginning and a word', () => {
    const { prefixes, words } = said("SELECT 'app.' || $1, 'app.user_' || name, format('my.%s', k), 'tenant', 'two words'");
    expect([...prefixes]).toEqual(['app.', 'app.user_', 'my.']);
    expect([...combinedNames(['app.', 'my.'], words)]).toEqual(['app.tenant', 'my.tenant']);
  });

  test.each([
    ["SELECT set_config('app.a', $1, false)", false],
    ["SELECT set_config('app.a'::text, x, false), pg_catalog.set_config('b', 'c', f(1, 2))", false],
    ["SELECT set_config(setting_name => 'app.a', new_value => 'x', is_local => false)", false],
    ["SELECT set_config(name, value, true), set_config('a' || b, 'c', 't')", false],
    ["SELECT 'set it', 'SET app.a = 1', 'SET LOCAL x = 1'", false],
    ["DO $$ BEGIN EXECUTE 'SET app.a = 1'; EXECUTE 'UPDATE t SET ' || list; END $$", false],
    ['SELECT set_config(name, value, false)', true],
    ["SELECT set_config('app.' || $1, $2, $3)", true],
    ["DO $$ BEGIN EXECUTE 'SET ' || name || ' = 1'; END $$", true],
    ["DO $$ BEGIN EXECUTE format('SET SESSION %I = %L', name, value); END $$", true],
    ["DO $$ BEGIN EXECUTE 'SELECT set_config(' || quote_literal(name) || ', 1, false)'; END $$", true],
  ])('%s makes names up: %s', (text, makesNames) => {
    expect(said(text).makesNames).toBe(makesNames);
  });
});

describe('the code of a database', () => {
  test('that makes names up is whatever calls it, and what runs that', () => {
    const code = readSettingCode([
      ['put', "BEGIN PERFORM set_config('app.' || name, value, false); END", ''],
      ['login', "BEGIN PERFORM put('user', name); END", ''],
      ['on_write', 'BEGIN PERFORM login(NEW.name); END', 'users\nguests'],
      ['fixed', "BEGIN PERFORM set_config('fixed.one', 'x', false); END", ''],
      ['too_long', null, ''],
    ]);
    expect(code?.complete).toBe(true);
    expect([...(code?.names ?? [])]).toEqual(['fixed.one']);
    expect([...(code?.makers ?? [])].map(([name, made]) => [name, [...made]])).toEqual([
      ['put', []],
      ['login', ['app.user']],
      ['on_write', ['app.user']],
      ['users', ['app.user']],
      ['guests', ['app.user']],
      ['too_long', []],
    ]);
  });

  test('is not taken for known when there is more of it than is kept', () => {
    const rows = Array.from({ length: 300 }, (_, n) => [`f${n}`, `BEGIN SET app.x${n} = 1; END`, '']);
    const code = readSettingCode(rows);
    expect(code?.complete).toBe(false);
    expect(code?.names.size).toBe(256);
  });

  test.each([[[['f', 'source']]], [[[null, 'source', '']]], [[['f', 'source', null]]]])(
    'is not what answers otherwise: %j',
    (rows) => {
      expect(readSettingCode(rows)).toBeNull();
    },
  );
});
