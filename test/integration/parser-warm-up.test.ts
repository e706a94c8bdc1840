import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

const PARSER = new URL('../../src/sql/parser.ts', import.meta.url).href;

/** Of the kinds that clients send most. */
const STATEMENTS = [
  'SELECT 1',
  'SELECT name FROM users WHERE id = 7',
  "SELECT u.id, count(*) FROM users u JOIN orders o ON o.user_id = u.id WHERE o.state = 'paid' GROUP BY u.id ORDER BY 2 LIMIT 5",
  "INSERT INTO users (name) VALUES ('x') RETURNING id",
  'UPDATE users SET name = $1 WHERE id = $2',
  'DELETE FROM users WHERE id = 9',
  'BEGIN',
  'SET search_path TO app',
  'COMMIT',
];

test('what the first clients send finds the parser compiled', () => {
  const before = compiledFunctions([]);
  expect(before.size).toBeGreaterThan(100);
  expect(compiledFunctions(STATEMENTS).difference(before)).toEqual(new Set());
});

/** Functions of the parser that V8 has compiled in a process that loaded it and then parsed `texts`, by number. */
function compiledFunctions(texts: readonly string[]): Set<string> {
  const script = `import { loadParser, parse } from ${JSON.stringify(PARSER)};
    await loadParser();
    for (const text of ${JSON.stringify(texts)}) if (parse(text).kind !== 'tree') throw new Error(text);`;
  const args = ['--trace-wasm-compilation-times', '--input-type=module', '--eval', script];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  // V8's first tier compiles a function when it is first called.
  return new Set([...stdout.matchAll(/#(\d+) using Liftoff/g)].map(([, number = '']) => number));
}
