import instantiate, { type PgQueryModule } from 'libpg-query/wasm/libpg-query.js';
import { isFields, listOf, nodeOf, type TreeNode } from './tree.ts';

/**
 * The only door to libpg_query (PostgreSQL 18's grammar as WASM).
 *
 * Text is byte-as-char. libpg_query gets it as UTF-8, which turns each byte from 0x80 into two, both from 0x80: the
 * lexer sees identifiers and literals where PostgreSQL sees them, and names come back byte-as-char.
 *
 * An instance is thrown away when it may be broken. Printing the tree of some 9000 nested terms ends V8's stack; the
 * exception passes over C code that does not know of exceptions, so its stack pointer and its memory contexts stay where
 * they were. After some 25 such texts its stack has grown into its data, and from then on it fails, loops for ever, or
 * may say something wrong. So an instance that threw is never asked again: a spare one is ready, and a new spare is made
 * in the background (some 20 ms, few of them of this thread). Errors in the text are PostgreSQL's own, and no exceptions.
 */

/** Longer texts are not parsed: at this length a parse takes up to 50 ms. */
const MAX_PARSE_CHARACTERS = 32_768;

/** WASM memory never shrinks: an instance that has grown beyond this is replaced (it begins with 128 MiB, mostly untouched). */
const MAX_MEMORY_BYTES = 256 * 1024 * 1024;

/**
 * What clients send most, with all the clauses that it has. V8 compiles a WASM function when it is first called, and soon
 * again in the background, better (some 10 ms of this thread, and 150 ms of others).
 */
const WARM_UP = [
  `WITH a AS (SELECT max(x) AS m FROM s.t GROUP BY y HAVING count(*) > 1)
    SELECT DISTINCT t.*, u.c::text, CASE WHEN a.m IS NULL THEN -1.5 ELSE coalesce($1, 'x') END
    FROM t JOIN u ON t.id = u.id LEFT JOIN a USING (m)
    WHERE t.id IN (1, 2) AND NOT EXISTS (SELECT 1 FROM v WHERE v.b LIKE '%' OR v.d BETWEEN 1 AND 2)
    ORDER BY 1 DESC NULLS LAST LIMIT 10 OFFSET 5`,
  "INSERT INTO t (a, b) VALUES ($1, 'x'), (DEFAULT, now()) ON CONFLICT (a) DO UPDATE SET b = excluded.b RETURNING *",
  'UPDATE t SET a = a + 1, b = NULL WHERE id = ANY ($1) RETURNING id',
  'DELETE FROM t USING u WHERE t.id = u.id',
  "BEGIN; SET LOCAL a.b TO 'c'; SHOW d; COMMIT; ROLLBACK",
];

export type ParseOutcome =
  | { readonly kind: 'tree'; readonly statements: readonly TreeNode[] }
  /** `parser not ready` passes: the same text may parse a moment later. */
  | { readonly kind: 'failure'; readonly reason: 'text does not parse' | 'text too long to parse' | 'parser not ready' };

let current: PgQueryModule | null = null;
let spare: PgQueryModule | null = null;
let makingSpare = false;

/**
 * Makes the parser ready and warm: once per process before the first {@link parse}; harmless when repeated.
 * @throws Error when the package is not installed whole.
 */
export async function loadParser(): Promise<void> {
  current ??= takeSpare() ?? (await instantiate());
  for (const text of WARM_UP) parse(text);
  makeSpare();
}

/**
 * Parses all statements of a text. Never throws: text that PostgreSQL 18 would not parse, that is too much for the
 * parser's stack or memory, or that comes before {@link loadParser}, is a failure, and the parser goes on working.
 */
export function parse(text: string): ParseOutcome {
  if (text.length > MAX_PARSE_CHARACTERS) return failure('text too long to parse');
  // A zero byte would end the C string: what stands behind it would be executed without having been looked at.
  if (text.includes('\0')) return failure('text does not parse');
  const parser = current ?? takeSpare();
  if (parser === null) return failure('parser not ready');
  let json: string | null;
  try {
    json = treeOf(text, parser);
  } catch {
    takeSpare();
    return failure('text too long to parse');
  }
  if (parser.HEAPU8.length > MAX_MEMORY_BYTES) takeSpare();
  return json === null ? failure('text does not parse') : outcomeOf(json);
}

function failure(reason: Extract<ParseOutcome, { kind: 'failure' }>['reason']): ParseOutcome {
  return { kind: 'failure', reason };
}

/** The tree as JSON, or null for a text that PostgreSQL says is wrong. After an exception the instance is unusable. */
function treeOf(text: string, parser: PgQueryModule): string | null {
  const bytes = parser.lengthBytesUTF8(text) + 1;
  const source = parser._malloc(bytes);
  if (source === 0) throw new RangeError('no memory for the text');
  parser.stringToUTF8(text, source, bytes);
  const result = parser._wasm_parse_query_raw(source);
  if (result === 0) throw new RangeError('no memory for the tree');
  const tree = parser.getValue(result, 'i32');
  const error = parser.getValue(result + 8, 'i32');
  const json = error === 0 && tree !== 0 ? parser.UTF8ToString(tree) : null;
  parser._wasm_free_parse_result(result);
  parser._free(source);
  return json;
}

function outcomeOf(json: string): ParseOutcome {
  const result: unknown = JSON.parse(json);
  const statements: TreeNode[] = [];
  for (const raw of listOf(isFields(result) ? result.stmts : null)) {
    const node = nodeOf(isFields(raw) ? raw.stmt : null);
    if (node === null) return failure('text does not parse');
    statements.push(node);
  }
  return { kind: 'tree', statements };
}

/** Replaces the instance by the spare one, if there is one by now. */
function takeSpare(): PgQueryModule | null {
  current = spare;
  spare = null;
  makeSpare();
  return current;
}

function makeSpare(): void {
  if (makingSpare || spare !== null) return;
  makingSpare = true;
  instantiate().then(
    (instance) => {
      spare = instance;
      makingSpare = false;
    },
    () => {
      // No memory for another instance now; the next text that needs one asks again.
      makingSpare = false;
    },
  );
}
