/**
 * The parser's tree as plain data, without types: what may be in it is decided by `grammar.ts`, where an unknown node or
 * field is never taken for harmless.
 */

/** A node of the tree: its type name and its fields. */
export interface TreeNode {
  readonly type: string;
  readonly fields: Fields;
}

export type Fields = Readonly<Record<string, unknown>>;

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
