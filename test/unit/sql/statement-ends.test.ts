import { expect, test } from 'vitest';
import { statementEnd } from '../../../src/sql/statement-ends.ts';

test.each<[text: string, count: number, first: string | null]>([
  ['ROLLBACK; DELETE FROM t', 1, 'ROLLBACK;'],
  ['SELECT 1; COMMIT ; SELECT 2', 2, 'SELECT 1; COMMIT ;'],
  [' ; ;/* nothing; */; COMMIT;', 1, ' ; ;/* nothing; */; COMMIT;'],
  [
    `SELECT 'a;''b', E'\\';', "x;y", $$;$$, $a$;$$;$a$ -- ;\n, $1; COMMIT`,
    1,
    `SELECT 'a;''b', E'\\';', "x;y", $$;$$, $a$;$$;$a$ -- ;\n, $1;`,
  ],
  ['SELECT 1 - 2 / 3; COMMIT', 1, 'SELECT 1 - 2 / 3;'],
  ['COMMIT', 1, null],
  ['SELECT 1; COMMIT', 2, null],
  ["SELECT 'open; COMMIT", 1, null],
  ['', 1, null],
])('%j ends its statement %d with %j', (text, count, first) => {
  const end = statementEnd(text, count);
  expect(end < 0 ? null : text.slice(0, end)).toBe(first);
});
