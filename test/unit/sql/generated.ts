import type { CatalogRows } from '../../../src/sql/catalog-queries.ts';

/** Files that are made from a running PostgreSQL 18, compared with it by test/integration/classification.test.ts. */

type Query = (sql: string) => Promise<readonly Readonly<Record<string, unknown>>[]>;

const WIDTH = 127;

/** The text of src/sql/builtins.ts. Objects from OID 16384 on came after initdb. */
export async function builtinsModule(query: Query): Promise<string> {
  const functions = (volatile: boolean): string => `
    SELECT proname AS name FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND oid < 16384
    GROUP BY 1 HAVING bool_or(provolatile = 'v') = ${volatile} ORDER BY 1`;
  const relations = `
    SELECT relname AS name FROM pg_class
    WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v') AND oid < 16384 ORDER BY 1`;
  return `/**
 * Generated from PostgreSQL 18 by test/integration/classification.test.ts (\`vitest run --project integration -u\`); do not
 * edit. What the names mean for routing is decided by hand in \`functions.ts\` and \`system-relations.ts\`.
 */

/** Functions of pg_catalog of which no overload is volatile. */
export const NON_VOLATILE_FUNCTIONS = \`
${wrapped(await query(functions(false)))}
\`;

/** Functions of pg_catalog of which an overload is volatile. */
export const VOLATILE_FUNCTIONS = \`
${wrapped(await query(functions(true)))}
\`;

/** Tables and views of pg_catalog. */
export const SYSTEM_RELATIONS = \`
${wrapped(await query(relations))}
\`;
`;
}

function wrapped(rows: readonly Readonly<Record<string, unknown>>[]): string {
  const lines = [''];
  for (const name of rows.map((row) => String(row.name)).sort()) {
    const line = lines[lines.length - 1] ?? '';
    if (line.length + 1 + name.length > WIDTH) lines.push(`  ${name}`);
    else lines[lines.length - 1] = line === '' ? `  ${name}` : `${line} ${name}`;
  }
  return lines.join('\n');
}

/** The rows with names in the place of OIDs, so that they are the same for every database with the same objects. */
export function catalogFixture(rows: CatalogRows): string {
  const names = new Map(rows.relations.map((row) => [row.oid, `${row.schema}.${row.name}`]));
  const nameOf = (oid: string): string => names.get(oid) ?? oid;
  const uses = rows.relationUses.map((row) => ({ ...row, upper: nameOf(row.upper), lower: nameOf(row.lower) }));
  const used = new Set(uses.flatMap((row) => [row.upper, row.lower]));
  const relations = rows.relations
    .map((row) => ({ ...row, oid: nameOf(row.oid) }))
    .filter((row) => (row.schema !== 'pg_catalog' && row.schema !== 'information_schema') || used.has(row.oid));
  const fixture: CatalogRows = {
    ...rows,
    functions: rows.functions.filter((row) => row.schema !== 'information_schema'),
    relations,
    triggers: rows.triggers.map((row) => ({ ...row, relation: nameOf(row.relation) })),
    relationUses: uses,
    functionUses: rows.functionUses.map((row) => ({ ...row, relation: nameOf(row.relation) })),
  };
  const tables = Object.entries(fixture).map(([name, table]: [string, readonly object[]]) => {
    const lines = table.map((row) => JSON.stringify(row)).sort();
    return `${JSON.stringify(name)}: [${lines.length === 0 ? '' : `\n${lines.join(',\n')}\n`}]`;
  });
  return `{\n${tables.join(',\n')}\n}\n`;
}
