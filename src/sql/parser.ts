import { loadModule, parseSync, SqlError } from 'libpg-query';

/**
 * The only door to libpg_query (PostgreSQL 18's grammar as WASM). Trees are handed out as plain data without types:
 * what may be in them is decided by `grammar.ts`, where an unknown node or field is never taken for harmless.
 *
 * Text is byte-as-char. libpg_query gets it as UTF-8, which turns each byte from 0x80 into two, both from 0x80: the
 * lexer sees identifiers and literals where PostgreSQL sees them, and names come back as byte-as-char.
 */

/**
 * Longer texts are not parsed. A parse takes about 1 us per character of expressions (20 ms at this length), and the
 * C stack of the WASM build ends at some 10 000 nested terms, which is beyond this length for anything people write.
 */
export const MAX_PARSE_CHARACTERS = 32_768;

/** A node of the tree: its type name and its fields. */
export interface TreeNode {
  readonly type: string;
  readonly fields: Fields;
}

export type Fields = Readonly<Record<string, unknown>>;

export type ParseOutcome =
  | { readonly kind: 'tree'; readonly statements: readonly TreeNode[] }
  | { readonly kind: 'failure'; readonly reason: 'text does not parse' | 'text too long to parse' };

let loaded = false;

/** Compiles the WASM module; once per process, before the first {@link parse}. */
export async function loadParser(): Promise<void> {
  await loadModule();
  loaded = true;
}

/**
 * Parses all statements of a text. Never throws: text that PostgreSQL 18 would not parse, that exhausts the parser's
 * stack or memory, or that comes before {@link loadParser}, is a failure, and the parser goes on working.
 */
export function parse(text: string): ParseOutcome {
  if (text.length > MAX_PARSE_CHARACTERS) return { kind: 'failure', reason: 'text too long to parse' };
  // A zero byte would end the C string: what stands behind it would be executed without having been looked at.
  if (!loaded || text.includes('\0')) return { kind: 'failure', reason: 'text does not parse' };
  if (text === '') return { kind: 'tree', statements: [] };
  try {
    const statements: TreeNode[] = [];
    for (const raw of parseSync(text).stmts ?? []) {
      const node = nodeOf(raw.stmt);
      if (node === null) return { kind: 'failure', reason: 'text does not parse' };
      statements.push(node);
    }
    return { kind: 'tree', statements };
  } catch (error) {
    // Not an SqlError: the stack of the parser, of its JSON output, or of JSON.parse ended (RangeError, "memory exhausted").
    return { kind: 'failure', reason: error instanceof SqlError ? 'text does not parse' : 'text too long to parse' };
  }
}

/** The node inside libpg_query's wrapping `{ "TypeName": { fields } }`, or null where there is none. */
export function nodeOf(value: unknown): TreeNode | null {
  if (!isFields(value)) return null;
  const keys = Object.keys(value);
  const type = keys[0];
  if (type === undefined || keys.length !== 1) return null;
  const fields = value[type];
  return isFields(fields) ? { type, fields } : null;
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field that is a string; protobuf leaves out empty ones. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** A field that is a list of nodes; protobuf leaves out empty ones. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The text of a wrapped `String` node, or null for any other node. */
export function stringOf(value: unknown): string | null {
  const node = nodeOf(value);
  return node?.type === 'String' ? textOf(node.fields.sval) : null;
}
