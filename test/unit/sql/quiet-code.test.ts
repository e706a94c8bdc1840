import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isQuiet } from '../../../src/sql/quiet-code.ts';
import { READ, VOLATILE } from '../../../src/sql/verdict.ts';

const surroundings = {
  fields: new Set(['shout']),
  userFunction: ({ name }: { name: string }) => (name === 'slug' ? READ : name === 'note' || name === 'round' ? VOLATILE : null),
};
const isQuietSource = (source: string, language = 'plpgsql') => isQuiet({ language, source }, surroundings);

describe('a trigger function', () => {
  it.each([
    'BEGIN NEW.updated_at = now(); RETURN NEW; END',
    'BEGIN NEW.updated_at := CURRENT_TIMESTAMP; RETURN NEW; END;',
    "begin\n  -- update the search column\n  new.search := to_tsvector('english', coalesce(new.title, '') || ' ' || new.body);\n  return new;\nend",
    "BEGIN IF (TG_OP = 'UPDATE' AND NEW IS DISTINCT FROM OLD) THEN NEW.version := OLD.version + 1; END IF; RETURN NEW; END",
    'DECLARE n int := 0; BEGIN FOR i IN 1..10 LOOP n := n + i; END LOOP; RETURN NEW; END',
    "BEGIN IF NEW.total < 0 THEN RAISE EXCEPTION 'negative: % (select)', NEW.total; END IF; RETURN NEW; END",
    'BEGIN NEW.id := gen_random_uuid(); RETURN NEW; END',
    "BEGIN NEW.id := nextval('ticket'); RETURN NEW; END",
    'BEGIN NEW.slug := slug(NEW.title); RETURN NEW; END',
    'BEGIN NEW.a := pg_catalog.lower(NEW.comment); RETURN NULL; END',
    'BEGIN /* PERFORM x() */ RETURN NEW; END',
    'BEGIN RETURN NEW; EXCEPTION WHEN others THEN RETURN NULL; END',
    'BEGIN NEW."Weird Name" = 1; RETURN NEW; END',
  ])('is quiet: %s', (source) => {
    expect(isQuietSource(source)).toBe(true);
  });

  it.each([
    "BEGIN PERFORM set_config('a.b', 'c', false); RETURN NEW; END",
    "BEGIN NEW.a := set_config('a.b', 'c', false); RETURN NEW; END",
    'BEGIN NEW.a := pg_catalog.set_config($$a$$, $$b$$, false); RETURN NEW; END',
    'BEGIN INSERT INTO audit VALUES (NEW.id); RETURN NEW; END',
    'BEGIN SELECT 1 INTO NEW.a; RETURN NEW; END',
    'BEGIN NEW.a := (SELECT note()); RETURN NEW; END',
    'BEGIN NEW.a := note(); RETURN NEW; END',
    'BEGIN NEW.a := note (); RETURN NEW; END',
    'BEGIN NEW.a := note/**/(); RETURN NEW; END',
    'BEGIN NEW.a := note -- (\n (); RETURN NEW; END',
    'BEGIN NEW.a := app.slug(1); RETURN NEW; END',
    'BEGIN NEW.a := "note"(); RETURN NEW; END',
    'BEGIN NEW.a := "note" (1); RETURN NEW; END',
    'BEGIN NEW.a := unheard_of(1); RETURN NEW; END',
    'BEGIN NEW.a := round(1.5); RETURN NEW; END',
    'BEGIN NEW.a := NEW.shout; RETURN NEW; END',
    'BEGIN NEW.a := pg_try_advisory_lock(1); RETURN NEW; END',
    'BEGIN EXECUTE TG_ARGV[0]; RETURN NEW; END',
    'BEGIN SET LOCAL work_mem = 1; RETURN NEW; END',
    'BEGIN CREATE TEMP TABLE IF NOT EXISTS t (a int); RETURN NEW; END',
    'BEGIN CALL p(); RETURN NEW; END',
    "BEGIN NEW.a := E'\\''; RETURN NEW; END",
    "BEGIN NEW.a := '\\'; PERFORM note(); --'; RETURN NEW; END",
    "BEGIN NEW.a := 'unterminated; RETURN NEW; END",
    'BEGIN /* unterminated',
    'BEGIN RETURN QUERY TABLE t; END',
  ])('is not: %s', (source) => {
    expect(isQuietSource(source)).toBe(false);
  });

  it('in any other language is not quiet', () => {
    for (const language of ['sql', 'c', 'internal', 'plpython3u', 'plv8'])
      expect(isQuietSource('BEGIN RETURN NEW; END', language)).toBe(false);
  });

  it('is looked at whatever its source', () => {
    fc.assert(fc.property(fc.string(), (source) => typeof isQuietSource(source) === 'boolean'));
    const start = performance.now();
    isQuietSource('a '.repeat(200_000));
    isQuietSource(`x${' '.repeat(200_000)}`.repeat(2));
    expect(performance.now() - start).toBeLessThan(1000);
  });
});
